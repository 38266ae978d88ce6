"""`serve` in processes of its own, with an application that forwards everything to the tests' platform."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from .conftest import Peer, Platform

ROOT = Path(__file__).parents[2]

SERVICE = """
import os, resource, signal, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
import contextlib
from bridge.exchange import Answer, Forward
from bridge.proxy.headers import HeaderPolicy
from bridge.proxy.server import serve, serve_internal
from bridge.proxy.upstream import UpstreamPool
from bridge.settings.addresses import Address, Upstream


class Decisions:
    def decide(self, head):
        if head.path == b"/pid":
            return Answer(PlainTextResponse(str(os.getpid())))
        return Forward(b"X-Kombo-User: u1\\r\\n")

    def refuse(self, head, refusal):
        return PlainTextResponse(refusal.reason, refusal.status)

    async def standing(self, sessions):
        return dict.fromkeys(sessions, float("inf"))


def create():
    @contextlib.asynccontextmanager
    async def lifespan(app):
        if "fail" in sys.argv:
            raise RuntimeError("cannot start")
        pool = UpstreamPool(Upstream.parse(os.environ["PLATFORM"]), HeaderPolicy())
        internal = Address.parse(os.environ["INTERNAL"])
        async with serve_internal(PlainTextResponse("inside"), internal):
            yield {"decider": Decisions(), "upstream": pool}
        await pool.close()

    return Starlette(lifespan=lifespan)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests under nohup has it ignored
    if "few" in sys.argv:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    sys.exit(serve("service:create", Address.parse(os.environ["LISTEN"]), int(sys.argv[1])))
"""


class Service:
    """A service that runs; its arguments are the number of workers, and how it should differ."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, internal: int) -> None:
        self.process = process
        self.port = port
        self.internal = internal
        self.clients: list[Peer] = []

    async def client(self, port: int = 0) -> Peer:
        """A connection, as soon as somebody listens."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return await self.connected(port or self.port)
            except ConnectionError:
                assert time.monotonic() < deadline
                assert self.process.returncode is None
                await asyncio.sleep(0.05)

    async def connected(self, port: int = 0) -> Peer:
        """A connection; raises `ConnectionError` where nobody listens."""
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port or self.port))
        self.clients.append(peer)
        return peer

    async def workers(self, count: int) -> set[int]:
        """The processes that answer, once there are so many."""
        pids: set[int] = set()
        deadline = time.monotonic() + 20
        while len(pids) < count:
            assert time.monotonic() < deadline
            client = await self.client()
            try:
                await client.send(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
                pids.add(int((await client.message())[1]))
            except (ConnectionError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)  # it was accepted by one that had just died
            client.close()
        return pids

    async def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(sign)
        return await asyncio.wait_for(self.process.wait(), 20)


@contextlib.asynccontextmanager
async def serving(folder: Path, platform: Platform, arguments: Sequence[str]) -> AsyncIterator[Service]:
    """`arguments` are those of the program above."""
    (folder / "service.py").write_text(SERVICE)
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    environment = os.environ | {
        "LISTEN": f"127.0.0.1:{ports[0]}",
        "INTERNAL": f"127.0.0.1:{ports[1]}",
        "PLATFORM": str(platform.upstream),
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(folder / "service.py"), *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    made = Service(process, *ports)
    try:
        yield made
    finally:
        for client in made.clients:
            client.writer.transport.abort()
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)
