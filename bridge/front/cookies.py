"""Our cookies: their names and attributes in one place.

On https every name has the `__Host-` prefix (RFC 6265bis, 4.1.3.2): no other host, no path and no plain-http page can
then set one. Plain http is for loopback only, where browsers honour neither the prefix nor `Secure`.
"""

from __future__ import annotations

from typing import Literal

from bridge.exchange import Head
from bridge.proxy.cookies import own_cookies

SameSite = Literal["Lax", "None"]

SESSION = "kombo-bridge-session"
TENANT = "kombo-bridge-tenant"
LOGIN = "kombo-bridge-login-"
AGAIN = "kombo-bridge-again"
RESUMED = "kombo-bridge-resumed"


class Cookies:
    """Reads and writes our cookies for a deployment on https (`secure`) or, on loopback, on plain http."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._prefix = "__Host-" if secure else ""

    def all(self, head: Head) -> dict[str, str]:
        """Our cookies in a request, by name without prefix. One that stands twice counts as none."""
        return {
            name.removeprefix(self._prefix): value
            for name, value in own_cookies(head).items()
            if name.startswith(self._prefix + "kombo-bridge")
        }

    def write(self, name: str, value: str, max_age: int, same_site: SameSite = "Lax") -> tuple[str, str]:
        """A Set-Cookie header. A login cookie has to come back with the IdP's cross-site POST: `SameSite=None`.

        Without `Secure` browsers refuse `SameSite=None`; with the attribute left out they send a cookie younger than
        two minutes along with such a POST.
        """
        attributes = [f"{self._prefix}{name}={value}", "Path=/", f"Max-Age={max_age}", "HttpOnly"]
        if self._secure:
            attributes.append("Secure")
        if self._secure or same_site != "None":
            attributes.append(f"SameSite={same_site}")
        return "Set-Cookie", "; ".join(attributes)

    def of_login(self, *, framed: bool) -> SameSite:
        """`Lax` in a frame, where the session's own cookie is kept from other sites as well.

        Otherwise a frame of another site could begin a login over a session that it does not see, for a window to
        finish; and one whose session is then not kept would sign in again for ever.
        """
        return "Lax" if framed and self._secure else "None"

    def drop(self, name: str, same_site: SameSite = "Lax") -> tuple[str, str]:
        return self.write(name, "", 0, same_site)
