"""TLS in front of a plain server on loopback, as a load balancer ends it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from bridge.demo.responses import IdpKey


@contextlib.asynccontextmanager
async def tls(folder: Path, port: int, behind: int) -> AsyncIterator[None]:
    """Pass what comes to `port`, with a certificate that nobody vouches for, on to the port `behind`."""
    key = IdpKey.generate("127.0.0.1")
    (folder / "tls.pem").write_text(key.private_pem.decode() + key.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", behind)
        with contextlib.suppress(OSError):
            await asyncio.gather(_pass(reader, back), _pass(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=context)
    try:
        yield
    finally:
        server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
