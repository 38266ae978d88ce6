"""Our own cookies in what clients and the platform send.

Blanks around a name or value are SP and HTAB and nothing else (RFC 6265, 5.2). A parser that trims more, as Python's
`str.strip` does, takes a cookie that anybody on a sibling domain can set for one with the `__Host-` prefix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from bridge.exchange import Head

REMEMBERED = 2048
REMEMBERED_BYTES = 2048
"""How many lines are remembered where reading one costs, and up to which length: a browser sends the same each time."""
_BLANK = b" \t"
_NAMED = re.compile(rb"(?:__(?:Host|Secure)-)?kombo-bridge")
# Case is ignored where a cookie is kept from somebody: some browsers hold prefixes, some platforms names, to no case.
_OWN = re.compile(rb"(?:__(?:host|secure)-)?kombo-bridge", re.IGNORECASE)
# A Set-Cookie whose name is empty comes back as its bare value, so one that begins with `=` can name a cookie of ours.
# Possessive, so that 60 kB of `=` are looked at once and not for 20 seconds.
_SETS_OWN = re.compile(rb"[^0-9a-z_]*+(?:__(?:host|secure)-[^0-9a-z_]*+)?+kombo-bridge", re.IGNORECASE)

# Two Cookie headers that somebody made one of by a comma, which in a cookie is a character like any other.
_JOINED = re.compile(rb",[ \t]*+%b|(?:^|;)[ \t]*+%b[^;,]*+," % (_OWN.pattern, _OWN.pattern), re.IGNORECASE)


def cookie_line(head: Head) -> bytes:
    """All cookies of a request as one line; empty without any."""
    lines = head.fields.get(b"cookie")
    return b"" if lines is None else lines[0] if len(lines) == 1 else b";".join(lines)


def own_cookies(line: bytes) -> Mapping[str, str]:
    """The bridge's cookies by their full name. One that stands twice counts as none (the contract, section 4)."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for part in line.split(b";") if b"kombo-bridge" in line else ():
        raw, _, value = part.partition(b"=")
        raw = raw.strip(_BLANK)
        if _NAMED.match(raw):
            name = raw.decode("latin-1")
            if name in found:
                twice.add(name)
            found[name] = value.strip(_BLANK).decode("latin-1")
    return {name: value for name, value in found.items() if name not in twice}


def without_own(line: bytes) -> bytes:
    """The value of a Cookie header with our cookies cut out, every other byte as it was; it may be empty."""
    return _remembered_rest(line) if len(line) <= REMEMBERED_BYTES else _rest_of(line)


def hides_own(line: bytes) -> bool:
    """Whether a cookie of ours may be one that a comma joins to another: it would count as neither of them."""
    return b"," in line and _JOINED.search(line) is not None


def sets_own(value: bytes) -> bool:
    """Whether the value of a Set-Cookie header would make, replace or end a cookie of ours in any browser."""
    return _SETS_OWN.match(value) is not None


def _rest_of(line: bytes) -> bytes:
    if b"kombo-bridge" not in line.lower():
        return line
    parts = line.split(b";")
    kept = [part for part in parts if not _OWN.match(part.partition(b"=")[0].strip(_BLANK))]
    if len(kept) == len(parts):
        return line
    rest = b";".join(kept)
    return rest.lstrip(_BLANK) if kept and kept[0] is not parts[0] else rest


_remembered_rest = lru_cache(REMEMBERED)(_rest_of)
