"""The logins that one browser has under way, as its cookies hold them.

Each has a cookie of its own, so that tabs which start at the same moment do not overwrite one another. Browsers limit
cookies per host, and heads are limited too: beyond eight the oldest are parked, packed together in one cookie of
bounded size, where an answer still finds them. Parking once more makes a cookie of a new name and drops those that it
has read: of two requests at the same moment neither can undo what the other parked.
"""

from __future__ import annotations

import secrets as random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass

from bridge.exchange import Head
from bridge.front.cookies import LOGIN, PARKED, Cookies
from bridge.launches.trail import Found
from bridge.session.tokens import Tokens

LIFETIME_SECONDS = 15 * 60
USED_SECONDS = 5 * 60
AT_ONCE = 8
PARKED_CHARACTERS = 3_000
NAME_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class Login:
    """One login. `attempt` is 2 where the first answer came back without its cookie.

    `started` is in milliseconds since 1970, `found` says how the tenant was found. `over` names the session that was
    there when the login began and ends with it: the session's own cookie is withheld from the IdP's POST. A login that
    has been answered is `used`, and recognised a little longer: going back leads to the IdP's page, which posts the
    same answer again, and that has to end on the learner's page.
    """

    tenant: str
    request_id: str
    next: str
    token: str
    attempt: int
    started: int
    over: str | None = None
    used: bool = False
    found: Found = "address"

    @property
    def cookie(self) -> str:
        return LOGIN + self.token[:NAME_CHARACTERS]

    @property
    def lives(self) -> bool:
        seconds = LIFETIME_SECONDS + (USED_SECONDS if self.used else 0)
        return time.time() * 1000 < self.started + seconds * 1000


class Underway:
    """Finds and keeps the logins of a request's browser."""

    def __init__(self, secrets: Sequence[str], cookies: Cookies) -> None:
        self._own = Tokens(secrets, "login")
        self._parked = Tokens(secrets, "parked logins")
        self._cookies = cookies

    def find(self, head: Head, token: str) -> Login | None:
        """The login of a token, if this browser has it and it has not taken too long."""
        cookies = self._cookies.all(head)
        own = self._read(cookies.get(LOGIN + token[:NAME_CHARACTERS]))
        known = [own, *self._parked_in(cookies)]
        return next((login for login in known if login and login.token == token), None)

    def put(
        self, head: Head, login: Login, cookies: Cookies, *, instead_of: Login | None = None
    ) -> list[tuple[str, str]]:
        """The Set-Cookies, by `cookies`, after which the browser has the login, and no more than it should."""
        there = self._cookies.all(head)
        own = {name: self._read(value) for name, value in there.items() if name.startswith(LOGIN)}
        before = self._parked_in(there)
        gone = {login.token, instead_of.token} if instead_of else {login.token}
        parked = [other for other in before if other.token not in gone]
        if instead_of:
            own.pop(instead_of.cookie, None)
        own[login.cookie] = login
        surplus = sorted(own, key=lambda name: _worth(own[name]))[: max(0, len(own) - AT_ONCE)]
        parked += [given for name in surplus if (given := own.pop(name))]
        written = [cookies.drop(name, "None") for name in there if name.startswith(LOGIN) and name not in own]
        if login.cookie in own:
            seconds = USED_SECONDS if login.used else LIFETIME_SECONDS
            written.append(cookies.write(login.cookie, self._own.dump(asdict(login)), seconds, "None"))
        former = [name for name in there if name.startswith(PARKED)]
        if parked == before and len(former) <= 1:
            return written
        return [*written, *(cookies.drop(name, "None") for name in former), *self._park(parked, cookies)]

    def _park(self, logins: Iterable[Login], cookies: Cookies) -> list[tuple[str, str]]:
        """As many as fit; those that matter least are given up first."""
        kept = sorted(logins, key=_worth)
        while kept:
            value = self._parked.dump({"logins": [astuple(login) for login in kept]})
            if len(value) <= PARKED_CHARACTERS:
                name = PARKED + random.token_urlsafe(NAME_CHARACTERS)
                return [cookies.write(name, value, LIFETIME_SECONDS + USED_SECONDS, "None")]
            del kept[0]
        return []

    def _read(self, value: str | None) -> Login | None:
        login = self._own.read(Login, value, LIFETIME_SECONDS + USED_SECONDS)
        return login if login and login.lives else None

    def _parked_in(self, cookies: Mapping[str, str]) -> list[Login]:
        """Each once: where two cookies have it, as the one that has been answered."""
        packs = [self._read_parked(value) for name, value in cookies.items() if name.startswith(PARKED)]
        known = sorted((login for pack in packs for login in pack), key=lambda login: login.used)
        return list({login.token: login for login in known}.values())

    def _read_parked(self, value: str) -> list[Login]:
        content = self._parked.load(value, LIFETIME_SECONDS + USED_SECONDS)
        try:
            logins = [Login(*fields) for fields in content["logins"]] if content else []
        except (TypeError, KeyError):  # written by another version
            return []
        return [login for login in logins if login.lives]


def _worth(login: Login | None) -> tuple[bool, bool, int]:
    """Who gives way first: what cannot be read, then what has been answered, then the oldest."""
    return (True, not login.used, login.started) if login else (False, False, 0)
