"""A bridge on real sockets between a client that writes bytes and a platform that answers with bytes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.responses import Response

from bridge.errors import Refusal
from bridge.exchange import Decision, Forward, Head
from bridge.proxy.headers import HeaderPolicy
from bridge.proxy.limits import Limits
from bridge.proxy.protocol import BridgeProtocol
from bridge.proxy.recorder import Recorder
from bridge.proxy.server import BridgeServer
from bridge.proxy.upstream import UpstreamPool
from bridge.settings.addresses import Upstream

IDENTITY = b"X-Kombo-User: u1\r\nX-Kombo-Tenant: acme\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WAIT = 5.0


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Everything on both loops, whose transports differ in what they do after an end; long lists of data on one."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


class Decisions:
    """A decider that says what a test sets: by path, else `Forward` with an identity. Remembers what it was asked."""

    def __init__(self) -> None:
        self.by_path: dict[bytes, Decision | Awaitable[Decision] | Exception] = {}
        self.asked: list[Head] = []
        self.refused: list[Refusal] = []
        self.default: Decision = Forward(IDENTITY)
        self.sessions: dict[str, float] = {}

    def decide(self, head: Head) -> Decision | Awaitable[Decision]:
        self.asked.append(head)
        said = self.by_path.get(head.path, self.default)
        if isinstance(said, Exception):
            raise said
        return said

    def refuse(self, head: Head, refusal: Refusal) -> Response:
        self.refused.append(refusal)
        return Response(refusal.reason, refusal.status, {"Bridge-Error": str(refusal.code)})

    async def standing(self, sessions: Collection[str]) -> Mapping[str, float]:
        return {name: self.sessions[name] for name in sessions if name in self.sessions}


class Peer:
    """One connection of a platform or a client, with reads that cannot hang a test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.trailers: list[bytes] = []  # of the last message read

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.wait_for(self.writer.drain(), WAIT)
            if len(pieces) > 1:
                await asyncio.sleep(0.01)  # in packets of their own

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT)

    async def exactly(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), WAIT)

    async def until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(end), WAIT)

    async def some(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(65536), WAIT)

    async def rest(self) -> bytes:
        """What comes until the other side ends in order. A reset raises `ConnectionResetError`."""
        return await asyncio.wait_for(self.reader.read(-1), WAIT)

    async def silent(self, seconds: float = 0.15) -> bool:
        """Whether nothing comes for a while."""
        try:
            got = await asyncio.wait_for(self.reader.read(1), seconds)
        except TimeoutError:
            return True
        raise AssertionError(f"got {got!r}")

    async def message(self, *, bodiless: bool = False) -> tuple[bytes, bytes]:
        """A head, and its body by Content-Length or chunks (decoded; trailers are left in `trailers`)."""
        self.trailers = []
        head = await self.head()
        if bodiless:
            return head, b""
        if re.search(rb"(?im)^transfer-encoding: chunked\r$", head):
            body = b""
            while size := int((await self.until(b"\r\n"))[:-2].partition(b";")[0], 16):
                body += (await self.exactly(size + 2))[:-2]
            while (line := await self.until(b"\r\n")) != b"\r\n":
                self.trailers.append(line[:-2])
            return head, body
        length = re.search(rb"(?im)^content-length: ([0-9]+)\r$", head)
        return head, await self.exactly(int(length[1])) if length else b""

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


Handler = Callable[[Peer], Awaitable[None]]


