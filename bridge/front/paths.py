"""Paths that everybody reads alike, and the refusal of all others (the contract, section 6, "Paths").

The bridge forwards a path exactly as it came, to a platform that it does not know. So it walks through the readings
that servers are known to make of it, each alone and in every combination, and lets the path pass only where all of them
ask for the same. Being refused costs a learner nothing: no browser and no catalogue writes such paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from bridge.errors import Code, Refusal
from bridge.front.routes import Match, RouteTable

PATH_BYTES: Final = 8 * 1024
READINGS: Final = 128
"""A path with more readings than this is refused; one that somebody means has a handful."""
READINGS_CHARACTERS: Final = 128 * 1024
DECODINGS: Final = 2

REMEMBERED_PATHS: Final = 4096
REMEMBERED_BYTES: Final = 512
"""Only paths up to this length are remembered, so that the memory is bounded without being weighed."""

_NEVER_RAW = re.compile(rb"[\x00-\x20\x7f\\#?]")
_NEVER_DECODED = re.compile(rb"[\x00-\x1f\x7f\\]")
# Bytes that have no other spelling in a path (RFC 3986, 3.3): for these the escape is how the path stands.
_NEEDED_ESCAPES = re.compile(r"(?:%(?:[89A-Fa-f][0-9A-Fa-f]|2[02]|3[CcEe]|5[BbDdEe]|60|7[B-Db-d]))+")
_SLASHES = re.compile(r"/{2,}")
_AUTHORITY = re.compile(r"//[^/]*")
_PARAMETERS = re.compile(r";[^/]*")
_ESCAPED_DOTS = re.compile(r"(?<=/)(?:\.|%2[Ee]){1,2}(?=[/;]|\Z)")
_ESCAPED_SLASH = re.compile(r"%(2[Ff]|5[Cc])")
_WIDE_ESCAPE = re.compile(r"%[uU](?![Dd][89A-Fa-f])([0-9A-Fa-f]{4})")
_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]")


class Reading(NamedTuple):
    """What a server may make of a path; `decodings` counts how often the whole of it was percent-decoded."""

    text: str
    decodings: int


class PathDecider:
    """The contract's rule over one route table. What it has decided it remembers, so build one per configuration."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table
        self._remembered = lru_cache(REMEMBERED_PATHS)(self._judge)

    def decide_path(self, path: bytes) -> Match:
        """What the path (the target up to its first `?`) asks for under every reading.

        Raises `Refusal`: `path_ambiguous` where readings differ; `request_malformed` with 414 above 8 KiB.
        """
        known = self._remembered(path) if len(path) <= REMEMBERED_BYTES else self._judge(path)
        if isinstance(known, str):
            raise Refusal(Code.PATH_AMBIGUOUS, known)
        return known

    def _judge(self, path: bytes) -> Match | str:
        try:
            return self._unanimous(legible(path))
        except Refusal as refusal:
            if refusal.code is not Code.PATH_AMBIGUOUS:
                raise
            return refusal.reason

    def _unanimous(self, text: str) -> Match:
        as_it_stands = self._table.match(text)
        for reading in readings(text):
            for ignore_case in (False, True):
                other = self._table.match(reading.text, decoded=reading.decodings > 0, ignore_case=ignore_case)
                if other != as_it_stands:
                    letters = ", ignoring case," if ignore_case else ""
                    raise ambiguous(
                        f"the path asks for {as_it_stands} as it stands, but{letters} for {other} "
                        f"when read as {reading.text[:200]!r}"
                    )
        return as_it_stands


