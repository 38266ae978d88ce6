"""What every answer to a browser is made with."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.exchange import Head
from bridge.front.cookies import AGAIN, RESUMED, SESSION, TENANT, Cookies
from bridge.front.logins import Logins
from bridge.pages import Pages
from bridge.session.sessions import Entry, Sessions
from bridge.settings.model import Tenant

REMEMBER_TENANT_SECONDS = 180 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Desk:
    """A browser's cookies, its session, its logins under way, and the pages that it is shown."""

    sessions: Sessions
    logins: Logins
    cookies: Cookies
    pages: Pages

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
            cookies.drop(AGAIN),
            cookies.drop(RESUMED),
        ]

    def remember(self, head: Head, tenant: Tenant) -> tuple[str, str]:
        """The Set-Cookie by which a browser's next login is with the same tenant."""
        return self.cookies.within(head, tenant).write(TENANT, tenant.slug, REMEMBER_TENANT_SECONDS)
