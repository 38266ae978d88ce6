"""The service in processes of its own: stopped, killed and starved while it is at work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .conftest import OK, Peer, Platform
from .service import Service, serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_factories=["asyncio"])]


@pytest.fixture
async def service(tmp_path: Path, platform: Platform, request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with serving(tmp_path, platform, request.param) as made:
        yield made


@pytest.mark.parametrize(
    ("service", "sign"),
    [(["1"], signal.SIGTERM), (["2"], signal.SIGTERM), (["1"], signal.SIGHUP)],
    indirect=["service"],
)
async def test_it_finishes_what_runs_and_exits_with_0(
    service: Service,
    platform: Platform,
    sign: signal.Signals,
) -> None:
    platform.handler = platform.by_hand
    await service.workers(1)
    clients = [await service.client() for _ in range(12)]
    for client in clients:
        await client.send(GET)
    peers = [await platform.accept() for _ in clients]
    for peer in peers:
        await peer.head()
    begun, waiting = peers[:6], peers[6:]
    for peer in begun:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    service.process.send_signal(sign)
    await asyncio.sleep(0.3)
    for peer in begun:
        await peer.send(b"world")
    for peer in waiting:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhelloworld")
    assert [(await client.message())[1] for client in clients] == [b"helloworld"] * 12
    for client in clients:
        assert await client.rest() == b""
    assert await asyncio.wait_for(service.process.wait(), 10) == 0


async def works(service: Service, answered: list[bytes]) -> None:
    """Asks again and again until nobody listens any more. Whatever was sent on a connection must be answered there."""
    while True:
        try:
            client = await service.connected()
        except ConnectionError:
            return
        try:
            await client.send(GET)
        except ConnectionError:
            return
        try:
            first = await client.reader.read(1)
        except ConnectionResetError:
            first = b""
        if not first:
            return  # it had not been accepted, and went with the listener
        head = first + await client.head()
        answered.append(head[9:12] + await client.exactly(2))
        client.close()


@pytest.mark.parametrize("service", [["1"], ["2"]], indirect=True)
async def test_sigterm_under_load_breaks_nothing_off(service: Service, platform: Platform) -> None:
    async def slowly(peer: Peer) -> None:
        while True:
            await peer.message()
            await asyncio.sleep(0.02)
            await peer.send(OK[:10], OK[10:])

    platform.handler = slowly
    await service.workers(1)
    answered: list[bytes] = []
    at_work = [asyncio.create_task(works(service, answered)) for _ in range(8)]
    while len(answered) < 50:
        await asyncio.sleep(0.01)
    assert await service.stop() == 0
    await asyncio.wait_for(asyncio.gather(*at_work), 10)  # none saw half an answer
    assert set(answered) == {b"200ok"}


@pytest.mark.parametrize("service", [["2"]], indirect=True)
async def test_workers_share_the_port(service: Service, platform: Platform) -> None:
    await service.workers(2)
    client = await service.client()
    await client.send(GET)
    assert (await client.message())[1] == b"ok"
    inside = await service.client(service.internal)
    await inside.send(GET)
    assert (await inside.message())[1] == b"inside"
    inside.close()
    client.close()
    assert await service.stop() == 0


@pytest.mark.parametrize("service", [["2"]], indirect=True)
async def test_a_worker_that_dies_is_replaced(service: Service, platform: Platform) -> None:
    before = await service.workers(2)
    dead = before.pop()
    os.kill(dead, signal.SIGKILL)
    survivor = before.pop()
    while True:
        now = await service.workers(2)
        if dead not in now:
            break
    assert survivor in now
    assert await service.stop() == 0


@pytest.mark.parametrize("service", [["1", "few"]], indirect=True)
async def test_without_descriptors_it_waits_and_goes_on(service: Service, platform: Platform) -> None:
    """Clients that come while there are none are not accepted, or closed; nothing spins, and nothing dies."""
    client = await service.client()
    await client.send(GET)
    assert (await client.message())[1] == b"ok"
    crowd = []
    for _ in range(120):
        with contextlib.suppress(ConnectionError):
            crowd.append(await service.connected())
    for _ in range(3):  # on connections that are there already
        await client.send(GET)
        assert (await client.message())[1] == b"ok"
    before = cpu(service.process.pid)
    await asyncio.sleep(1)
    assert cpu(service.process.pid) - before < 0.5
    for one in crowd:
        one.writer.transport.abort()
    while True:
        another = await service.client()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await another.send(GET)
            assert (await another.message())[1] == b"ok"
            break
        await asyncio.sleep(0.05)
    client.close()
    another.close()
    assert await service.stop() == 0


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("service", [["1", "fail"], ["2", "fail"]], indirect=True)
async def test_a_start_that_fails_is_no_success(service: Service) -> None:
    code = await asyncio.wait_for(service.process.wait(), 20)
    assert code in (1, 3)
