"""How the platform's answers are read (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Collection

from bridge.errors import Code, Refusal
from bridge.proxy.names import may_trail

# The whole head at once, and nothing but what the RFC allows: no bare LF, no folded line, no blank before a colon.
# Possessive, so that a head that does not match is found out in one pass.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?+\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[\t\x20-\x7e\x80-\xff]*+")
_CHUNK_LINE = 4096


class ResponseHead:
    """A status line and header lines without their CRLF, as received. `end` is where they ended in what was read."""

    __slots__ = ("end", "lines", "minor", "reason", "status")

    def __init__(self, minor: int, status: int, reason: bytes, lines: list[bytes], end: int) -> None:
        self.minor = minor
        self.status = status
        self.reason = reason
        self.lines = lines
        self.end = end

    @property
    def status_line(self) -> bytes:
        """As it goes on, with the bridge's own version of HTTP (RFC 9110, 6.2)."""
        return b"HTTP/1.1 %d %b\r\n" % (self.status, self.reason)


def parse_head(data: bytes, limit: int, fields: int) -> ResponseHead | None:
    """The head at the beginning of `data`; None where it is not there in full yet.

    Raises `Refusal` (`upstream_unavailable`) for anything else than a head of at most `limit` bytes and `fields`
    headers.
    """
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        if len(data) > limit or (len(data) >= 5 and not data.startswith(b"HTTP/")):
            raise Refusal(Code.UPSTREAM_UNAVAILABLE, "the platform's answer has no head, or one that is too large")
        return None
    match = _HEAD.match(data, 0, end)
    if match is None or end > limit:
        raise Refusal(Code.UPSTREAM_UNAVAILABLE, "the head of the platform's answer is malformed or too large")
    lines = data[: end - 4].split(b"\r\n")
    if len(lines) > fields + 1:
        raise Refusal(Code.UPSTREAM_UNAVAILABLE, "the platform's answer has too many headers")
    del lines[0]
    return ResponseHead(match[1] == b"1", int(match[2]), match[3] or b"", lines, end)


class ChunkedBody:
    """A chunked body as it passes (RFC 9112, 7.1). It goes on as it came; `plain` without chunks and trailers.

    What `feed` returns has been checked to its last byte: whether a message ends here, and that nothing else begins, is
    known before a byte of it is written. Of the trailers, of at most `trailers` bytes together, those go on that may
    stand there and that the head has not `nominated` for the bridge alone.
    """

    __slots__ = ("_held", "_kept", "_left", "_nominated", "_plain", "_trailer", "_trailers", "done", "extra")

    def __init__(self, *, plain: bool, trailers: int, nominated: Collection[bytes] = ()) -> None:
        self._plain = plain
        self._held = b""  # an unfinished line
        self._left = 0  # of the current chunk, its CRLF included
        self._trailer = False
        self._trailers = trailers
        self._nominated = nominated
        self._kept: list[bytes] = []  # of the trailers, until the last has been read
        self.done = False
        self.extra = False

    def feed(self, data: bytes) -> bytes:
        """What of `data` goes on. Raises `ValueError` where it is not a chunked body."""
        if self._held:
            data, self._held = self._held + data, b""
        position, pieces, size = 0, [], len(data)
        while position < size and not self._trailer:
            if self._left > 2:
                end = min(size, position + self._left - 2)
                if self._plain:
                    pieces.append(data[position:end])
                self._left -= end - position
                position = end
            elif self._left:
                if not b"\r\n"[2 - self._left :].startswith(data[position : position + self._left]):
                    raise ValueError("no CRLF behind a chunk")
                taken = min(self._left, size - position)
                self._left -= taken
                position += taken
            else:
                match = _CHUNK.match(data, position)
                if match is None:
                    self._hold(data[position:])
                    break
                length = int(match[1], 16)
                if length:
                    self._left = length + 2
                    position = match.end()
                else:
                    self._trailer = True
                    return self._finish(data, position, match.end(), pieces)
        if self._trailer:
            return self._end(data, position)
        return b"".join(pieces) if self._plain else data if position == size else data[:position]

    def _finish(self, data: bytes, last: int, position: int, pieces: list[bytes]) -> bytes:
        before = b"".join(pieces) if self._plain else data[:last]
        return before + self._end(data, position)

    def _end(self, data: bytes, position: int) -> bytes:
        while (end := data.find(b"\r\n", position)) > position:
            self._read_trailer(data[position:end])
            position = end + 2
        if end < 0:
            self._held = data[position:]
            if len(self._held) > self._trailers:
                raise ValueError("too many trailers")
            return b""
        self.done = True
        self.extra = end + 2 < len(data)
        return b"" if self._plain else b"0\r\n%b\r\n" % b"".join(self._kept)

    def _read_trailer(self, line: bytes) -> None:
        self._trailers -= len(line) + 2
        match = _FIELD.fullmatch(line)
        if match is None or self._trailers < 0:
            raise ValueError("no trailer, or too many")
        name = match[1]
        if not self._plain and may_trail(name) and name.lower() not in self._nominated:
            self._kept += (line, b"\r\n")

    def _hold(self, line: bytes) -> None:
        if b"\n" in line or len(line) > _CHUNK_LINE or line[:1] not in b"0123456789abcdefABCDEF":
            raise ValueError("not a chunk")
        self._held = line
