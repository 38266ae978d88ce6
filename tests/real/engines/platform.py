"""A platform behind an engine: it tells what it received byte for byte, and answers what a test asks it to.

It is careless on purpose, as some servers are: it leaves the body of a GET, HEAD, OPTIONS or DELETE unread and takes it
for the next request.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support.sockets import listening

SAY = "x-say"
"""The request header that holds, as a JSON list of strings, header lines for the answer."""
EVENTS = "/my/events"
BODILESS = ("GET", "HEAD", "OPTIONS", "DELETE")
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True)
class Seen:
    """One request as it arrived. Names of headers are in lower case here, values untouched."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a header that may stand once, empty where it is absent."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else ""

    @property
    def told(self) -> bytes:
        headers = [list(header) for header in self.headers]
        digest = hashlib.sha256(self.body).hexdigest()
        return json.dumps({"method": self.method, "target": self.target, "headers": headers, "body": digest}).encode()


@dataclass
class Platform:
    """`seen` is everything that arrived, in order, `by_probe` the same by what stands in X-Probe.

    `next_event` lets an event stream go on.
    """

    origin: str = ""
    seen: list[Seen] = field(default_factory=list)
    by_probe: defaultdict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    next_event: asyncio.Event = field(default_factory=asyncio.Event)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.LimitOverrunError, ValueError):  # what cannot be read is answered by an end
            while await self._one(reader, writer):
                pass
        writer.close()
        await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.split("\r\n")[:-2]
        method, target, version = line.split(" ", 2)
        pairs = [each.partition(":")[::2] for each in lines]
        seen = Seen(method, target, [(name.lower(), value.strip(" \t")) for name, value in pairs])
        if method not in BODILESS:
            seen = Seen(method, target, seen.headers, await _body(seen, reader))
        self.seen.append(seen)
        self.by_probe[seen.get("x-probe") or ""].append(seen)
        if seen.get("upgrade") == "websocket":
            await _tunnel(seen, reader, writer)
            return False
        if target == EVENTS:
            await self._events(writer)
            return False
        said = "".join(f"{each}\r\n" for each in json.loads(seen.get(SAY) or "[]")).encode("latin-1")
        status = b"204 No Content" if method == "HEAD" else b"200 OK"
        told = b"" if method == "HEAD" else seen.told
        length = b"" if method == "HEAD" else b"Content-Length: %d\r\n" % len(told)
        writer.write(b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%b%b\r\n%b" % (status, length, said, told))
        await writer.drain()
        closes = "close" in (seen.get("connection") or "").lower() or version != "HTTP/1.1"
        return not closes

    async def _events(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: first\n\n")
        await writer.drain()
        await self.next_event.wait()
        self.next_event.clear()
        writer.write(b"data: second\n\n")
        await writer.drain()


async def _body(seen: Seen, reader: asyncio.StreamReader) -> bytes:
    if seen.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body
    return await reader.readexactly(int(seen.get("content-length") or "0"))


async def _tunnel(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Switched: what it received first, then whatever comes is sent back."""
    key = base64.b64encode(hashlib.sha1(f"{seen.get('sec-websocket-key')}{_GUID}".encode()).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n%b\n" % (key, seen.told)
    )
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


@contextlib.asynccontextmanager
async def platform() -> AsyncIterator[Platform]:
    found = Platform()
    async with listening(found.connected) as port:
        found.origin = f"http://127.0.0.1:{port}"
        yield found
