"""Connections to the platform: when one is used again, and what happens when it has died."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from bridge.proxy.upstream import UpstreamConnection
from bridge.settings.addresses import Upstream
from tests.support.needs import need

from .conftest import OK, Bridge, Peer, Platform, Start

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_connections_are_used_again(bridge: Bridge, platform: Platform) -> None:
    for _ in range(5):
        assert (await bridge.ask(GET))[1] == b"ok"
    assert platform.connections == 1


async def test_exchanges_at_once_have_connections_of_their_own(bridge: Bridge, platform: Platform) -> None:
    platform.handler = platform.by_hand
    clients = [await bridge.client() for _ in range(5)]
    for number, client in enumerate(clients):
        await client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    for _ in clients:
        peer = await platform.accept()
        path = (await peer.head()).split(b" ")[1]
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + path)
    assert [(await client.message())[1] for client in clients] == [b"/%d" % number for number in range(5)]


def dies_after_one(platform: Platform) -> None:
    """Each connection answers one request, reads the head of a second one and is then closed without an answer."""

    async def handler(peer: Peer) -> None:
        platform.requests.append(await peer.message())
        await peer.send(OK)
        platform.requests.append((await peer.head(), b""))

    platform.handler = handler


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PUT"])
async def test_a_request_on_a_connection_that_died_is_repeated_once(
    bridge: Bridge, platform: Platform, method: bytes
) -> None:
    dies_after_one(platform)
    await bridge.ask(GET)
    head, _ = await bridge.ask(method + b" /again HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert platform.connections == 2
    assert [sent.split(b" ")[0] for sent, _ in platform.requests] == [b"GET", method, method]


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_cannot_be_repeated_is_not(bridge: Bridge, platform: Platform, request_: bytes) -> None:
    dies_after_one(platform)
    await bridge.ask(GET)
    head, _ = await bridge.ask(request_)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert platform.connections == 1
    assert len(platform.requests) == 2


async def test_a_request_is_not_repeated_twice(bridge: Bridge, platform: Platform) -> None:
    async def handler(peer: Peer) -> None:
        platform.requests.append(await peer.message())
        if platform.connections == 1:
            await peer.send(OK)
            platform.requests.append(await peer.message())

    platform.handler = handler
    await bridge.ask(GET)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert len(platform.requests) == 3


async def test_a_new_connection_that_dies_is_not_tried_again(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [None]
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert len(platform.requests) == 1


async def test_half_an_answer_is_not_asked_for_again(bridge: Bridge, platform: Platform) -> None:
    async def handler(peer: Peer) -> None:
        platform.requests.append(await peer.message())
        await peer.send(OK)
        platform.requests.append(await peer.message())
        await peer.send(b"HTTP/1.1 200")

    platform.handler = handler
    await bridge.ask(GET)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert len(platform.requests) == 2


async def test_a_connection_that_ended_while_unused_is_not_taken(bridge: Bridge, platform: Platform) -> None:
    await bridge.ask(GET)
    platform.peers[0].close()
    await bridge.settled(lambda: not bridge.pool._open)
    assert (await bridge.ask(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"))[1] == b"ok"
    assert platform.connections == 2


async def test_what_cannot_be_repeated_takes_only_a_fresh_connection(start: Start, platform: Platform) -> None:
    bridge = await start(upstream_fresh=0.05)
    post = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"
    await bridge.ask(GET)
    await bridge.ask(post)
    assert platform.connections == 1
    await asyncio.sleep(0.1)
    await bridge.ask(post)
    assert platform.connections == 2
    await asyncio.sleep(0.1)
    await bridge.ask(GET)
    assert platform.connections == 2


async def test_unused_connections_are_closed_after_a_while(start: Start, platform: Platform) -> None:
    bridge = await start(upstream_keep_alive=0.1, idle=0.2)
    await bridge.ask(GET)
    assert len(bridge.pool._idle) == 1
    await bridge.settled(lambda: not bridge.pool._open)
    assert (await bridge.ask(GET))[1] == b"ok"


async def ask_at_once(bridge: Bridge, platform: Platform, number: int) -> None:
    """So many requests, so that as many connections are kept afterwards, as far as they may be."""
    platform.handler = platform.by_hand
    clients = [await bridge.client() for _ in range(number)]
    for client in clients:
        await client.send(GET)
    peers = [await platform.accept() for _ in clients]
    for peer in peers:
        await peer.head()
        await peer.send(OK)
    for client in clients:
        await client.message()


async def test_unused_connections_are_few(start: Start, platform: Platform) -> None:
    bridge = await start(upstream_idle=2)
    await ask_at_once(bridge, platform, 5)
    await bridge.settled(lambda: len(bridge.pool._open) == 2)


async def test_connections_have_a_bound(start: Start, platform: Platform) -> None:
    bridge = await start(upstream_connections=1)
    platform.handler = platform.by_hand
    client = await bridge.client()
    await client.send(GET)
    await platform.accept()
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert "all 1 connections that `forwarding.upstream_connections` allows" in bridge.decisions.refused[0].reason


async def test_a_kept_connection_makes_room_for_one_that_is_needed(start: Start, platform: Platform) -> None:
    """A POST takes none that may be closing; the limit must not refuse it for the sake of one that nobody uses."""
    bridge = await start(upstream_connections=2, upstream_fresh=0)
    await ask_at_once(bridge, platform, 2)
    platform.handler = platform._answer
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
    for _ in range(3):
        assert (await bridge.ask(post))[1] == b"ok"
        assert len(bridge.pool._open) <= 2
    await bridge.settled(lambda: len(bridge.pool._idle) == len(bridge.pool._open))


async def test_many_kept_connections_may_end_together(bridge: Bridge) -> None:
    """The platform restarts: each that is lost must not look through all the others."""
    compared = 0

    class Counted(UpstreamConnection):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        __hash__ = UpstreamConnection.__hash__

    made = [Counted(bridge.pool) for _ in range(100)]
    for connection in made:
        connection.transport = asyncio.Transport()
        bridge.pool.opened(connection)
        bridge.pool.give(connection)
    for connection in reversed(made):
        bridge.pool.lost(connection)
    assert not bridge.pool._idle
    assert not bridge.pool._open
    assert compared < 1000


async def test_connecting_has_a_time_limit(start: Start, platform: Platform) -> None:
    """A TLS handshake that nobody answers is the one that can be had without a network."""
    platform.handler = platform.by_hand
    upstream = Upstream("https", "127.0.0.1", platform.upstream.port)
    bridge = await start(upstream=upstream, connect=0.1)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert "within 0.1 s" in bridge.decisions.refused[0].reason


async def test_no_other_limit_runs_while_it_connects(start: Start, platform: Platform) -> None:
    platform.handler = platform.by_hand
    upstream = Upstream("https", "127.0.0.1", platform.upstream.port)
    bridge = await start(upstream=upstream, connect=0.6, idle=0.1, body=0.1, first_byte=0.1)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert "within 0.6 s" in bridge.decisions.refused[0].reason


async def test_the_platform_may_listen_on_a_unix_socket(start: Start, platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "platform.sock"
    platform.servers.append(await asyncio.start_unix_server(platform.connected, str(path)))
    bridge = await start(upstream=Upstream("unix", path=str(path)))
    for _ in range(2):
        assert (await bridge.ask(GET))[1] == b"ok"
    assert platform.connections == 1


async def test_a_unix_socket_that_is_gone(start: Start, platform: Platform, tmp_path: Path) -> None:
    """Missing, left behind by a platform that has died, or no socket at all."""
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing.sock", left, tmp_path / "file"):
        bridge = await start(upstream=Upstream("unix", path=str(path)))
        head, _ = await bridge.ask(GET)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert str(path) in bridge.decisions.refused[0].reason


async def test_a_unix_socket_that_comes_back(start: Start, platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "platform.sock"
    bridge = await start(upstream=Upstream("unix", path=str(path)))
    for _ in range(2):
        assert (await bridge.ask(GET))[0].startswith(b"HTTP/1.1 502 ")
        server = await asyncio.start_unix_server(platform.connected, str(path))
        platform.servers.append(server)
        assert (await bridge.ask(GET))[1] == b"ok"
        server.close()
        path.unlink()
        for peer in platform.peers:
            peer.close()
        await bridge.settled(lambda: not bridge.pool._open)


async def test_the_platform_may_have_an_ipv6_address(start: Start, platform: Platform) -> None:
    try:
        server = await asyncio.start_server(platform.connected, "::1", 0)
    except OSError:
        need(None, "IPv6 on loopback")
        return
    platform.servers.append(server)
    bridge = await start(upstream=Upstream.parse(f"http://[::1]:{server.sockets[0].getsockname()[1]}"))
    assert (await bridge.ask(GET))[1] == b"ok"
    assert b"\r\nHost: a\r\n" in platform.requests[0][0]


async def test_a_connection_that_dies_while_it_is_taken_costs_no_request(bridge: Bridge, platform: Platform) -> None:
    """The platform closes what it has kept for too long just when the next request is on its way."""

    async def handler(peer: Peer) -> None:
        platform.requests.append(await peer.message())
        await peer.send(OK)
        peer.close()

    platform.handler = handler
    for _ in range(100):
        assert (await bridge.ask(GET))[1] == b"ok"


@pytest.mark.parametrize("framing", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
async def test_a_body_that_means_nothing_is_the_last_of_its_connection(
    bridge: Bridge, platform: Platform, method: bytes, framing: bytes
) -> None:
    """A platform that leaves it unread would take it for the next request, with whatever identity stands in it."""
    await bridge.ask(method + b" / HTTP/1.1\r\nHost: a\r\n" + framing)
    assert b"\r\nConnection: close\r\n" in platform.requests[0][0]
    assert (await bridge.ask(GET))[1] == b"ok"
    assert platform.connections == 2


@pytest.mark.parametrize("begin", [b"POST / HTTP/1.1\r\nContent-Length: 3", b"DELETE / HTTP/1.1\r\nContent-Length: 0"])
async def test_other_bodies_leave_the_connection_open(bridge: Bridge, platform: Platform, begin: bytes) -> None:
    await bridge.ask(begin + b"\r\nHost: a\r\n\r\n" + (b"abc" if begin.endswith(b"3") else b""))
    assert b"Connection" not in platform.requests[0][0]
    assert (await bridge.ask(GET))[1] == b"ok"
    assert platform.connections == 1


async def test_a_defect_in_connecting_is_answered(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> None:
        raise ValueError

    monkeypatch.setattr(bridge.pool, "connect", fails)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 500 ")
