"""A login under way. Its whole state travels with the browser, signed: an unauthenticated request writes nothing here.

One cookie a login, so that tabs do not collide, holds the request's id and where the learner was going. The RelayState
holds a random token that names the cookie; the IdP sends it back beside the response. A response counts only with both.
"""

from __future__ import annotations

import secrets as random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from starlette.responses import Response

from bridge.exchange import Head
from bridge.front.cookies import LOGIN, SESSION, Cookies
from bridge.front.refusals import redirect
from bridge.front.requests import is_framed
from bridge.saml.request import authn_request
from bridge.session.sessions import session_name
from bridge.session.tokens import Tokens
from bridge.settings.model import Tenant

LIFETIME_SECONDS = 15 * 60
USED_SECONDS = 5 * 60
AT_ONCE = 8
NAME_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class Login:
    """What a login cookie says. `attempt` is 2 where the first answer came back without its cookie.

    `started` is in seconds since 1970. `over` names the session that was there when the login began and ends with it:
    the session's own cookie is withheld from the IdP's POST.
    """

    tenant: str
    request_id: str
    next: str
    token: str
    attempt: int
    started: int
    over: str | None = None

    @property
    def cookie(self) -> str:
        return LOGIN + self.token[:NAME_CHARACTERS]


class Logins:
    """Starts logins and recognises their answers."""

    def __init__(self, secrets: Sequence[str], cookies: Cookies) -> None:
        self._relay = Tokens(secrets, "relay state")
        self._state = Tokens(secrets, "login")
        self._cookies = cookies

    def start(self, head: Head, tenant: Tenant, next: str, attempt: int = 1) -> Response:
        """Send the browser to the tenant's IdP, to come back to `next`, a validated path on this origin."""
        token = random.token_urlsafe(16)
        relay_state = self._relay.sign(token)
        request = authn_request(tenant.provider, tenant.party, relay_state)
        session = self._cookies.all(head).get(SESSION)
        over = session_name(session) if session else None
        login = Login(tenant.slug, request.id, next, token, attempt, int(time.time()), over)
        same_site = self._cookies.of_login(framed=is_framed(head))
        cookie = self._cookies.write(login.cookie, self._state.dump(asdict(login)), LIFETIME_SECONDS, same_site)
        return redirect(request.url, headers=[*self._make_room(head), cookie])

    def token(self, relay_state: str | None) -> str | None:
        """The token of a RelayState that we gave out, however old; None for any other."""
        return self._relay.unsign(relay_state) if relay_state else None

    def find(self, head: Head, tenant: Tenant, token: str) -> Login | None:
        """The login of a token, if this browser has its cookie, it is of this tenant, and it has not taken too long."""
        value = self._cookies.all(head).get(LOGIN + token[:NAME_CHARACTERS])
        login = self._read(value) if value else None
        return login if login and login.token == token and login.tenant == tenant.slug else None

    def drop(self, login: Login) -> tuple[str, str]:
        """The Set-Cookie that ends it."""
        return self._cookies.drop(login.cookie, "None")

    def keep_used(self, login: Login) -> tuple[str, str]:
        """The Set-Cookie that lets a login which has been answered be recognised a little longer.

        Going back leads to the IdP's page, which posts the same answer again: that has to end on the learner's page.
        """
        return self._cookies.write(login.cookie, self._state.dump(asdict(login)), USED_SECONDS, "None")

    def _read(self, value: str) -> Login | None:
        content = self._state.load(value, LIFETIME_SECONDS)
        try:
            return Login(**content) if content else None
        except TypeError:  # written by another version
            return None

    def _make_room(self, head: Head) -> list[tuple[str, str]]:
        """Browsers limit cookies per host, and heads are limited too: the oldest logins under way give way."""
        under_way = {name: value for name, value in self._cookies.all(head).items() if name.startswith(LOGIN)}
        surplus = len(under_way) - AT_ONCE + 1
        if surplus <= 0:
            return []
        logins = {name: self._read(value) for name, value in under_way.items()}
        oldest = sorted(logins, key=lambda name: login.started if (login := logins[name]) else 0)
        return [self._cookies.drop(name, "None") for name in oldest[:surplus]]
