"""Time limits and bounds: nobody keeps a connection by doing nothing, or memory by doing much."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from bridge.exchange import Answer, Forward, Header
from bridge.proxy.deadlines import Deadlines
from bridge.proxy.limits import Limits

from .conftest import IDENTITY, OK, Bridge, Peer, Platform, Start

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def drips(client: Peer, data: bytes) -> None:
    """Sends a byte now and then, for as long as it is let."""
    for byte in data:
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def test_an_unused_connection_is_closed(start: Start) -> None:
    bridge = await start(keep_alive=0.2)
    client = await bridge.client()
    assert await client.rest() == b""


async def test_blank_lines_do_not_keep_a_connection(start: Start) -> None:
    bridge = await start(keep_alive=0.2)
    client = await bridge.client()
    dripping = asyncio.create_task(drips(client, b"\r\n" * 1000))
    with contextlib.suppress(ConnectionResetError):  # what was sent too late was read by nobody
        assert await client.rest() == b""
    dripping.cancel()


async def test_a_connection_is_closed_when_no_further_request_comes(start: Start) -> None:
    bridge = await start(keep_alive=0.2)
    client = await bridge.client()
    await client.send(GET)
    await client.message()
    began = time.monotonic()
    assert await client.rest() == b""
    assert 0.1 < time.monotonic() - began < 1


async def test_a_head_that_does_not_end_is_refused(start: Start, platform: Platform) -> None:
    """However regularly a byte of it comes."""
    bridge = await start(head=0.2)
    client = await bridge.client()
    dripping = asyncio.create_task(drips(client, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000))
    began = time.monotonic()
    head, _ = await client.message()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 1
    dripping.cancel()
    assert await client.rest() == b""
    assert platform.connections == 0


async def test_a_head_behind_a_running_request_has_its_time_too(start: Start) -> None:
    bridge = await start(head=0.3)
    client, peer = await bridge.asking(GET + b"GET /2 HTTP/1.1\r\nHo")
    await asyncio.sleep(0.4)
    await peer.send(OK)
    assert (await client.message())[1] == b"ok"
    assert (await client.message())[0].startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_does_not_come_is_refused(start: Start) -> None:
    bridge = await start(body=0.2, idle=5)
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
    head, _ = await client.message()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert await client.rest() == b""
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await peer.exactly(2)


async def test_a_body_for_us_that_does_not_come_ends_the_connection(start: Start) -> None:
    bridge = await start(body=0.2, idle=5)

    async def app(scope, receive, send) -> None:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass

    bridge.decisions.by_path[b"/"] = Answer(app)
    client = await bridge.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_slow_body_may_take_its_time(start: Start, platform: Platform) -> None:
    bridge = await start(body=0.2)
    client = await bridge.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
    await drips(client, b"x" * 20)
    assert (await client.message())[1] == b"ok"


async def test_a_platform_that_does_not_answer_times_out(start: Start, platform: Platform) -> None:
    bridge = await start(first_byte=0.2)
    client, peer = await bridge.asking(GET)
    head, _ = await client.message()
    assert head.startswith(b"HTTP/1.1 504 ")
    assert b"bridge-error: upstream_timeout" in head
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await peer.exactly(1)
    assert len(bridge.pool._idle) == 0
    await client.send(GET)  # the client's connection lives on
    peer = await platform.accept()
    await peer.head()
    await peer.send(OK)
    assert (await client.message())[1] == b"ok"


async def test_an_answer_that_stops_is_cut(start: Start) -> None:
    bridge = await start(idle=0.2)
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    with pytest.raises(ConnectionResetError):
        await client.rest()


class Slow:
    """An application of ours, and a witness, that have to ask somebody."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.5)
        await PlainTextResponse("ok")(scope, receive, send)

    async def answered(self, status: int, told: Sequence[Header]) -> None:
        await asyncio.sleep(0.5)


async def test_what_the_bridge_has_to_find_out_is_not_the_platforms_silence(start: Start) -> None:
    bridge = await start(idle=0.1, first_byte=0.1)
    bridge.decisions.by_path[b"/ours"] = Answer(Slow())
    bridge.decisions.by_path[b"/witnessed"] = Forward(IDENTITY, witness=Slow())
    for path in (b"/ours", b"/witnessed"):
        assert (await bridge.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path))[1] == b"ok"

    async def decided() -> Forward:
        await asyncio.sleep(0.5)
        return Forward(IDENTITY)

    bridge.decisions.decide = lambda head: decided()
    assert (await bridge.ask(GET))[1] == b"ok"


