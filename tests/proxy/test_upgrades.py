"""WebSockets, and other protocols that clients ask for."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.responses import PlainTextResponse

from bridge.exchange import Answer, Forward

from .conftest import IDENTITY, OK, Bridge, Peer, Platform, Start

WEBSOCKET = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Kombo-User: spoofed\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"
    b"X-Kombo-User: x\r\nSet-Cookie: kombo-bridge-session=x\r\n\r\n"
)
MIB = 1024 * 1024


async def opened(bridge: Bridge, platform: Platform, early: bytes = b"") -> tuple[Peer, Peer]:
    platform.handler = platform.by_hand
    client = await bridge.client()
    await client.send(WEBSOCKET + early)
    peer = await platform.accept()
    head = await peer.head()
    assert head.count(b"X-Kombo-User") == 1
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
    assert b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in head
    assert b"spoofed" not in head
    assert head.endswith(IDENTITY + b"\r\n")
    await peer.send(SWITCHED)
    assert await client.head() == (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    return client, peer


async def test_a_websocket_is_a_tunnel(bridge: Bridge, platform: Platform) -> None:
    client, peer = await opened(bridge, platform)
    await client.send(b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert await peer.exactly(26) == b"GET /smuggled HTTP/1.1\r\n\r\n"
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    assert await client.exactly(19) == b"HTTP/1.1 200 OK\r\n\r\n"
    assert len(bridge.decisions.asked) == 1
    assert bridge.connections  # the server still knows it


@pytest.mark.parametrize("client_ends", [True, False])
async def test_a_tunnel_ends_on_both_sides(bridge: Bridge, platform: Platform, client_ends: bool) -> None:
    client, peer = await opened(bridge, platform)
    one, other = (client, peer) if client_ends else (peer, client)
    await one.send(b"bye")
    one.close()
    assert await other.rest() == b"bye"
    await bridge.settled(lambda: not bridge.connections and not bridge.pool._open)


async def test_bytes_before_the_switch_wait_for_it(bridge: Bridge) -> None:
    client, peer = await bridge.asking(WEBSOCKET + b"early")
    await client.send(b"bird")
    assert await peer.silent()
    await peer.send(SWITCHED + b"hello")
    assert (await client.until(b"hello")).endswith(b"\r\n\r\nhello")
    assert await peer.exactly(9) == b"earlybird"


async def test_bytes_before_the_switch_are_bounded(bridge: Bridge) -> None:
    client, peer = await bridge.asking(WEBSOCKET)
    client.writer.transport.set_write_buffer_limits(high=0)
    client.writer.write(bytes(32 * MIB))
    writing = asyncio.create_task(client.writer.drain())
    await asyncio.sleep(0.2)
    assert not writing.done()
    assert len(bridge.connections[0]._held or b"") < MIB
    await peer.send(SWITCHED)
    for _ in range(32):
        await peer.exactly(MIB)
    await writing


async def test_a_tunnel_is_under_backpressure(bridge: Bridge, platform: Platform) -> None:
    client, peer = await opened(bridge, platform)
    for one, other in ((client, peer), (peer, client)):
        one.writer.transport.set_write_buffer_limits(high=0)
        other.reader._limit = 1024
        one.writer.write(bytes(32 * MIB))
        writing = asyncio.create_task(one.writer.drain())
        await asyncio.sleep(0.2)
        assert not writing.done()
        for _ in range(32):
            await other.exactly(MIB)
        await writing


async def test_without_a_switch_it_is_an_answer_and_the_end(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"]
    client = await bridge.client()
    await client.send(WEBSOCKET + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    head, body = await client.message()
    assert head.startswith(b"HTTP/1.1 403 ")
    assert b"\r\nConnection: close\r\n" in head
    assert body == b"no"
    assert await client.rest() == b""
    assert len(platform.requests) == 1
    assert len(bridge.decisions.asked) == 1


async def test_a_websocket_may_be_answered_by_us(bridge: Bridge, platform: Platform) -> None:
    bridge.decisions.by_path[b"/chat"] = Answer(PlainTextResponse("login", 401))
    client = await bridge.client()
    await client.send(WEBSOCKET + b"frames")
    head, body = await client.message()
    assert head.startswith(b"HTTP/1.1 401 ")
    assert body == b"login"
    assert await client.rest() == b""
    assert platform.connections == 0


async def test_a_tunnel_ends_with_its_session(start: Start, platform: Platform) -> None:
    bridge = await start(linger=0.2)
    bridge.decisions.default = Forward(IDENTITY, until=time.monotonic() + 0.3)
    client, peer = await opened(bridge, platform)
    began = time.monotonic()
    while time.monotonic() < began + 0.2:
        await client.send(b"x")  # traffic does not prolong it
        await peer.exactly(1)
        await asyncio.sleep(0.02)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert time.monotonic() - began < 1
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await peer.exactly(1)


async def test_a_stream_ends_with_its_session(start: Start) -> None:
    bridge = await start(linger=0.2)
    bridge.decisions.default = Forward(IDENTITY, until=time.monotonic() + 0.2)
    client, peer = await bridge.asking(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n")
    await client.until(b": hi\n\n")
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_an_idle_tunnel_ends(start: Start, platform: Platform) -> None:
    bridge = await start(idle=0.2)
    client, _ = await opened(bridge, platform)
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_switch_to_something_else_is_no_switch(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"]
    client = await bridge.client()
    await client.send(WEBSOCKET)
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")


UPGRADES = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    b"Connection: X-Hop\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Hop: 1\r\n",
    b"Upgrade: TLS/1.0\r\nConnection: upgrade\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",  # with a body it is none
    b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("lines", UPGRADES)
async def test_an_upgrade_does_not_swallow_the_next_request(
    bridge: Bridge, platform: Platform, lines: bytes, method: bytes
) -> None:
    """A parser that believes in the upgrade takes the body for a request, and the next request for its body."""
    smuggled = b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    client = await bridge.client()
    await client.send(
        b"%b /1 HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (method, lines, len(smuggled), smuggled)
        + b"GET /2 HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n"
    )
    assert (await client.message())[1] == b"ok"
    assert (await client.message())[1] == b"ok"
    assert [head.path for head in bridge.decisions.asked] == [b"/1", b"/2"]
    (first, body), (second, _) = platform.requests
    assert body == smuggled
    for name in (b"Upgrade", b"HTTP2-Settings", b"Connection", b"X-Hop"):
        assert name not in first.replace(b"\r\nConnection: close\r\n", b"\r\n")  # which a body of GET gets
    assert second.startswith(b"GET /2 HTTP/1.1\r\n")


@pytest.mark.parametrize("lines", UPGRADES[:3])
async def test_an_early_answer_does_not_free_the_body(bridge: Bridge, lines: bytes) -> None:
    """As above, where the body comes after the answer."""
    client, peer = await bridge.asking(b"POST /1 HTTP/1.1\r\nHost: a\r\n%bContent-Length: 1000\r\n\r\n" % lines)
    await peer.send(OK)
    assert (await client.message())[1] == b"ok"
    await client.send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await client.rest() == b""
    assert [head.path for head in bridge.decisions.asked] == [b"/1"]


async def test_chunks_behind_an_upgrade_are_a_body(bridge: Bridge, platform: Platform) -> None:
    client = await bridge.client()
    await client.send(
        b"POST /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3\r\nab",
        b"c\r\n0\r\n\r\n",
    )
    assert (await client.message())[1] == b"ok"
    assert platform.requests[0][1] == b"abc"


async def test_an_upgrade_that_is_not_carried_out_may_close(bridge: Bridge, platform: Platform) -> None:
    client = await bridge.client()
    await client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n"
    )
    head, _ = await client.message()
    assert b"\r\nConnection: close\r\n" in head
    assert await client.rest() == b""


async def test_many_pipelined_upgrades(bridge: Bridge) -> None:
    client = await bridge.client()
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    await client.send(request * 2000)
    for _ in range(8):
        assert (await client.message())[1] == b"ok"
    assert await client.rest() == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_upgrade_nobody_connected_is_none(bridge: Bridge, platform: Platform, version: bytes) -> None:
    lines = b"Upgrade: websocket\r\n" if version == b"1.1" else b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    _, body = await bridge.ask(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, lines))
    assert body == b"ok"
    assert b"pgrade" not in platform.requests[0][0]
