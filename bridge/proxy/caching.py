"""Keeping one learner's answers out of caches that others share (RFC 9111)."""

from __future__ import annotations

import re
from functools import lru_cache

_DIRECTIVE = re.compile(rb"[ \t,]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(=(?:\"(?:[^\"\\]|\\.)*\"|[^ \t,\"]*))?[ \t]*(?=,|$)")
_FOR_SHARED_CACHES = (b"public", b"s-maxage", b"private", b"proxy-revalidate")


def private(value: bytes) -> bytes:
    """The value of Cache-Control for an answer that belongs to one learner; empty stands for no such header.

    An answer that says nothing is marked as well: a shared cache may keep it by heuristics (RFC 9111, 4.2.2), and one
    that revalidates it would do so with somebody else's session. `no-store` does not count beside `must-understand`,
    where it is ignored (5.2.2.3), nor does `private` with field names, which keeps only those fields back (5.2.2.7).
    """
    return _remembered(value) if len(value) <= 256 else _private(value)


def _private(value: bytes) -> bytes:
    directives: dict[bytes, bytes] = {}
    position = 0
    while match := _DIRECTIVE.match(value, position):
        directives[match[1].lower()] = match[2] or b""
        position = match.end()
    if value[position:].strip(b" \t,"):
        return b"private, no-store"  # not Cache-Control as the RFC has it: who knows how it is read
    closed = directives.get(b"private") == b"" or (b"no-store" in directives and b"must-understand" not in directives)
    if closed and b"public" not in directives and b"s-maxage" not in directives:
        return value
    rest = [name + argument for name, argument in directives.items() if name not in _FOR_SHARED_CACHES]
    return b", ".join([b"private", *rest])


_remembered = lru_cache(maxsize=512)(_private)
