"""How the body of the platform's answer goes on to the client, by its head alone (RFC 9112, 6.3)."""

from __future__ import annotations

from typing import NamedTuple

from bridge.exchange import Head
from bridge.proxy.headers import AnswerHead
from bridge.proxy.response import ChunkedBody, ResponseHead


class Framing(NamedTuple):
    """`left` are the bytes of a body with a length, `chunks` reads a chunked one; with neither, the body ends with the
    connection.

    `line` are the header lines that say so to the client, each ended by CRLF. `reusable` is whether the platform's
    connection has a next exchange, as far as the answer goes.
    """

    left: int | None
    chunks: ChunkedBody | None
    line: bytes
    reusable: bool


def framing(head: ResponseHead, answer: AnswerHead, request: Head, trailers: int) -> Framing:
    """`trailers` are the bytes that may stand behind a chunked body."""
    length = b"" if answer.length is None else b"Content-Length: %d\r\n" % answer.length
    if head.status in (204, 304) or request.method == b"HEAD":
        # A careless platform may send a body where there is none: it would come late, as the next one's answer.
        overruns = request.method == b"HEAD" or answer.chunked or bool(answer.length)
        return Framing(0, None, b"" if head.status == 204 else length, reusable=not (answer.close or overruns))
    if answer.chunked:
        plain = request.version == b"1.0"
        chunks = ChunkedBody(plain=plain, trailers=trailers, nominated=answer.nominated)
        line = b"" if plain else b"Transfer-Encoding: chunked\r\n"
        if answer.trailer and not plain:
            line += b"Trailer: %b\r\n" % answer.trailer
        return Framing(None, chunks, line, reusable=not answer.close)
    return Framing(answer.length, None, length, answer.length is not None and not answer.close)
