"""What every answer to a browser is made with."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.exchange import Head
from bridge.front.cookies import AGAIN, RESUMED, SESSION, SINCE, TENANT, Cookies
from bridge.front.logins import Logins
from bridge.front.underway import LIFETIME_SECONDS, Login
from bridge.pages import Looks
from bridge.session.sessions import Entry, Sessions
from bridge.settings.model import Tenant
from bridge.store.engine import now_ms

MOMENT_DIGITS = 15
REMEMBER_TENANT_SECONDS = 180 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Desk:
    """A browser's cookies, its session, its logins under way, and the pages that it is shown."""

    sessions: Sessions
    logins: Logins
    cookies: Cookies
    pages: Looks

    def session_cookie(self, head: Head) -> str | None:
        """The value of the session's cookie; whether a session belongs to it is another question."""
        return self.cookies.all(head).get(SESSION)

    async def session(self, head: Head) -> Entry | None:
        """The live session of whoever sent the request. Raises `StateError`."""
        cookie = self.session_cookie(head)
        return await self.sessions.find(cookie) if cookie else None

    async def session_of(self, head: Head, tenant: Tenant) -> Entry | None:
        """The same, if it is one of the tenant's."""
        entry = await self.session(head)
        return entry if entry and entry.tenant.slug == tenant.slug else None

    def admit(self, head: Head, tenant: Tenant, session: str) -> list[tuple[str, str]]:
        """The Set-Cookies by which a browser has a session from now on, and no login goes round any more."""
        cookies = self.cookies.within(head, tenant)
        return [
            cookies.write(SESSION, session, int(tenant.session.lifetime.total_seconds())),
            *cookies.drops_framed(head, SESSION),
            self.remember(head, tenant),
            cookies.write(SINCE, f"{now_ms()}.{tenant.slug}", LIFETIME_SECONDS, "None"),
            cookies.drop(AGAIN),
            cookies.drop(RESUMED),
        ]

    def overtaken(self, head: Head, login: Login) -> bool:
        """Whether somebody signed in with another tenant after the login began, whose session its answer would replace.

        The IdP's POST comes without that session's cookie, so a cookie that comes along says when it began. An IdP
        could otherwise keep its answer back until there is somebody to replace.
        """
        moment, _, slug = self.cookies.all(head).get(SINCE, "").partition(".")
        known = moment.isdecimal() and len(moment) <= MOMENT_DIGITS
        return known and slug != login.tenant and login.started < int(moment)

    def remember(self, head: Head, tenant: Tenant) -> tuple[str, str]:
        """The Set-Cookie by which a browser's next login is with the same tenant."""
        return self.cookies.within(head, tenant).write(TENANT, tenant.slug, REMEMBER_TENANT_SECONDS)
