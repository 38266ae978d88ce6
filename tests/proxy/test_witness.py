"""The platform's final answer is held back until its witness is done, and everything else stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from structlog.testing import capture_logs

from bridge.errors import Code, Refusal
from bridge.exchange import Forward, Header

from .conftest import IDENTITY, OK, WAIT, Bridge, Peer, Platform, Start

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ndone"
UNAVAILABLE = Refusal(Code.ENROLLMENT_UNKNOWN, "not now")


class Hearing:
    """A witness whose answer a test gives: it waits until `done` is set."""

    def __init__(self, *, waits: bool = True, refuses: Exception | None = None) -> None:
        self.heard: list[tuple[int, list[Header]]] = []
        self.done = asyncio.Event()
        self.ended = False
        self._waits = waits
        self._refuses = refuses

    def answered(self, status: int, told: Sequence[Header]) -> Awaitable[None] | None:
        self.heard.append((status, list(told)))
        if self._waits:
            return self._wait()
        if self._refuses:
            raise self._refuses
        return None

    async def _wait(self) -> None:
        await self.done.wait()
        self.ended = True
        if self._refuses:
            raise self._refuses


def watched(bridge: Bridge, **more: object) -> Hearing:
    hearing = Hearing(**more)
    bridge.decisions.default = Forward(IDENTITY, witness=hearing)
    return hearing


ANSWERS = [
    (b"GET", OK, b"ok"),
    (b"POST", b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", b""),
    (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", b""),
    (b"GET", b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", b"no"),
]


@pytest.mark.parametrize(("method", "answer", "body"), ANSWERS)
async def test_the_head_waits_and_then_goes_on_as_it_was(
    bridge: Bridge, platform: Platform, method: bytes, answer: bytes, body: bytes
) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
    await peer.send(answer)
    assert await client.silent()
    hearing.done.set()
    head, got = await client.message(bodiless=method == b"HEAD")
    assert head.split(b"\r\n")[0] == answer.split(b"\r\n")[0]
    assert got == body
    assert len(hearing.heard) == 1
    bridge.decisions.default = Forward(IDENTITY)
    await client.send(GET)
    if method != b"HEAD":  # both connections are good for the next exchange
        await peer.head()
        await peer.send(OK)
        assert (await client.message())[1] == b"ok"
        assert platform.connections == 1


async def test_what_the_platform_says_to_the_bridge_reaches_the_witness_and_nobody_else(bridge: Bridge) -> None:
    hearing = watched(bridge, waits=False)
    client, peer = await bridge.asking(GET)
    told = b"X-Kombo-Complete:  a%20b \r\nx-kombo-score: 7\r\nX-Kombo-Complete: c\r\nX_Kombo_Complete: d\r\n"
    await peer.send(b"HTTP/1.1 103 Early Hints\r\nX-Kombo-Complete: early\r\n\r\n")
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kombo: e\r\n" + told + b"\r\nok")
    early, head = await client.head(), await client.head()
    assert b"ombo" not in early + head.replace(b"X-Kombo: e", b"")
    assert hearing.heard == [
        (200, [(b"X-Kombo-Complete", b"a%20b"), (b"x-kombo-score", b"7"), (b"X-Kombo-Complete", b"c")])
    ]


async def test_trailers_say_nothing(bridge: Bridge) -> None:
    hearing = watched(bridge, waits=False)
    client, peer = await bridge.asking(GET)
    chunks = b"2\r\nok\r\n0\r\nX-Kombo-Complete: a\r\n\r\n"
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert (await client.message())[1] == b"ok"
    assert hearing.heard == [(200, [])]


@pytest.mark.parametrize("waits", [True, False])
async def test_a_refusal_takes_the_answers_place(bridge: Bridge, platform: Platform, waits: bool) -> None:
    hearing = watched(bridge, waits=waits, refuses=UNAVAILABLE)
    hearing.done.set()
    client, peer = await bridge.asking(POST)
    await peer.exactly(4)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
    head, body = await client.message()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert body == b"not now"
    assert await peer.rest() == b""
    bridge.decisions.default = Forward(IDENTITY)
    platform.handler = platform._answer
    await client.send(GET)
    assert (await client.message())[1] == b"ok"
    assert platform.connections == 2


async def test_a_defect_of_the_witness_does_not_let_the_answer_through(bridge: Bridge) -> None:
    hearing = watched(bridge, refuses=RuntimeError("a defect"))
    hearing.done.set()
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    assert (await client.head()).startswith(b"HTTP/1.1 500 ")
    assert await peer.rest() == b""


async def test_a_client_that_leaves_changes_nothing_for_the_witness(bridge: Bridge) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    await bridge.settled(lambda: bool(hearing.heard))
    client.reset()
    assert await peer.rest() == b""
    await bridge.settled(lambda: not bridge.connections)
    assert not hearing.ended
    hearing.done.set()
    await bridge.settled(lambda: hearing.ended)
    assert not bridge.pool._idle


async def test_a_defect_after_the_client_has_left_is_said(bridge: Bridge) -> None:
    hearing = watched(bridge, refuses=RuntimeError("a defect"))
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    await bridge.settled(lambda: bool(hearing.heard))
    client.reset()
    await bridge.settled(lambda: not bridge.connections)
    with capture_logs() as logs:
        hearing.done.set()
        await bridge.settled(lambda: hearing.ended)
    assert [line["event"] for line in logs] == ["decision_failed"]


async def test_pipelined_requests_keep_their_order(bridge: Bridge, platform: Platform) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET + b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    bridge.decisions.by_path[b"/second"] = Forward(IDENTITY)
    await peer.send(OK)
    assert await client.silent()
    assert len(bridge.decisions.asked) == 1
    hearing.done.set()
    assert (await client.message())[1] == b"ok"
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
    assert (await client.message())[1] == b"second"


async def test_a_large_answer_stays_with_the_platform(bridge: Bridge) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET)
    size = 64 * 1024 * 1024
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await bridge.settled(lambda: bool(hearing.heard))

    async def pour() -> None:
        piece = bytes(1024 * 1024)
        for _ in range(64):
            peer.writer.write(piece)
            await peer.writer.drain()

    pouring = asyncio.ensure_future(pour())
    assert await client.silent(0.3)
    assert not pouring.done()
    [connection] = bridge.connections
    assert len(connection.runner._buffer) < 1024 * 1024
    hearing.done.set()
    await client.head()
    taken = 0
    while taken < size:
        taken += len(await client.some())
    await asyncio.wait_for(pouring, WAIT)
    await bridge.settled(lambda: len(bridge.pool._idle) == 1)


async def test_a_client_that_reads_again_does_not_let_the_answer_in(bridge: Bridge) -> None:
    """Interim answers may have filled its buffer."""
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    await bridge.settled(lambda: bool(hearing.heard))
    [connection] = bridge.connections
    [upstream] = bridge.pool._open
    connection.pause_writing()
    connection.resume_writing()
    assert upstream.read_paused
    connection.pause_writing()
    hearing.done.set()
    assert (await client.message())[1] == b"ok"
    connection.resume_writing()


async def test_the_rest_of_the_request_goes_on_meanwhile(bridge: Bridge) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
    await peer.exactly(4)
    await peer.send(OK)
    await bridge.settled(lambda: bool(hearing.heard))
    await client.send(b"full")
    assert await peer.exactly(4) == b"full"
    hearing.done.set()
    assert (await client.message())[1] == b"ok"


async def leave(peer: Peer) -> None:
    peer.close()


async def reset(peer: Peer) -> None:
    peer.reset()


@pytest.mark.parametrize("end", [leave, reset])
async def test_a_platform_that_leaves_meanwhile(bridge: Bridge, end: Callable[[Peer], Awaitable[None]]) -> None:
    """What was read in full is passed on; the loop may see the end only when it reads again."""
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    await bridge.settled(lambda: bool(hearing.heard))
    await end(peer)
    await asyncio.sleep(0.05)
    hearing.done.set()
    assert (await client.message())[1] == b"ok"


async def test_a_platform_that_leaves_meanwhile_with_half_an_answer(bridge: Bridge) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\nhalf")
    await peer.exactly(4)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhalf")
    await bridge.settled(lambda: bool(hearing.heard))
    peer.reset()
    await client.send(bytes(20_000))  # so that writing finds it out
    await asyncio.sleep(0.05)
    await client.send(bytes(20_000))
    await asyncio.sleep(0.05)
    hearing.done.set()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.head()
        await client.exactly(200)


async def test_a_body_that_ends_with_the_connection(bridge: Bridge) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    await bridge.settled(lambda: bool(hearing.heard))
    peer.close()
    hearing.done.set()
    assert (await client.rest()).endswith(b"\r\n\r\nall of it")


async def test_a_malformed_body_is_found_out_afterwards(bridge: Bridge) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n")
    await bridge.settled(lambda: bool(hearing.heard))
    hearing.done.set()
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_witness_without_end_is_cut(start: Start) -> None:
    bridge = await start(own=0.2)
    watched(bridge)
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert await peer.rest() == b""


async def test_the_platforms_time_to_answer_does_not_run_on(start: Start) -> None:
    bridge = await start(first_byte=0.2)
    hearing = watched(bridge)
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
    await peer.send(OK)
    await bridge.settled(lambda: bool(hearing.heard))
    await client.send(b"full")
    assert await client.silent(0.5)
    hearing.done.set()
    assert (await client.message())[1] == b"ok"


async def test_stopping_waits_for_the_witness(bridge: Bridge) -> None:
    hearing = watched(bridge)
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    await bridge.settled(lambda: bool(hearing.heard))
    [connection] = bridge.connections
    connection.shutdown()
    hearing.done.set()
    head, body = await client.message()
    assert b"\r\nConnection: close\r\n" in head
    assert body == b"ok"


async def test_no_witness_for_a_tunnel(bridge: Bridge) -> None:
    hearing = watched(bridge)
    ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    client, peer = await bridge.asking(ask)
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    assert await client.exactly(5) == b"hello"
    assert hearing.heard == []
