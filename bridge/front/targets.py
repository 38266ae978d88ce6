"""Where a learner is sent after a login: a path on this origin, or nowhere.

A target arrives from outside (`next`, RelayState) and leaves in a `Location` header, where a browser, a proxy on the
way and the platform each read it in their own manner. What any of them could take for another origin, or for the
bridge's own pages, is refused.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from bridge.errors import Code, Refusal
from bridge.front.paths import legible, readings
from bridge.front.routes import RouteTable
from bridge.hosts import DEFAULT_PORTS

TARGET_BYTES: Final = 2 * 1024

# Printable ASCII without what a browser would escape or reinterpret. A fragment that is not kept may hold more.
_PLAIN = r"[!$-;=?-\[\]-~]*"
_TARGET = re.compile(rf"/{_PLAIN}(?:#[!-~]*)?")
_WHOLE_TARGET = re.compile(rf"/{_PLAIN}(?:#{_PLAIN})?")
_KEPT = "".join(map(chr, range(0x21, 0x7F))).translate(dict.fromkeys(map(ord, '"#<>\\')))
_OTHER_ORIGIN = re.compile(r"\s*[/\\]\s*[/\\]")
_ABSOLUTE = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?(?=[/?#]|\Z)",
    re.ASCII | re.IGNORECASE,
)

_BRIDGE = RouteTable((), ())


def next_target(value: str | None, *, fragment: bool = False) -> str:
    """The path and query to go to after a login, `/` where none was asked for; the fragment is dropped or kept.

    Raises `Refusal` (`path_ambiguous`) for anything else, above 2 KiB, and under `/_bridge/` (the contract, section 4).
    """
    if not value:
        return "/"
    if len(value) > TARGET_BYTES or not (_WHOLE_TARGET if fragment else _TARGET).fullmatch(value):
        raise _refused("is not a path of printable ASCII of at most 2 KiB")
    target, _, rest = value.partition("#")
    for reading in readings(legible(target.partition("?")[0].encode())):
        if _OTHER_ORIGIN.match(reading.text):
            raise _refused("could be read as another origin")
        if _BRIDGE.match(reading.text, ignore_case=True).access == "bridge":
            raise _refused("lies under /_bridge/")
    return f"{target}#{rest}" if fragment and rest else target


def relay_target(value: str | None, origin: str, *, fragment: bool = False) -> str:
    """Where the RelayState of an IdP-initiated login leads: a path, or an absolute URL on `origin`; otherwise `/`.

    The fragment is dropped or kept, as in `next_target`.
    """
    if value is None:
        return "/"
    absolute = _ABSOLUTE.match(value)
    if absolute:
        if _origin(absolute) != _origin(_ABSOLUTE.match(origin)):
            return "/"
        value = value[absolute.end() :]
        value = value if value.startswith("/") else f"/{value}"
    try:
        return next_target(value, fragment=fragment)
    except Refusal:
        return "/"


def quoted(target: bytes) -> str:
    """A request's own target as it may stand in a `Location`, behind one of our origins."""
    return quote(target, safe=_KEPT)


def deep_link(target: bytes) -> str:
    """What a request's own target becomes as `next`: the same resource, without its query where that is too long."""
    whole = quoted(target)
    for candidate in (whole, whole.partition("?")[0]):
        try:
            return next_target(candidate)
        except Refusal:
            continue
    return "/"


def _origin(url: re.Match[str] | None) -> tuple[str, str, str] | None:
    """Scheme, host and port (RFC 6454, 4), comparable."""
    if url is None:
        return None
    scheme = url["scheme"].lower()
    return scheme, url["host"].lower(), url["port"] or f":{DEFAULT_PORTS[scheme]}"


def _refused(reason: str) -> Refusal:
    return Refusal(Code.PATH_AMBIGUOUS, f"the target of a login {reason}")
