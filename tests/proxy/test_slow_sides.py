"""Sides that read slowly, stop, or end one direction: memory is bounded, and nothing looks complete that is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from bridge.exchange import Forward

from .conftest import IDENTITY, OK, Bridge, Peer, Platform, Start

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WEBSOCKET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
MIB = 1024 * 1024


async def tunnel(bridge: Bridge) -> tuple[Peer, Peer]:
    client, peer = await bridge.asking(WEBSOCKET)
    await peer.send(SWITCHED)
    await client.head()
    return client, peer


@pytest.mark.parametrize("client_sends", [True, False])
async def test_a_tunnel_holds_little_in_either_direction(bridge: Bridge, client_sends: bool) -> None:
    client, peer = await tunnel(bridge)
    one, other = (client, peer) if client_sends else (peer, client)
    other.reader._limit = 1024
    one.writer.transport.set_write_buffer_limits(high=0)
    one.writer.write(bytes(64 * MIB))
    writing = asyncio.create_task(one.writer.drain())
    await asyncio.sleep(0.3)
    assert not writing.done()
    assert bridge.held < MIB
    # And the other direction flows on meanwhile.
    await other.send(b"still here")
    assert await one.exactly(10) == b"still here"
    for _ in range(64):
        await other.exactly(MIB)
    await writing


@pytest.mark.parametrize("client_ends", [True, False])
async def test_a_tunnel_that_one_side_half_closes_ends(bridge: Bridge, client_ends: bool) -> None:
    """RFC 9110, 9.3.6: what came from the side that ended is delivered, then both are closed."""
    client, peer = await tunnel(bridge)
    one, other = (client, peer) if client_ends else (peer, client)
    one.writer.write(bytes(2 * MIB))
    await asyncio.sleep(0)
    one.writer.write(b"bye")
    one.writer.write_eof()
    assert (await other.rest()).endswith(b"bye")
    other.close()
    assert await one.rest() == b""
    await bridge.settled(lambda: not bridge.connections and not bridge.pool._open)


async def test_a_tunnel_whose_platform_does_not_read_ends_with_its_client(start: Start) -> None:
    """What the client sent last may wait for a moment, not for ever."""
    bridge = await start(linger=0.2)
    client, peer = await tunnel(bridge)
    peer.reader._limit = 1024
    (upstream,) = bridge.pool._open
    while not upstream.transport.get_write_buffer_size():
        await client.send(bytes(16 * 1024))
        await asyncio.sleep(0)
    client.close()
    await bridge.settled(lambda: not bridge.connections)
    await bridge.settled(lambda: not bridge.pool._open)


async def test_a_tunnel_in_which_nothing_moves_ends(start: Start) -> None:
    """Reading is paused on both sides, so that nobody would notice who has left."""
    bridge = await start(idle=0.3, linger=0.2)
    client, peer = await tunnel(bridge)
    for one, other in ((client, peer), (peer, client)):
        other.reader._limit = 1024
        one.writer.write(bytes(32 * MIB))
    await bridge.settled(lambda: not bridge.connections and not bridge.pool._open)


async def test_a_client_that_reads_slowly_gets_all_of_it(start: Start, platform: Platform) -> None:
    """The platform is long done, and the next request does not come: that is no reason to take the answer away."""
    bridge = await start(keep_alive=0.1, linger=0.1, idle=5, send_buffer=4096)
    size = 60_000
    platform.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)]
    client = await bridge.client(small_buffers=True)
    await client.send(GET)
    await bridge.settled(lambda: any(each.transport.get_write_buffer_size() for each in bridge.connections))
    await asyncio.sleep(0.5)
    await client.head()
    assert await client.exactly(size) == bytes(size)
    assert await client.rest() == b""


async def test_a_client_that_reads_slowly_gets_all_of_an_early_answer(start: Start) -> None:
    """As above, where the client's request was not read to its end."""
    bridge = await start(linger=0.1, idle=5, send_buffer=4096)
    size = 60_000
    bridge.platform.handler = bridge.platform.by_hand
    client = await bridge.client(small_buffers=True)
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
    peer = await bridge.platform.accept()
    await peer.head()
    sending = asyncio.create_task(peer.send(b"HTTP/1.1 413 No\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)))
    await bridge.settled(lambda: any(each.transport.get_write_buffer_size() for each in bridge.connections))
    await asyncio.sleep(0.5)
    await client.head()
    assert await client.exactly(size) == bytes(size)
    assert await client.rest() == b""
    await sending


async def test_a_client_that_does_not_read_the_end_sees_a_reset(start: Start, platform: Platform) -> None:
    """Where the end of the connection is that of the body, what could not be written must not be missing silently."""
    bridge = await start(linger=0.1, idle=0.3, send_buffer=4096)
    size = 60_000
    platform.answers = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size + bytes(size) + b"\r\n0\r\n\r\n"
    ]
    client = await bridge.client(small_buffers=True)
    await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    await bridge.settled(lambda: len(platform.requests) == 1)
    await bridge.settled(lambda: not bridge.connections)
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_client_that_half_closes_has_left(bridge: Bridge, platform: Platform) -> None:
    """As nginx has it: a client that says no more is taken to be gone, and the platform need not work for it."""
    client, peer = await bridge.asking(GET)
    client.writer.write_eof()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await peer.exactly(1)
    await bridge.settled(lambda: not bridge.connections)


async def test_a_request_that_ends_half_way_reaches_nobody(bridge: Bridge, platform: Platform) -> None:
    for sent in (b"GET / HTTP/1.1\r\nHost: a", GET[:-2], b"\r\n", b"G"):
        client = await bridge.client()
        await client.send(sent)
        client.writer.write_eof()
        assert await client.rest() == b""
    assert platform.connections == 0
    assert bridge.decisions.asked == []


async def test_half_a_body_is_never_a_whole_one(bridge: Bridge) -> None:
    """The platform sees its connection end, not the end of a message."""
    for framing in (b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
        got = await peer.until(b"hello")
        client.close()
        try:
            while piece := await peer.some():
                got += piece
        except ConnectionResetError:
            pass
        assert not got.endswith(b"0\r\n\r\n")
    await bridge.settled(lambda: not bridge.pool._open)


async def test_many_clients_that_do_not_read_hold_little(bridge: Bridge, platform: Platform) -> None:
    """Each has pipelined as much as it may."""
    body = bytes(16 * MIB)
    platform.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body]
    clients = [await bridge.client(small_buffers=True) for _ in range(8)]
    for client in clients:
        await client.send(GET * 8)
    await asyncio.sleep(0.3)
    size = sum(each.transport.get_write_buffer_size() for each in bridge.connections)
    assert size < len(clients) * MIB
    assert len(bridge.decisions.asked) == len(clients)


async def test_a_personal_stream_that_nobody_reads_ends_with_its_session(start: Start, platform: Platform) -> None:
    bridge = await start(linger=0.1)
    bridge.decisions.default = Forward(IDENTITY, until=time.monotonic() + 0.3)
    body = bytes(32 * MIB)
    platform.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body, OK]
    client = await bridge.client(small_buffers=True)
    await client.send(GET)
    await bridge.settled(lambda: not bridge.connections and not bridge.pool._open)
