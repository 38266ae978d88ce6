"""Both ends of many streams that say nothing: `python -m bench.forwarding.ends platform|client …`.

Each is a process of its own. When all streams are open and quiet, the platform sends one event over each, and the
client counts where it came out.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import signal
import sys
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

from bench.forwarding.sides import ROUTE

STREAM = f"{ROUTE}/stream"
AT_ONCE = 64
PER_ADDRESS = 20_000
"""Streams that share one address of the client's: each needs a port of its own, of which a system gives out 28,000."""
PATIENCE_SECONDS = 20
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True)
class Kind:
    """What a stream's request says beside the usual, the status that opens it, and one event."""

    asks: bytes
    status: bytes
    event: bytes


SSE = Kind(b"Accept: text/event-stream\r\n", b"HTTP/1.1 200 ", b"data: one\n\n")
WEBSOCKET = Kind(
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"HTTP/1.1 101 ",
    b"\x81\x03one",
)
KINDS = {"SSE": SSE, "WebSocket": WEBSOCKET}


class Streams(asyncio.Protocol):
    """The platform's end. A stream stays open; any other request has an answer of 1 KiB."""

    def __init__(self, open_: dict[Streams, bytes]) -> None:
        self._open = open_
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._read.endswith(b"\r\n\r\n"):
            return
        head, self._read = self._read, b""
        if STREAM.encode() not in head:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024)
            return
        lines = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
        if key := lines.get(b"sec-websocket-key"):
            accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
            )
            self._open[self] = WEBSOCKET.event
        else:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            self._open[self] = b"%x\r\n%b\r\n" % (len(SSE.event), SSE.event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.pop(self, None)


async def platform(port: int) -> None:
    """Until it is ended; on SIGUSR1 each open stream has an event."""
    open_: dict[Streams, bytes] = {}
    loop = asyncio.get_running_loop()

    def speak() -> None:
        for stream, event in open_.items():
            stream.transport.write(event)

    loop.add_signal_handler(signal.SIGUSR1, speak)
    server = await loop.create_server(lambda: Streams(open_), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class Listener(asyncio.Protocol):
    """The client's end of one stream."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.heard = False
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self.answered.done() and b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            self.answered.set_result(head.startswith(self._kind.status))
        self.heard = self.heard or (self.answered.done() and self._kind.event in self._read)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_result(False)


async def client(kind: Kind, url: str, count: int, sessions: list[str]) -> None:
    """Opens that many, says how many are open, and at the next line on stdin how many have heard of an event."""
    origin, loop = urlsplit(url), asyncio.get_running_loop()
    host, port = origin.hostname or "", origin.port or 80
    gate, listeners = asyncio.Semaphore(AT_ONCE), []

    async def begin(number: int) -> None:
        async with gate:
            address = (f"127.0.0.{2 + number // PER_ADDRESS}", 0)
            with contextlib.suppress(OSError, TimeoutError):
                transport, listener = await loop.create_connection(
                    lambda: Listener(kind), host, port, local_addr=address
                )
                session = sessions[number % len(sessions)]
                head = f"GET {STREAM} HTTP/1.1\r\nHost: {origin.netloc}\r\n{session}\r\n"
                transport.write(head.encode() + kind.asks + b"\r\n")
                if await asyncio.wait_for(listener.answered, PATIENCE_SECONDS):
                    listeners.append((transport, listener))

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(begin(number))
    print(json.dumps({"open": len(listeners)}), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps({"heard": sum(listener.heard for _, listener in listeners)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ends = parser.add_subparsers(dest="end", required=True)
    ends.add_parser("platform").add_argument("port", type=int)
    theirs = ends.add_parser("client")
    theirs.add_argument("kind", choices=KINDS)
    theirs.add_argument("url")
    theirs.add_argument("count", type=int)
    theirs.add_argument("sessions", nargs="+")
    said = vars(parser.parse_args())
    if said.pop("end") == "platform":
        uvloop.run(platform(**said))
    else:
        uvloop.run(client(KINDS[said.pop("kind")], **said))


if __name__ == "__main__":
    main()