async def test_an_answer_that_goes_on_is_not_cut(start: Start) -> None:
    bridge = await start(idle=0.2, first_byte=0.2)
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    await drips(peer, b"x" * 20)
    assert (await client.message())[1] == b"x" * 20


async def test_a_client_that_stops_reading_is_cut(start: Start, platform: Platform) -> None:
    bridge = await start(idle=0.2)
    size = 32 * 1024 * 1024
    platform.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)]
    client = await bridge.client(small_buffers=True)
    await client.send(GET)
    await bridge.settled(lambda: not bridge.connections)
    assert not bridge.pool._open


async def test_a_client_that_does_not_read_the_last_of_it_is_cut(start: Start, platform: Platform) -> None:
    """All of the answer is written and the connection closing, but nobody takes it."""
    bridge = await start(idle=0.2)
    size = 1024 * 1024
    platform.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)]
    client = await bridge.client(small_buffers=True)
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    await bridge.settled(lambda: len(platform.requests) == 1)
    await bridge.settled(lambda: not bridge.connections)


async def test_a_session_that_ends_before_the_answer_cuts(start: Start, platform: Platform) -> None:
    bridge = await start(first_byte=0.2)
    bridge.decisions.default = Forward(IDENTITY, until=time.monotonic())
    platform.handler = platform.by_hand
    client = await bridge.client()
    await client.send(GET)
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_client_connections_have_a_bound(start: Start) -> None:
    bridge = await start(connections=2)
    first, second = await bridge.client(), await bridge.client()
    await first.send(GET)
    await second.send(GET)
    await first.message()
    await second.message()
    third = await bridge.client()
    with pytest.raises(ConnectionError):
        await third.send(GET)
        assert await third.rest() == b""
        raise ConnectionError  # closed in order, where the loop had read nothing yet
    first.close()
    await bridge.settled(lambda: len(bridge.connections) == 1)
    assert (await bridge.ask(GET))[1] == b"ok"


async def test_lingering_has_an_end(start: Start) -> None:
    bridge = await start(linger=0.2)
    client = await bridge.client()
    await client.send(b"nonsense\r\n\r\n")
    await client.message()
    began = time.monotonic()
    dripping = asyncio.create_task(drips(client, b"x" * 1000))
    await bridge.settled(lambda: not bridge.connections)
    assert time.monotonic() - began < 1
    dripping.cancel()


async def test_a_deadline_that_fails_does_not_keep_the_others_alive() -> None:
    class Thing:
        deadline = 0.0
        expired = 0

        def __init__(self, *, fails: bool) -> None:
            self.fails = fails

        def expire(self, now: float) -> None:
            self.expired += 1
            self.deadline = now + 1000
            if self.fails:
                raise ValueError

    deadlines = Deadlines(0.01)
    things = [Thing(fails=number % 2 == 0) for number in range(6)]
    for thing in things:
        deadlines.add(thing)
    await asyncio.sleep(0.05)
    assert [thing.expired for thing in things] == [1] * 6
    for thing in things:
        deadlines.discard(thing)
    await asyncio.sleep(0.05)
    assert deadlines._timer is None


def test_deadlines_are_looked_at_often_enough() -> None:
    assert Limits().tick == 0.5
    assert Limits(idle=0.2).tick == pytest.approx(0.05)


async def test_connections_leave_nothing_behind(bridge: Bridge, platform: Platform) -> None:
    for _ in range(3):
        await bridge.ask(GET)
        bridge.clients[-1].close()
    await bridge.settled(lambda: not bridge.connections)
    assert bridge.pool.deadlines._watched == {bridge.pool}
    assert not bridge.server.server_state.tasks


async def test_heads_do_not_add_up(start: Start) -> None:
    """Each packet ends within a head, so that no moment comes at which nothing of one is held."""
    bridge = await start(head_bytes=1024)
    client = await bridge.client()
    begin = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200
    await client.send(begin)
    for _ in range(20):
        await client.send(b"\r\n\r\n" + begin)
        assert (await client.message())[0].startswith(b"HTTP/1.1 200 ")
    [connection] = bridge.connections
    assert len(connection._raw) < 1024
