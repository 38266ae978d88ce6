"""A login under way. Its whole state travels with the browser, signed: an unauthenticated request writes nothing here.

A cookie holds the request's id and where the learner was going (`bridge.front.underway`). The RelayState holds a random
token that names the cookie; the IdP sends it back beside the response. A response counts only with both.
"""

from __future__ import annotations

import secrets as random
import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from starlette.responses import Response

from bridge.exchange import Head
from bridge.front.cookies import SESSION, Cookies
from bridge.front.refusals import redirect, respond
from bridge.front.requests import language
from bridge.front.underway import LIFETIME_SECONDS, Login, Underway
from bridge.keys.custody import HeldKeys
from bridge.launches.launches import Launches
from bridge.launches.trail import Found
from bridge.pages import ORGANIZATIONS, Looks
from bridge.saml.request import authn_request
from bridge.session.sessions import session_name
from bridge.session.tokens import Tokens
from bridge.settings.model import Tenant


class Logins:
    """Starts logins and recognises their answers."""

    def __init__(
        self, secrets: Sequence[str], cookies: Cookies, pages: Looks, keys: HeldKeys, launches: Launches
    ) -> None:
        self._relay = Tokens(secrets, "relay state")
        self._underway = Underway(secrets, cookies)
        self._cookies = cookies
        self._pages = pages
        self._keys = keys
        self._launches = launches

    def start(
        self,
        head: Head,
        tenant: Tenant,
        next: str,
        found: Found,
        *,
        attempt: int = 1,
        instead_of: Login | None = None,
    ) -> Response:
        """Send the browser to the tenant's IdP, to come back to `next`, a validated path on this origin.

        `found` says how the tenant was found.

        Raises `StateError` where the request is to be signed and the tenant's own keys have not been made yet.
        """
        token = random.token_urlsafe(16)
        key = self._keys.signing(tenant) if signs_requests(tenant) else None
        request = authn_request(tenant.provider, tenant.party, self._relay.sign(token), key)
        session = self._cookies.all(head).get(SESSION)
        over = session_name(session) if session else None
        login = Login(tenant.slug, request.id, next, token, attempt, time.time_ns() // 1_000_000, over, found=found)
        if attempt == 1:
            self._launches.asked(tenant)
        cookies = self._cookies.within(head, tenant)
        kept = self._underway.put(head, login, cookies, instead_of=instead_of)
        sent = request.send
        if sent.fields is None:
            return redirect(sent.url, headers=kept)
        page = self._pages.of(tenant).post_form(
            language=language(head), action=sent.url, fields=sent.fields, framed=cookies.framed
        )
        return respond(page, headers=kept)

    def token(self, relay_state: str | None) -> str | None:
        """The token of a RelayState that we gave out, however old; None for any other."""
        return self._relay.unsign(relay_state) if relay_state else None

    def took_too_long(self, relay_state: str) -> bool:
        """Whether a login with this RelayState of ours would be over by now."""
        return self._relay.unsign(relay_state, LIFETIME_SECONDS) is None

    def find(self, head: Head, token: str) -> Login | None:
        """The login of a token, of whichever tenant, if this browser has its cookie and it has not taken too long."""
        return self._underway.find(head, token)

    def of(self, head: Head, tenant: Tenant, token: str) -> Login | None:
        """The login of a token, if it is one of this tenant."""
        login = self.find(head, token)
        return login if login and login.tenant == tenant.slug else None

    def keep_used(self, head: Head, tenant: Tenant, login: Login) -> list[tuple[str, str]]:
        """The Set-Cookies that let a login which has been answered be recognised a little longer."""
        return self._underway.put(head, replace(login, used=True), self._cookies.within(head, tenant))


def signs_requests(tenant: Tenant) -> bool:
    """Whether the tenant or its IdP wants AuthnRequests signed."""
    return tenant.saml.sign_requests or tenant.provider.wants_signed_requests


def login_path(tenant: Tenant, **fields: str) -> str:
    """The path of the tenant's login, with a query of the fields."""
    return f"/_bridge/saml/{tenant.slug}/login" + (f"?{urlencode(fields)}" if fields else "")


def organizations_path(next: str) -> str:
    """The path of the page that asks for the organisation, to arrive at `next`."""
    return f"{ORGANIZATIONS}?{urlencode({'next': next})}"
