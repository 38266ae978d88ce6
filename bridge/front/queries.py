"""The two query parameters that the bridge reads: which tenant, and on some routes which course.

The platform reads the same query with a parser that the bridge does not know. A parameter that gives rights is
therefore taken only where every parser finds it once and alike.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from bridge.errors import Code, Refusal
from bridge.front.paths import ambiguous
from bridge.front.routes import Match, fold

PARAMETERS: Final = 256
"""More than this is refused where a parameter matters: some parsers stop counting long before others."""
COURSE_CHARACTERS: Final = 512

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_BLANKS_AND_BRACKETS = re.compile(r"[\s\x00-\x1f\x7f\[\]?]+")


def parameter(query: bytes, name: str) -> str | None:
    """The value of a parameter such as `tenant_parameter`; None where it is absent or empty.

    It may be repeated with the same value. Raises `Refusal` (`path_ambiguous`) where it has several, by whichever of
    `&` and `;` parameters are separated, or a value that is not text.
    """
    if name.encode() not in query:
        return None
    values = {_value(value) for pairs in _separations(query) for key, value in pairs if key == name.encode()} - {""}
    if len(values) > 1:
        raise ambiguous(f"the query has several values for {name!r}")
    return values.pop() if values else None


def course(match: Match, method: bytes, query: bytes) -> str | None:
    """The origin id of the course that a request asks for; None off the course routes.

    Raises `Refusal`: `course_unknown` where the parameter is absent or empty, or the id has more than 512 characters;
    `path_ambiguous` where a platform could find another course in the query than the bridge.
    """
    if match.access != "course":
        return None
    found = match.course if match.course_parameter is None else _from_query(match.course_parameter, method, query)
    if not found:
        raise Refusal(Code.COURSE_UNKNOWN, f"the query names no course in {match.course_parameter!r}")
    if len(found) > COURSE_CHARACTERS:
        raise Refusal(Code.COURSE_UNKNOWN, f"the origin id has {len(found)} characters")
    return found


def _from_query(name: str, method: bytes, query: bytes) -> str | None:
    if method not in {b"GET", b"HEAD"}:
        raise ambiguous(f"a course in the query serves GET and HEAD only, not {method[:20]!r}")
    if b"#" in query or _CONTROL.search(query):
        raise ambiguous("the query has a control byte or # in it")
    by_ampersand, by_either = ([pair for pair in pairs if _resembles(pair[0], name)] for pairs in _separations(query))
    if by_ampersand != by_either:
        raise ambiguous(f"the query has another {name!r} where ; separates parameters")
    if not by_ampersand:
        return None
    [(key, value), *more] = by_ampersand
    if more or key != name.encode():
        raise ambiguous(f"the query has {name!r} more than once, or spelt otherwise")
    return _value(value)


def _separations(query: bytes) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]:
    """Names and values as most read them, separated by `&`, and as some still do, by `;` as well (HTML 4.01, B.2.2)."""
    if query.count(b"&") + query.count(b";") >= PARAMETERS:
        raise ambiguous(f"the query has more than {PARAMETERS} parameters")
    by_ampersand = [_pair(piece) for piece in query.split(b"&")]
    by_either = [_pair(piece) for piece in re.split(b"[&;]", query)] if b";" in query else by_ampersand
    return by_ampersand, by_either


def _pair(piece: bytes) -> tuple[bytes, bytes]:
    name, _, value = piece.partition(b"=")
    return name, value


def _resembles(key: bytes, name: str) -> bool:
    """Whether some parser takes the key for the name.

    The contract strips case, blanks and brackets; beyond that, C strings end at NUL, and PHP ends a name at its first
    bracket and reads blanks and dots in it as `_`.
    """
    text = unquote_to_bytes(key.replace(b"+", b" ")).decode("utf-8", "ignore")
    c_string = text.partition("\0")[0]
    spellings = {text, c_string, c_string.partition("[")[0]}
    spellings |= {re.sub(r"[ .\[]", "_", spelling.lstrip()) for spelling in spellings}
    return _bare(name) in map(_bare, spellings)


def _bare(text: str) -> str:
    return fold(_BLANKS_AND_BRACKETS.sub("", text))


def _value(value: bytes) -> str:
    """The text of a value as forms are decoded: `+` is a space."""
    if _BROKEN_ESCAPE.search(value):
        raise ambiguous("a value in the query has a broken escape")
    data = unquote_to_bytes(value.replace(b"+", b" "))
    if _CONTROL.search(data):
        raise ambiguous("a value in the query has a control byte")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ambiguous("a value in the query is not UTF-8") from None
