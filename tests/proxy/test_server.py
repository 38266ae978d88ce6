"""Starting and stopping."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from bridge.errors import BridgeError
from bridge.exchange import Answer
from bridge.proxy.server import listener, serve_internal, try_both
from bridge.settings.addresses import Address
from tests.support.needs import need

from .conftest import OK, Bridge, Peer, Platform

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_what_is_idle_ends_at_once(bridge: Bridge) -> None:
    used, unused = await bridge.client(), await bridge.client()
    await used.send(GET)
    await used.message()
    await asyncio.wait_for(bridge.server.shutdown(), 2)
    assert await used.rest() == b""
    assert await unused.rest() == b""


async def test_what_was_sent_before_anybody_knew_is_answered(bridge: Bridge, platform: Platform) -> None:
    """Neither a connection's first request nor a further one is lost to a close that crosses it on the way."""
    fresh, used, slow = await bridge.client(), await bridge.client(), await bridge.client()
    await used.send(GET)
    await used.message()
    await slow.send(GET[:10])
    await bridge.settled(lambda: len(bridge.connections) == 3)
    for connection in bridge.connections:
        connection.shutdown()
    for client in (fresh, used):
        await client.send(GET)
    await slow.send(GET[10:])
    for client in (fresh, used, slow):
        head, body = await client.message()
        assert b"\r\nConnection: close\r\n" in head
        assert body == b"ok"
        assert await client.rest() == b""


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


@pytest.mark.parametrize("used", [False, True], ids=["new connection", "used connection"])
async def test_what_has_no_answer_yet_is_cut_and_not_laid_at_the_platforms_door(
    bridge: Bridge, platform: Platform, used: bool
) -> None:
    if used:
        await bridge.ask(GET)
        platform.handler = platform.by_hand
        client = await bridge.client()
        await client.send(GET)
        await bridge.settled(lambda: bool(bridge.pool.relays))
    else:
        client, _ = await bridge.asking(GET)
    await asyncio.wait_for(bridge.pool.close(), 3)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    await asyncio.sleep(0.1)
    assert not bridge.decisions.refused
    assert platform.connections == 1
    assert not bridge.pool._open


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


@pytest.mark.parametrize(("public", "internal"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_the_two_listeners_cannot_share_an_address(public: str, internal: str) -> None:
    """Each alone could be had, and both while neither listens."""
    try:
        with listener(Address(public, 0)) as free:
            port = free.getsockname()[1]
    except BridgeError:
        need(None, "IPv6 on loopback")
    listener(Address(internal, port), shared=True).close()
    with pytest.raises(BridgeError, match=rf"cannot listen on .*:{port}: Address already in use"):
        try_both(Address(public, port), Address(internal, port))
    with listener(Address("127.0.0.1", 0)) as other:
        another = other.getsockname()[1]
    try_both(Address(public, port), Address("127.0.0.1", another))
    listener(Address(public, port)).close()  # nothing is left behind


def test_the_room_names_no_other_server() -> None:
    """uvicorn's `http=auto` takes h11 where httptools is missing: three times the cost, and none of this."""
    from bridge.proxy import server

    assert server.PROTOCOL == "bridge.proxy.protocol:BridgeProtocol"
    assert not re.search(r"\bauto\b", Path(server.__file__).read_text())


async def test_listeners_may_have_an_ipv6_address() -> None:
    try:
        async with serve_internal(PlainTextResponse("inside"), Address.parse("[::1]:0")) as address:
            client = Peer(*await asyncio.open_connection(*address))
            await client.send(GET)
            assert (await client.message())[1] == b"inside"
            client.close()
    except BridgeError:
        need(None, "IPv6 on loopback")