def legible(path: bytes) -> str:
    """The path as text, with those escapes undone that have no other spelling.

    Raises `Refusal` for what is refused on every route: control bytes, backslashes and invalid UTF-8, plain or escaped;
    a literal `#`, which no request target may have (RFC 9112, 3.2); and 414 above 8 KiB.
    """
    if len(path) > PATH_BYTES:
        raise Refusal(Code.REQUEST_MALFORMED, f"the path has {len(path)} bytes", status=414)
    if not path.startswith(b"/") or _NEVER_RAW.search(path):
        raise ambiguous("the path has no leading slash, or a control byte, blank, backslash, ? or # in it")
    try:
        text = path.decode()
        if "%" not in text:
            return text
        once = unquote_to_bytes(path)
        once.decode()
    except UnicodeDecodeError:
        raise ambiguous("the path is not UTF-8") from None
    if _NEVER_DECODED.search(once):
        raise ambiguous("the path has an escaped control byte or backslash")
    return _NEEDED_ESCAPES.sub(lambda escapes: unquote_to_bytes(escapes[0]).decode(), text)


def readings(text: str) -> Iterator[Reading]:
    """The text and everything that it becomes under the transforms, alone and combined, until nothing new comes.

    Lazily, so that the first disagreement ends the work. Raises `Refusal` where there are too many readings to look at.
    """
    pending = [Reading(text, 0)]
    seen = {*pending}
    characters = 0
    while pending:
        reading = pending.pop()
        characters += len(reading.text)
        if len(seen) > READINGS or characters > READINGS_CHARACTERS:
            raise ambiguous("the path has more readings than can be compared")
        yield reading
        for other in _transformed(reading):
            if other not in seen:
                seen.add(other)
                pending.append(other)


def _transformed(reading: Reading) -> Iterator[Reading]:
    """One step of what some server does: decoding where there is still one to come, and everything else."""
    text, decodings = reading
    for other in _rewritten(text):
        yield Reading(other, decodings)
    if decodings:
        for other in _cut(text):
            yield Reading(other, decodings)
    if decodings < DECODINGS and "%" in text:
        for other in _decoded(text):
            yield Reading(other, decodings + 1)


def _rewritten(text: str) -> Iterator[str]:
    """What servers do to a path whether it has been decoded or not.

    Adding or dropping a trailing slash is not among it: a pattern is met with one and without.
    """
    if "//" in text:
        yield _SLASHES.sub("/", text)
        if text.startswith("//"):  # urlsplit() and its like take what follows for a host
            yield _AUTHORITY.sub("", text, count=1) or "/"
    if "/." in text:
        yield _without_dots(text)
    if "%2" in text:  # the WHATWG URL parser knows escaped dots without decoding anything else
        yield _ESCAPED_DOTS.sub(lambda dots: re.sub("%2[Ee]", ".", dots[0]), text)
    if ";" in text:
        yield _PARAMETERS.sub("", text)
        yield text.partition(";")[0]


def _cut(text: str) -> Iterator[str]:
    """What servers do to characters that a path can hold only escaped."""
    for end in "?#\0":
        if end in text:
            yield text.partition(end)[0]
    if "\\" in text:
        yield text.replace("\\", "/")


def _decoded(text: str) -> Iterator[str]:
    """Percent-decoding as most do it, as servers do that keep an escaped slash, and with IIS's `%uXXXX`."""
    yield _unquoted(text)
    if _ESCAPED_SLASH.search(text):
        yield _unquoted(_ESCAPED_SLASH.sub(r"%25\1", text))
    if _WIDE_ESCAPE.search(text):
        yield _WIDE_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), _unquoted(text))


def _unquoted(text: str) -> str:
    """Invalid UTF-8, which only a second decoding can bring, stays as lone surrogates; nobody's literal has those."""
    data = unquote_to_bytes(text)
    if _OVERLONG.search(data):
        raise ambiguous("the path, decoded twice, has characters in overlong UTF-8")
    return data.decode("utf-8", "surrogateescape")


def _without_dots(text: str) -> str:
    """RFC 3986, 5.2.4; a `..` beyond the root is dropped."""
    segments = text.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def ambiguous(reason: str) -> Refusal:
    """What a platform could read otherwise than the bridge does, here and in queries."""
    return Refusal(Code.PATH_AMBIGUOUS, reason)
