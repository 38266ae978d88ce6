"""How the platform's answers are read, and what becomes of those that cannot be."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import yaml

from .conftest import OK, Bridge, Peer, Platform

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "answers.yaml").read_text())
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def written(case: dict[str, str]) -> bytes:
    text = re.sub(r"\{(.*?)\*([0-9]+)\}", lambda m: m[1] * int(m[2]), case["answer"], flags=re.DOTALL)
    return text.encode("latin-1")


def answers_once(platform: Platform, case: dict[str, str]) -> None:
    """The first connection gets the answer of the case, further ones `OK`."""

    async def handler(peer: Peer) -> None:
        while True:
            platform.requests.append(await peer.message())
            if platform.connections > 1:
                await peer.send(OK)
            else:
                await peer.send(written(case))
                if case.get("ends"):
                    peer.writer.write_eof()
                await peer.rest()

    platform.handler = handler


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: case["name"])
async def test_is_refused(bridge: Bridge, platform: Platform, case: dict[str, str]) -> None:
    answers_once(platform, case)
    client = await bridge.client()
    await client.send(GET)
    head = await client.head()
    if case.get("interim"):
        while head.startswith(b"HTTP/1.1 103 "):
            head = await client.head()
    assert head.startswith(b"HTTP/1.1 502 "), head
    assert [refusal.code for refusal in bridge.decisions.refused] == ["upstream_unavailable"]
    assert (await bridge.ask(GET))[1] == b"ok"
    assert platform.connections == 2


@pytest.mark.parametrize("case", CASES["cut"], ids=lambda case: case["name"])
async def test_is_cut(bridge: Bridge, platform: Platform, case: dict[str, str]) -> None:
    answers_once(platform, case)
    client = await bridge.client()
    await client.send(GET)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert (await bridge.ask(GET))[1] == b"ok"
    assert platform.connections == 2


@pytest.mark.parametrize("case", [case for case in CASES["cut"] if case.get("ends")], ids=lambda case: case["name"])
async def test_is_cut_for_old_clients_as_well(bridge: Bridge, platform: Platform, case: dict[str, str]) -> None:
    """Where the end of the connection is the end of the body, a FIN would make it look complete."""
    answers_once(platform, case)
    client = await bridge.client()
    await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await client.rest()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODIES = [
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5\r\nhello\r\n1;a=b\r\n!\r\n000\r\n\r\n", b"hello!"),
    (b'A\r\n0123456789\r\na;x="y"\r\n0123456789\r\n0\r\nX-Kombo-User: spoofed\r\nX: y\r\n\r\n', b"0123456789" * 2),
    (b"0\r\n\r\n", b""),
    (b"00000\r\nX: y\r\n\r\n", b""),
    (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
]


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize(("sent", "body"), BODIES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_chunks_pass_however_they_are_cut(
    bridge: Bridge, sent: bytes, body: bytes, size: int, version: bytes
) -> None:
    client, peer = await bridge.asking(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
    whole = CHUNKED + sent
    for start in range(0, len(whole), size):
        peer.writer.write(whole[start : start + size])
        await asyncio.sleep(0)
    if version == b"1.1":
        head, got = await client.message()
        assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    else:
        head, got = await client.head(), await client.rest()
        assert b"Transfer-Encoding" not in head
        assert b"\r\nConnection: close\r\n" in head
    assert got == body
    # Both messages ended exactly, so the connection is used again.
    await bridge.settled(lambda: len(bridge.pool._idle) == 1)


@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\r\n"])
@pytest.mark.parametrize(
    "answer",
    [OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n"],
)
async def test_bytes_behind_an_answer_are_nobodys(
    bridge: Bridge, platform: Platform, answer: bytes, extra: bytes
) -> None:
    """They neither reach this client nor answer the next request."""
    client, peer = await bridge.asking(GET)
    await peer.send(answer + extra)
    head = await client.head()
    if b" 200 " in head:
        assert await client.until(b"ok")
        if b"chunked" in head:
            await client.until(b"0\r\n\r\n")
    assert await client.silent(0.05)
    assert len(bridge.pool._idle) == 0
    await client.send(GET)
    second = await platform.accept()
    await second.head()


async def test_bytes_that_come_later_are_nobodys_either(bridge: Bridge, platform: Platform) -> None:
    client, peer = await bridge.asking(GET)
    await peer.send(OK)
    await client.message()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    await bridge.settled(lambda: not bridge.pool._open)
    await client.send(GET)
    second = await platform.accept()
    await second.head()
    await second.send(OK)
    assert (await client.message())[1] == b"ok"


@pytest.mark.parametrize(
    ("request_", "answer", "expected"),
    [
        (
            b"HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        ),
        (b"HEAD", CHUNKED, b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (
            b"GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n",
        ),
        (b"GET", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 \xe4\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 \xe4\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body(
    bridge: Bridge, platform: Platform, request_: bytes, answer: bytes, expected: bytes
) -> None:
    """They end with their head, whatever it says of a length, and another request may follow at once."""
    platform.answers = [answer, OK]
    client = await bridge.client()
    await client.send(request_ + b" / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert await client.head() == expected
    assert (await client.message())[1] == b"ok"


@pytest.mark.parametrize(
    ("method", "answer", "connections"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", 2),
        (b"HEAD", CHUNKED, 2),
        (b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n", 2),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 42\r\n\r\n", 2),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n", 2),
        (b"GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 2),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", 1),
    ],
)
async def test_a_body_that_may_not_be_is_not_the_next_answer(
    bridge: Bridge, platform: Platform, method: bytes, answer: bytes, connections: int
) -> None:
    """Many a platform answers HEAD as it does GET. What it sends behind the head, a learner may have written."""
    platform.answers = [answer, OK]
    client = await bridge.client()
    await client.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    await client.head()
    assert (await client.message())[1] == b"ok"
    assert platform.connections == connections


async def test_interim_answers_pass(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Kombo-User: x\r\n\r\n" + OK
    ]
    client = await bridge.client()
    await client.send(GET)
    assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert (await client.message())[1] == b"ok"


async def test_interim_answers_do_not_reach_old_clients(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK]
    head, body = await bridge.ask(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"ok"


async def test_a_body_may_end_with_the_connection(bridge: Bridge) -> None:
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello", b" world")
    assert await client.until(b"hello world") == b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nhello world"
    peer.close()
    assert await client.rest() == b""


async def test_a_body_that_should_end_with_the_connection_may_break_off(bridge: Bridge) -> None:
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
    await client.until(b"hello")
    peer.reset()
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_the_platform_may_close_behind_its_answer(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"]
    client = await bridge.client()
    for _ in range(2):
        await client.send(GET)
        head, body = await client.message()
        assert body == b"ok"
        assert b"Connection" not in head
    assert platform.connections == 2


async def test_events_leave_at_once(bridge: Bridge) -> None:
    client, peer = await bridge.asking(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    for number in range(3):
        event = b"%x\r\ndata: %d\n\n\r\n" % (9, number)
        await peer.send(event)
        assert await client.exactly(len(event)) == event


async def test_ranges_pass(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/10\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 2\r\n\r\n\x1f\x8b"
    ]
    head, body = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=2-3\r\nIf-Range: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/10\r\nContent-Encoding: gzip\r\n")
    assert body == b"\x1f\x8b"  # as it came
    assert b"\r\nRange: bytes=2-3\r\nIf-Range: x\r\n" in platform.requests[0][0]
