"""HTTP as bytes, for what no client would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

LIMIT = 256 * 1024
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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


@contextlib.asynccontextmanager
async def listening(connected: Connected) -> AsyncIterator[int]:
    """The port on loopback where `connected` takes connections while the block lasts; none of them outlives it."""
    running: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await connected(reader, writer)
        finally:
            writer.transport.abort()
            running.discard(task)

    server = await asyncio.start_server(one, "127.0.0.1", 0, limit=LIMIT)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
