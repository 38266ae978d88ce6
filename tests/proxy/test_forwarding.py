"""Requests on their way: one at a time, bodies both ways, and whatever either side does in between."""

from __future__ import annotations

import asyncio

import pytest

from bridge.exchange import Answer, Forward

from .conftest import IDENTITY, OK, Bridge, Platform, Start

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MIB = 1024 * 1024


def get(path: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path


def said(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def test_a_request_and_its_answer_pass(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [b"HTTP/1.1 201 Made\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"]
    head, body = await bridge.ask(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    assert head.startswith(b"HTTP/1.1 201 Made\r\nX-A: 1\r\n")
    assert body == b"hello"
    sent, sent_body = platform.requests[0]
    assert sent.startswith(b"POST /x HTTP/1.1\r\nHost: a\r\n")
    assert b"\r\nContent-Length: 3\r\n" in sent
    assert sent_body == b"abc"


async def test_nothing_goes_upstream_before_it_is_decided(bridge: Bridge, platform: Platform) -> None:
    decided: asyncio.Future[Forward] = asyncio.get_running_loop().create_future()
    bridge.decisions.by_path[b"/"] = decided
    client = await bridge.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    await bridge.settled(lambda: len(bridge.decisions.asked) == 1)
    await asyncio.sleep(0.05)
    assert platform.connections == 0
    decided.set_result(Forward(IDENTITY))
    assert (await client.message())[1] == b"ok"
    assert platform.requests[0][1] == b"abc"


async def test_a_decision_that_fails_is_no_traceback(bridge: Bridge, platform: Platform) -> None:
    bridge.decisions.by_path[b"/now"] = ValueError("secret")

    async def later() -> Forward:
        raise ValueError("secret")

    bridge.decisions.by_path[b"/later"] = later()
    for path in (b"/now", b"/later"):
        client = await bridge.client()
        await client.send(get(path))
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"secret" not in answer
    assert platform.connections == 0


async def test_the_platform_that_is_not_there(start: Start, platform: Platform, unused_tcp_port: int) -> None:
    upstream = type(platform.upstream)("http", "127.0.0.1", unused_tcp_port)
    bridge = await start(upstream=upstream)
    client = await bridge.client()
    for _ in range(2):  # the client's connection lives on
        await client.send(GET)
        head, _ = await client.message()
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"bridge-error: upstream_unavailable" in head


# Pipelining


async def test_pipelined_answers_never_mix(bridge: Bridge, platform: Platform) -> None:
    platform.handler = platform.by_hand
    client = await bridge.client()
    await client.send(b"".join(get(b"/%d" % number) for number in range(5)))
    peer = await platform.accept()
    for number in range(5):
        assert (await peer.head()).startswith(b"GET /%d " % number)
        assert await peer.silent(0.03)  # the next one only when this one is answered
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", b"ans", b"wer", b"%02d" % number)
    for number in range(5):
        assert (await client.message())[1] == b"answer%02d" % number
    assert platform.connections == 1


async def test_pipelined_bodies_go_with_their_requests(bridge: Bridge, platform: Platform) -> None:
    client = await bridge.client()
    await client.send(
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        b"POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nth"
    )
    assert (await client.message())[1] == b"ok"
    assert (await client.message())[1] == b"ok"
    await client.send(b"ree")
    assert (await client.message())[1] == b"ok"
    assert [body for _, body in platform.requests] == [b"one", b"two", b"three"]


async def test_answers_of_ours_and_forwarded_ones_keep_their_order(bridge: Bridge, platform: Platform) -> None:
    async def slow(scope, receive, send) -> None:
        await asyncio.sleep(0.02)
        body = scope["path"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async def later() -> Answer:
        await asyncio.sleep(0.01)
        return Answer(slow)

    bridge.decisions.by_path |= {b"/own": Answer(slow), b"/later": later()}
    client = await bridge.client()
    await client.send(get(b"/own") + get(b"/") + get(b"/later") + get(b"/") + get(b"/own"))
    bodies = [(await client.message())[1] for _ in range(5)]
    assert bodies == [b"/own", b"ok", b"/later", b"ok", b"/own"]


async def test_a_long_pipeline_is_cut_off_in_order(start: Start, platform: Platform) -> None:
    bridge = await start(queued=3)
    client = await bridge.client()
    await client.send(b"".join(get(b"/%d" % number) for number in range(1000)))
    heads = [(await client.message())[0] for _ in range(3)]
    assert [b"Connection: close" in head for head in heads] == [False, False, True]
    assert await client.rest() == b""
    assert len(platform.requests) == 3


async def test_what_follows_the_last_request_is_ignored(bridge: Bridge, platform: Platform) -> None:
    client = await bridge.client()
    await client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get(b"/2"))
    head, _ = await client.message()
    assert b"\r\nConnection: close\r\n" in head
    assert await client.rest() == b""
    assert len(platform.requests) == 1


async def test_old_clients_have_one_request(bridge: Bridge, platform: Platform) -> None:
    client = await bridge.client()
    await client.send(b"GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    head, _ = await client.message()
    assert b"\r\nConnection: close\r\n" in head
    assert await client.rest() == b""


# 100-continue and early answers


async def test_a_client_that_waits_is_told_to_continue(bridge: Bridge, platform: Platform) -> None:
    client = await bridge.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert await client.head() == CONTINUE
    await client.send(b"abc")
    assert (await client.message())[1] == b"ok"
    assert b"Expect" not in platform.requests[0][0]
    assert platform.requests[0][1] == b"abc"
    await client.send(GET)  # and the connection lives on
    assert (await client.message())[1] == b"ok"


async def test_a_client_that_did_not_wait_is_not_told(bridge: Bridge) -> None:
    client = await bridge.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
    assert (await client.head()).startswith(b"HTTP/1.1 200 ")


async def test_a_refused_client_is_not_told_to_continue(bridge: Bridge, platform: Platform) -> None:
    async def refuse(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    bridge.decisions.by_path[b"/"] = Answer(refuse)
    client = await bridge.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in head
    await client.send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await client.rest() == b""
    assert platform.connections == 0
    assert len(bridge.decisions.asked) == 1


async def test_an_early_answer_reaches_a_client_that_is_still_sending(bridge: Bridge) -> None:
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
    head, body = await client.message()
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nConnection: close\r\n" in head
    assert body == b"big"
    await client.send(b"x" * 100_000)  # no reset takes the answer away
    assert await client.rest() == b""
    assert len(bridge.pool._idle) == 0  # half a request is in that connection
    assert not bridge.pool._open


async def test_a_body_goes_on_beside_its_answer(bridge: Bridge) -> None:
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    await peer.exactly(6)
    for letter in (b"b", b"c"):
        await client.send(b"1\r\n%b\r\n" % letter)
        assert await peer.exactly(6) == b"1\r\n%b\r\n" % letter
        await peer.send(b"1\r\n%b\r\n" % letter)
        assert await client.exactly(6) == b"1\r\n%b\r\n" % letter
    await client.send(b"0\r\n\r\n")
    assert await peer.exactly(5) == b"0\r\n\r\n"
    await peer.send(b"0\r\n\r\n")
    assert await client.rest() == b"0\r\n\r\n"
    assert len(bridge.pool._idle) == 1  # both messages ended exactly


async def test_an_answer_before_the_end_of_the_request_ends_both(bridge: Bridge) -> None:
    """The rest of that body must never be read as a request, by nobody."""
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
    await peer.send(OK)
    assert (await client.message())[1] == b"ok"
    await client.send(get(b"/smuggled"))
    assert await client.rest() == b""
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await peer.exactly(2)
    assert [head.path for head in bridge.decisions.asked] == [b"/"]


# Leaving


async def test_the_platform_is_told_at_once_when_the_client_has_left(bridge: Bridge, platform: Platform) -> None:
    platform.handler = platform.by_hand
    for begun in (False, True):
        client = await bridge.client()
        await client.send(GET)
        peer = await platform.accept()
        await peer.head()
        if begun:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            await client.until(b"hello")
        client.close()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await peer.exactly(1)
    assert len(bridge.pool._idle) == 0


async def test_a_client_that_left_while_it_was_decided_reaches_nobody(bridge: Bridge, platform: Platform) -> None:
    decided: asyncio.Future[Forward] = asyncio.get_running_loop().create_future()
    bridge.decisions.by_path[b"/"] = decided
    client = await bridge.client()
    await client.send(GET)
    await bridge.settled(lambda: len(bridge.decisions.asked) == 1)
    client.close()
    await bridge.settled(lambda: not bridge.connections)
    decided.set_result(Forward(IDENTITY))
    await asyncio.sleep(0.05)
    assert platform.connections == 0


# Bodies of any size, in bounded memory


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies_pass_unchanged(bridge: Bridge, platform: Platform, chunked: bool) -> None:
    body = bytes(range(256)) * (4 * MIB // 256)
    if chunked:
        framing, sent = b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        framing, sent = b"Content-Length: %d" % len(body), body
    platform.answers = [b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (framing, sent)]
    client = await bridge.client()
    writing = asyncio.create_task(client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n%b" % (framing, sent)))
    _, got = await client.message()
    await writing
    assert got == body
    assert platform.requests[0][1] == body


async def test_a_slow_reader_slows_the_platform(bridge: Bridge, platform: Platform) -> None:
    platform.handler = platform.by_hand
    client = await bridge.client(small_buffers=True)
    await client.send(GET)
    peer = await platform.accept()
    await peer.head()
    peer.writer.transport.set_write_buffer_limits(high=0)
    size = 32 * MIB
    peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    writing = asyncio.create_task(peer.writer.drain())
    await asyncio.sleep(0.3)
    assert not writing.done()
    assert bridge.held < MIB
    await client.head()
    for _ in range(size // MIB):
        await client.exactly(MIB)
    await asyncio.wait_for(writing, 5)


async def test_a_slow_platform_slows_the_client(bridge: Bridge, platform: Platform) -> None:
    platform.handler = platform.by_hand
    client = await bridge.client()
    size = 32 * MIB
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    peer = await platform.accept()
    peer.reader._limit = 1024
    await peer.head()
    client.writer.transport.set_write_buffer_limits(high=0)
    client.writer.write(bytes(size))
    writing = asyncio.create_task(client.writer.drain())
    await asyncio.sleep(0.3)
    assert not writing.done()
    assert bridge.held < MIB
    for _ in range(size // MIB):
        await peer.exactly(MIB)
    await asyncio.wait_for(writing, 5)
    await peer.send(OK)
    assert (await client.message())[1] == b"ok"


async def test_a_body_waits_for_the_decision_in_bounded_memory(bridge: Bridge, platform: Platform) -> None:
    decided: asyncio.Future[Forward] = asyncio.get_running_loop().create_future()
    bridge.decisions.by_path[b"/"] = decided
    client = await bridge.client()
    size = 32 * MIB
    client.writer.transport.set_write_buffer_limits(high=0)
    client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    writing = asyncio.create_task(client.writer.drain())
    await asyncio.sleep(0.2)
    assert not writing.done()
    assert bridge.held < MIB
    decided.set_result(Forward(IDENTITY))
    assert (await client.message())[1] == b"ok"
    assert len(platform.requests[0][1]) == size
    await writing


async def test_the_next_request_waits_until_the_last_answer_has_left(bridge: Bridge, platform: Platform) -> None:
    """Else a client that pipelines and does not read would fill the memory, answer by answer."""
    client = await bridge.client()
    await client.send(get(b"/1"))
    await client.message()
    (connection,) = bridge.connections
    connection.pause_writing()  # as the transport does when its buffer is full
    await client.send(get(b"/2"))
    await asyncio.sleep(0.05)
    assert len(bridge.decisions.asked) == 1
    connection.resume_writing()
    assert (await client.message())[1] == b"ok"