class Platform:
    """A server whose answers are bytes. `requests` are the heads and bodies that it received, in order."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []  # in turn; None closes the connection; the last one stays
        self.handler: Handler = self._answer
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0
        self.peers: list[Peer] = []
        self.waiting: asyncio.Queue[Peer] = asyncio.Queue()
        self.upstream = Upstream("http", "127.0.0.1", 0)
        self.servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def accept(self) -> Peer:
        """The next connection of the bridge, where the handler is `by_hand`."""
        return await asyncio.wait_for(self.waiting.get(), WAIT)

    async def by_hand(self, peer: Peer) -> None:
        await self.waiting.put(peer)
        await asyncio.Event().wait()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.handler(peer)
        writer.transport.abort()

    async def _answer(self, peer: Peer) -> None:
        while True:
            self.requests.append(await peer.message())
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] if self.answers else OK
            if answer is None:
                return
            await peer.send(answer)

    def stop(self) -> None:
        for server in self.servers:
            server.close()
        for task in self._tasks:
            task.cancel()


class Bridge:
    """The server under test."""

    def __init__(self, server: uvicorn.Server, pool: UpstreamPool, decisions: Decisions, platform: Platform) -> None:
        self.server = server
        self.pool = pool
        self.decisions = decisions
        self.platform = platform
        self.port = 0
        self.clients: list[Peer] = []
        self.tls: ssl.SSLContext | None = None

    @property
    def connections(self) -> list[BridgeProtocol]:
        return [each for each in self.server.server_state.connections if isinstance(each, BridgeProtocol)]

    @property
    def held(self) -> int:
        """Bytes that wait in the bridge, in either direction, for its one client."""
        (connection,) = self.connections
        exchange = connection._current
        size = connection.transport.get_write_buffer_size() + (exchange.held if exchange else 0)
        return size + sum(each.transport.get_write_buffer_size() for each in self.pool._open)

    async def client(self, *, small_buffers: bool = False) -> Peer:
        sock = socket.socket()
        if small_buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        limit = 1024 if small_buffers else 64 * 1024
        reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
        peer = Peer(reader, writer)
        self.clients.append(peer)
        return peer

    async def ask(self, *pieces: bytes) -> tuple[bytes, bytes]:
        """One request on a connection of its own."""
        client = await self.client()
        await client.send(*pieces)
        return await client.message(bodiless=pieces[0].startswith(b"HEAD "))

    async def asking(self, request: bytes) -> tuple[Peer, Peer]:
        """A client that has sent this, and the platform's end of it, which has read the head and answers by hand."""
        self.platform.handler = self.platform.by_hand
        client = await self.client()
        await client.send(request)
        peer = await self.platform.accept()
        await peer.head()
        return client, peer

    async def forwarded(self, request: bytes) -> bytes:
        """The head that the platform receives for a request."""
        head, _ = await self.ask(request)
        assert head.startswith(b"HTTP/1.1 200 "), head
        return self.platform.requests[-1][0]

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(WAIT):
            while not condition():
                await asyncio.sleep(0.005)


Start = Callable[..., Awaitable[Bridge]]


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    platform = Platform()
    server = await asyncio.start_server(platform.connected, "127.0.0.1", 0)
    platform.upstream = Upstream("http", "127.0.0.1", server.sockets[0].getsockname()[1])
    platform.servers.append(server)
    yield platform
    platform.stop()
    await asyncio.sleep(0)


@pytest.fixture
async def start(platform: Platform) -> AsyncIterator[Start]:
    """Starts a bridge in front of the platform; further keyword arguments are `Limits`."""
    async with contextlib.AsyncExitStack() as stack:

        async def started(
            *,
            upstream: Upstream | None = None,
            policy: HeaderPolicy | None = None,
            upstream_tls: ssl.SSLContext | None = None,
            upstream_name: str | None = None,
            certificate: str | None = None,
            send_buffer: int | None = None,
            recorder: Recorder | None = None,
            **limits: Any,
        ) -> Bridge:
            decisions = Decisions()
            policy = policy or HeaderPolicy(["X-Remote-User"], (), "https://learn.example.com")
            pool = UpstreamPool(
                upstream or platform.upstream,
                policy,
                Limits(**limits),
                tls=upstream_tls,
                name=upstream_name,
                recorder=recorder,
            )

            async def app(scope: Any, receive: Any, send: Any) -> None:
                scope["state"].update(decider=decisions, upstream=pool)
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await pool.close()
                await send({"type": "lifespan.shutdown.complete"})

            config = uvicorn.Config(
                app,
                http=BridgeProtocol,
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                ssl_certfile=certificate,
            )
            sock = socket.create_server(("127.0.0.1", 0))
            if send_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            config.load()
            server = BridgeServer(config)  # without its main loop and signal handlers: `shutdown` is called by tests
            server.lifespan = config.lifespan_class(config)
            await server.startup([sock])
            bridge = Bridge(server, pool, decisions, platform)
            bridge.port = sock.getsockname()[1]

            async def stop() -> None:
                for client in bridge.clients:
                    client.writer.transport.abort()
                for listening in server.servers:
                    listening.close()
                for connection in bridge.connections:
                    connection.cut()
                await server.lifespan.shutdown()
                await asyncio.sleep(0)

            stack.push_async_callback(stop)
            return bridge

        yield started


@pytest.fixture
async def bridge(start: Start) -> Bridge:
    return await start()
