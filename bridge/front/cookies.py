"""Our cookies: their names and attributes in one place.

On https every name has the `__Host-` prefix (RFC 6265bis, 4.1.3.2): no other host, no path and no plain-http page can
then set one. Plain http is for loopback only, where browsers honour neither the prefix nor `Secure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from bridge.exchange import Head
from bridge.front.requests import is_framed
from bridge.proxy.cookies import REMEMBERED, REMEMBERED_BYTES, cookie_line, own_cookies
from bridge.settings.model import Tenant

SameSite = Literal["Lax", "None"]

OWN = "kombo-bridge-"
FRAMED = f"{OWN}framed-"
SESSION = f"{OWN}session"
TENANT = f"{OWN}tenant"
SINCE = f"{OWN}since"
LOGIN = f"{OWN}login-"
PARKED = f"{OWN}parked-"
ARRIVED = f"{OWN}arrived"
AGAIN = f"{OWN}again"
RESUMED = f"{OWN}resumed"
LOGOUT = f"{OWN}logout"


class Cookies:
    """Reads and writes our cookies for a deployment on https (`secure`) or, on loopback, on plain http.

    `framed` ones are kept for the site around a frame alone (see `within`).
    """

    def __init__(self, *, secure: bool, framed: bool = False) -> None:
        self._secure = secure
        self._prefix = "__Host-" if secure else ""
        self.framed = framed
        self._remembered = lru_cache(REMEMBERED)(self._in)
        self._in_frames = Cookies(secure=True, framed=True) if secure and not framed else self

    def within(self, head: Head, tenant: Tenant) -> Cookies:
        """What to write cookies with in answer to a request.

        In a frame of a tenant that signs in there, ours are `SameSite=None; Secure; Partitioned`: a browser keeps them
        for the site around the frame alone. They have names of their own, since a frame of our own site gets the others
        as well, and two of one name would count as none. Without `Secure` browsers have nothing of the kind.
        """
        return self._in_frames if tenant.in_frames == "inside" and is_framed(head) else self

    def all(self, head: Head) -> Mapping[str, str]:
        """Our cookies in a request, by plain name. One that stands twice counts as none."""
        line = cookie_line(head)
        return self._remembered(line) if len(line) <= REMEMBERED_BYTES else self._in(line)

    def _in(self, line: bytes) -> Mapping[str, str]:
        found: dict[str, str] = {}
        framed: dict[str, str] = {}
        for full, value in own_cookies(line).items():
            if full.startswith(self._prefix + FRAMED):
                framed[OWN + full.removeprefix(self._prefix + FRAMED)] = value
            elif full.startswith(self._prefix + OWN):
                found[full.removeprefix(self._prefix)] = value
        return found | framed

    def write(self, name: str, value: str, max_age: int, same_site: SameSite = "Lax") -> tuple[str, str]:
        """A Set-Cookie header. A login cookie has to come back with the IdP's cross-site POST: `SameSite=None`.

        Without `Secure` browsers refuse `SameSite=None`; with the attribute left out they send a cookie younger than
        two minutes along with such a POST.
        """
        plain = FRAMED + name.removeprefix(OWN) if self.framed else name
        attributes = [f"{self._prefix}{plain}={value}", "Path=/", f"Max-Age={max_age}", "HttpOnly"]
        if self.framed:
            attributes += ["Secure", "SameSite=None", "Partitioned"]
        elif self._secure:
            attributes += ["Secure", f"SameSite={same_site}"]
        elif same_site != "None":
            attributes.append(f"SameSite={same_site}")
        return "Set-Cookie", "; ".join(attributes)

    def drop(self, name: str, same_site: SameSite = "Lax") -> tuple[str, str]:
        return self.write(name, "", 0, same_site)

    def drops_framed(self, head: Head, name: str) -> list[tuple[str, str]]:
        """The Set-Cookie that ends a partitioned cookie which the request has, where the plain one takes its place."""
        if self.framed or self._in_frames is self:
            return []
        there = f"{self._prefix}{FRAMED}{name.removeprefix(OWN)}" in own_cookies(cookie_line(head))
        return [self._in_frames.drop(name)] if there else []
