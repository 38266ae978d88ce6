"""HTTP as bytes, for what no client would send."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


async def exchange(origin: str, request: str | bytes, *, seconds: float = 10) -> bytes:
    """Send a request, `{host}` in it being the origin's own, and read until the other side closes."""
    parts = urlsplit(origin)
    if isinstance(request, str):
        request = request.replace("{host}", parts.netloc).encode("latin-1")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), seconds)
    finally:
        writer.close()
