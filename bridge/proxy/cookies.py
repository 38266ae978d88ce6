"""Our own cookies in what clients and the platform send.

Blanks around a name or value are SP and HTAB and nothing else (RFC 6265, 5.2). A parser that trims more, as Python's
`str.strip` does, takes a cookie that anybody on a sibling domain can set for one with the `__Host-` prefix.
"""

from __future__ import annotations

import re

from bridge.exchange import Head

_BLANK = b" \t"
_NAMED = re.compile(rb"(?:__(?:Host|Secure)-)?kombo-bridge")
# Case is ignored where a cookie is kept from somebody: some browsers hold prefixes, some platforms names, to no case.
_OWN = re.compile(rb"(?:__(?:host|secure)-)?kombo-bridge", re.IGNORECASE)
# A Set-Cookie whose name is empty comes back as its bare value, so one that begins with `=` can name a cookie of ours.
# Possessive, so that 60 kB of `=` are looked at once and not for 20 seconds.
_SETS_OWN = re.compile(rb"[^0-9a-z_]*+(?:__(?:host|secure)-[^0-9a-z_]*+)?+kombo-bridge", re.IGNORECASE)


def own_cookies(head: Head) -> dict[str, str]:
    """The bridge's cookies by their full name. One that stands twice counts as none (the contract, section 4)."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for line in head.fields.get(b"cookie", ()):
        if b"kombo-bridge" not in line:
            continue
        for part in line.split(b";"):
            raw, _, value = part.partition(b"=")
            raw = raw.strip(_BLANK)
            if _NAMED.match(raw):
                name = raw.decode("latin-1")
                if name in found:
                    twice.add(name)
                found[name] = value.strip(_BLANK).decode("latin-1")
    for name in twice:
        del found[name]
    return found


def without_own(line: bytes) -> bytes:
    """The value of a Cookie header with our cookies cut out, every other byte as it was; it may be empty."""
    if b"kombo-bridge" not in line.lower():
        return line
    parts = line.split(b";")
    kept = [part for part in parts if not _OWN.match(part.partition(b"=")[0].strip(_BLANK))]
    if len(kept) == len(parts):
        return line
    rest = b";".join(kept)
    return rest.lstrip(_BLANK) if kept and kept[0] is not parts[0] else rest


def sets_own(value: bytes) -> bool:
    """Whether the value of a Set-Cookie header would make, replace or end a cookie of ours in any browser."""
    return _SETS_OWN.match(value) is not None
