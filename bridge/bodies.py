"""Reading the body of somebody else's answer: counted while it is inflated, so that a small one cannot become large.

HTTP libraries inflate a whole chunk before anyone can count, so our clients ask for raw bytes and gzip alone.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable

ACCEPTED = "gzip"
"""What to write in `Accept-Encoding`."""


class BodyError(ValueError):
    """A body that is not taken; the message says why. `same_again` says that asking again would not help."""

    def __init__(self, message: str, *, same_again: bool = False) -> None:
        super().__init__(message)
        self.same_again = same_again


async def inflated(chunks: AsyncIterable[bytes], coding: str, limit: int) -> bytes:
    """The body of at most `limit` bytes, both as it comes and inflated; raises `BodyError`.

    `coding` is the answer's `Content-Encoding`, empty where it has none.
    """
    coding = coding.strip().lower()
    if coding not in ("", "identity", "gzip"):
        raise BodyError("a body in a coding that was not asked for", same_again=True)
    inflate = zlib.decompressobj(wbits=31) if coding == "gzip" else None
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += inflate.decompress(chunk, limit + 1 - len(body)) if inflate else chunk
        except zlib.error as error:
            raise BodyError("a body that is not gzip though it says so") from error
        if max(len(body), received) > limit:
            raise BodyError(f"a body of more than {limit} bytes", same_again=True)
        if inflate and inflate.unused_data:
            raise BodyError("a gzip body with something behind its end")
    if inflate and not inflate.eof:
        raise BodyError("a gzip body that ends too early")
    return bytes(body)
