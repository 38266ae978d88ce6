"""A WebSocket is decided like any other request: session, gate and identity stand before the first byte passes."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import urlsplit

from bridge.simulator import seed
from tests.support.stage import Browser
from tests.support.stage import stage as open_stage

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Platform:
    """Takes every WebSocket and echoes what comes; other requests are 200."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head.lower())
                if b"upgrade: websocket" not in head.lower():
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    continue
                writer.write(SWITCHED)
                while frame := await reader.read(1024):
                    writer.write(frame)
                break
        writer.close()


async def upgraded(browser: Browser, path: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """The head of the answer to a WebSocket that this browser opens, spoofing an identity."""
    parts = urlsplit(browser.stage.origin)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    cookies = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookies}\r\nOrigin: {browser.stage.origin}\r\n"
        "Connection: Upgrade, X-Kombo-Tenant\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Kombo-User: spoofed\r\n\r\n".encode()
    )
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20), reader, writer


async def test_a_websocket_needs_what_its_route_needs(tmp_path: Path) -> None:
    platform = Platform()
    server = await asyncio.start_server(platform.connected, "127.0.0.1", 0)
    upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, open_stage(tmp_path, upstream=upstream) as stage:
        course = "/courses/cybersecurity-101/live"
        async with stage.browser() as nobody:
            head, _, writer = await upgraded(nobody, course)
            assert head.startswith(b"HTTP/1.1 401 ")
            assert b"bridge-error: login_required" in head.lower()
            writer.close()
        async with stage.browser() as hugo:
            await hugo.sign_in("acme", seed.HUGO)
            head, _, writer = await upgraded(hugo, course)
            assert head.startswith(b"HTTP/1.1 403 ")
            assert b"bridge-error: not_enrolled" in head.lower()
            writer.close()
            assert not any(b"upgrade: websocket" in seen for seen in platform.heads)
        async with stage.browser() as jane:
            await jane.sign_in("acme", seed.JANE)
            head, reader, writer = await upgraded(jane, course)
            assert head.startswith(b"HTTP/1.1 101 ")
            writer.write(b"frame")
            assert await asyncio.wait_for(reader.readexactly(5), 20) == b"frame"
            writer.close()
        [seen] = [seen for seen in platform.heads if b"upgrade: websocket" in seen]
        assert f"\r\nx-kombo-user: {seed.JANE.id}\r\n".lower().encode() in seen
        assert b"\r\nx-kombo-tenant: acme\r\n" in seen
        assert b"\r\nx-kombo-course: cybersecurity-101\r\n" in seen
        assert b"spoofed" not in seen
        assert b"kombo-bridge" not in seen
