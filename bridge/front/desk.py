"""What every answer to a browser is made with."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.exchange import Head
from bridge.front.cookies import SESSION, Cookies
from bridge.front.logins import Logins
from bridge.pages import Pages
from bridge.session.sessions import Entry, Sessions


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
