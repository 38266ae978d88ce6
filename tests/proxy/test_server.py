"""Starting and stopping."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from bridge.errors import BridgeError
from bridge.exchange import Answer
from bridge.proxy.server import listener, serve_internal
from bridge.settings.addresses import Address

from .conftest import OK, Bridge, Peer, Platform

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ROOT = Path(__file__).parents[2]


async def test_what_is_idle_ends_at_once(bridge: Bridge) -> None:
    used, unused = await bridge.client(), await bridge.client()
    await used.send(GET)
    await used.message()
    await asyncio.wait_for(bridge.server.shutdown(), 2)
    assert await used.rest() == b""
    assert await unused.rest() == b""


async def test_what_runs_is_finished(bridge: Bridge, platform: Platform) -> None:
    platform.handler = platform.by_hand
    waiting, streaming = await bridge.client(), await bridge.client()
    await streaming.send(GET)
    stream = await platform.accept()
    await stream.head()
    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    await streaming.until(b"hello")
    await waiting.send(GET + GET)
    wait = await platform.accept()
    await wait.head()
    stopping = asyncio.create_task(bridge.server.shutdown())
    await asyncio.sleep(0.05)
    await wait.send(OK)
    head, body = await waiting.message()
    assert b"\r\nConnection: close\r\n" in head
    assert body == b"ok"
    assert await waiting.rest() == b""  # the second one has not been begun and may be sent elsewhere
    await stream.send(b"world")
    assert await streaming.rest() == b"world"
    await asyncio.wait_for(stopping, 2)
    assert len(bridge.decisions.asked) == 2


async def test_an_answer_of_ours_is_finished(bridge: Bridge) -> None:
    go = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await go.wait()
        await PlainTextResponse("done")(scope, receive, send)

    bridge.decisions.default = Answer(app)
    client = await bridge.client()
    await client.send(GET)
    await bridge.settled(lambda: len(bridge.server.server_state.tasks) == 1)
    stopping = asyncio.create_task(bridge.server.shutdown())
    await asyncio.sleep(0.05)
    go.set()
    head, body = await client.message()
    assert b"connection: close" in head
    assert body == b"done"
    assert await client.rest() == b""
    await asyncio.wait_for(stopping, 2)


async def test_a_tunnel_is_ended(bridge: Bridge) -> None:
    client, peer = await bridge.asking(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    await peer.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    await client.head()
    await asyncio.wait_for(bridge.server.shutdown(), 2)
    with pytest.raises(ConnectionResetError):
        await client.rest()


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("closes_pool", [True, False])
async def test_what_does_not_end_is_cut(bridge: Bridge, closes_pool: bool) -> None:
    """A body that ends with the connection must not look complete; nor where the application forgets its pool."""
    if not closes_pool:
        bridge.pool.close = lambda: asyncio.sleep(0)
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
    await client.until(b"hello")
    await asyncio.wait_for(bridge.server.shutdown(), 3)
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_the_internal_listener_is_one_of_its_own() -> None:
    async with serve_internal(PlainTextResponse("inside"), Address("127.0.0.1", 0)) as address:
        client = Peer(*await asyncio.open_connection(*address))
        await client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.message())[1] == b"inside"
        async with serve_internal(PlainTextResponse("another worker"), address):
            pass
        client.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_an_address_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BridgeError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            listener(Address("127.0.0.1", port))
    with pytest.raises(BridgeError, match=r"cannot listen on nowhere\.invalid:1"):
        listener(Address("nowhere.invalid", 1))


SERVICE = """
import os, sys
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
    sys.exit(serve("service:create", Address.parse(os.environ["LISTEN"]), int(sys.argv[1])))
"""


class Service:
    """`serve` in processes of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, internal: int) -> None:
        self.process = process
        self.port = port
        self.internal = internal

    async def client(self, port: int = 0) -> Peer:
        deadline = time.monotonic() + 20
        while True:
            try:
                return Peer(*await asyncio.open_connection("127.0.0.1", port or self.port))
            except ConnectionError:
                assert time.monotonic() < deadline
                assert self.process.returncode is None
                await asyncio.sleep(0.05)

    async def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(sign)
        return await asyncio.wait_for(self.process.wait(), 20)


@pytest.fixture
async def service(tmp_path: Path, platform: Platform, request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    (tmp_path / "service.py").write_text(SERVICE)
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    environment = os.environ | {
        "LISTEN": f"127.0.0.1:{ports[0]}",
        "INTERNAL": f"127.0.0.1:{ports[1]}",
        "PLATFORM": str(platform.upstream),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(tmp_path / "service.py"), *request.param, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    yield Service(process, *ports)
    if process.returncode is None:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


@pytest.mark.asyncio(loop_factories=["asyncio"])
@pytest.mark.parametrize("service", [["1"]], indirect=True)
async def test_sigterm_finishes_what_runs_and_exits_with_0(service: Service, platform: Platform) -> None:
    platform.handler = platform.by_hand
    client = await service.client()
    await client.send(GET)
    peer = await platform.accept()
    await peer.head()
    service.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    await peer.send(OK)
    assert (await client.message())[1] == b"ok"
    client.close()
    assert await asyncio.wait_for(service.process.wait(), 10) == 0


@pytest.mark.asyncio(loop_factories=["asyncio"])
@pytest.mark.parametrize("service", [["2"]], indirect=True)
async def test_workers_share_the_port(service: Service, platform: Platform) -> None:
    pids = set()
    deadline = time.monotonic() + 20
    while len(pids) < 2 and time.monotonic() < deadline:
        client = await service.client()
        await client.send(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        pids.add((await client.message())[1])
        client.close()
    assert len(pids) == 2
    client = await service.client()
    await client.send(GET)
    assert (await client.message())[1] == b"ok"
    inside = await service.client(service.internal)
    await inside.send(GET)
    assert (await inside.message())[1] == b"inside"
    inside.close()
    client.close()
    assert await service.stop() == 0


@pytest.mark.asyncio(loop_factories=["asyncio"])
@pytest.mark.parametrize("service", [["1", "fail"], ["2", "fail"]], indirect=True)
async def test_a_start_that_fails_is_no_success(service: Service) -> None:
    code = await asyncio.wait_for(service.process.wait(), 20)
    assert code in (1, 3)


def test_the_room_names_no_other_server() -> None:
    """uvicorn's `http=auto` takes h11 where httptools is missing: three times the cost, and none of this."""
    from bridge.proxy import server

    assert server.PROTOCOL == "bridge.proxy.protocol:BridgeProtocol"
    assert not re.search(r"\bauto\b", Path(server.__file__).read_text())
