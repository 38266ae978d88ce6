"""Answers that come before the request has been sent in full, and clients that ask first whether to send it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from .conftest import OK, Bridge, Platform

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MIB = 1024 * 1024


def post(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST / HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, b"".join(line + b"\r\n" for line in lines))


async def test_a_client_that_waits_may_be_answered_at_once(bridge: Bridge) -> None:
    """It was told to go on before the platform could say no; it need not, and nothing that it sends is a request."""
    client, peer = await bridge.asking(post(b"Expect: 100-continue", b"Content-Length: 100"))
    assert await client.head() == CONTINUE
    await peer.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
    head, body = await client.message()
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nConnection: close\r\n" in head
    assert body == b"no"
    await client.send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await client.rest() == b""
    assert [asked.path for asked in bridge.decisions.asked] == [b"/"]
    await bridge.settled(lambda: not bridge.pool._open)


@pytest.mark.parametrize(
    "lines",
    [
        [b"Expect: 200-ok"],
        [b"Expect: 100-continue, other"],
        [b"Expect: x100-continue"],
        [b"Expect: 100-continue=1"],
        [b"Expect: 100-continue", b"Expect: other"],
    ],
)
async def test_an_expectation_that_nobody_meets_is_refused(
    bridge: Bridge, platform: Platform, lines: list[bytes]
) -> None:
    """RFC 9110, 10.1.1. The platform, which never sees Expect, could not refuse it."""
    client = await bridge.client()
    await client.send(post(*lines, b"Content-Length: 2") + b"ok")
    head, _ = await client.message()
    assert head.startswith(b"HTTP/1.1 417 ")
    assert b"bridge-error: request_malformed" in head
    assert await client.rest() == b""
    assert platform.connections == 0


@pytest.mark.parametrize("lines", [[b"Expect: 100-Continue"], [b"expect:\t100-continue , ,100-CONTINUE"], [b"Expect:"]])
async def test_an_expectation_that_is_met(bridge: Bridge, platform: Platform, lines: list[bytes]) -> None:
    client = await bridge.client()
    await client.send(post(*lines, b"Content-Length: 2"))
    if lines != [b"Expect:"]:
        assert await client.head() == CONTINUE
    await client.send(b"ok")
    assert (await client.message())[0].startswith(b"HTTP/1.1 200 ")
    assert b"xpect" not in platform.requests[0][0]


@pytest.mark.parametrize("value", [b"100-continue", b"other"])
async def test_an_old_client_expects_nothing(bridge: Bridge, platform: Platform, value: bytes) -> None:
    client = await bridge.client()
    await client.send(post(b"Expect: " + value, b"Content-Length: 2", version=b"1.0"))
    assert await client.silent(0.05)
    await client.send(b"ok")
    assert (await client.head()).startswith(b"HTTP/1.1 200 ")
    assert platform.requests[0][1] == b"ok"


@pytest.mark.parametrize("framing", [b"Connection: close\r\nContent-Length: 3\r\n", b"Connection: close\r\n"])
async def test_a_platform_that_answers_and_leaves_ends_the_upload(bridge: Bridge, framing: bytes) -> None:
    """It never reads the rest. Its answer must not be lost to the reset that what is still on its way would get."""
    client, peer = await bridge.asking(post(b"Content-Length: %d" % (32 * MIB)))
    client.writer.write(bytes(32 * MIB))
    await bridge.settled(lambda: any(each.write_paused for each in bridge.pool._open))
    await peer.send(b"HTTP/1.1 413 Too Large\r\n%b\r\nbig" % framing)
    peer.writer.write_eof()
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nConnection: close\r\n" in head
    assert await client.exactly(3) == b"big"
    assert await client.rest() == b""  # in order


async def test_a_body_that_nobody_wants_is_not_kept(bridge: Bridge) -> None:
    client, peer = await bridge.asking(post(b"Content-Length: %d" % (64 * MIB)))
    await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nha")
    await client.until(b"ha")
    sending = asyncio.create_task(client.send(bytes(32 * MIB)))
    await asyncio.wait_for(sending, 5)  # it is taken from the client, and goes nowhere
    (connection,) = bridge.connections
    assert connection._current is not None
    assert connection._current.held < MIB
    await peer.send(b"lf")
    assert await client.until(b"lf") == b"lf"


async def test_an_early_answer_does_not_stop_an_upload_that_is_wanted(bridge: Bridge) -> None:
    client, peer = await bridge.asking(post(b"Content-Length: 8") + b"half")
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
    await client.until(b"half")
    await client.send(b"more")
    assert await peer.exactly(8) == b"halfmore"
    await peer.send(b"done")
    assert await client.rest() == b"done"


async def test_an_answer_behind_all_of_the_request_keeps_both(bridge: Bridge, platform: Platform) -> None:
    """The counterpart: a platform that has read everything before it answers costs nobody a connection."""
    client = await bridge.client()
    for _ in range(3):
        await client.send(post(b"Content-Length: 4"), b"bo", b"dy")
        assert (await client.message())[1] == b"ok"
    assert platform.connections == 1


async def test_interim_answers_pass_while_the_request_is_sent(bridge: Bridge) -> None:
    client, peer = await bridge.asking(post(b"Content-Length: 4") + b"bo")
    await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 102 Processing\r\n\r\n"
    await client.send(b"dy")
    assert await peer.exactly(4) == b"body"
    await peer.send(OK)
    head, body = await client.message()
    assert b"Connection" not in head
    assert body == b"ok"


async def test_a_storm_of_interim_answers_is_bounded(bridge: Bridge) -> None:
    """Ten thousand of them in one packet, and nobody who reads."""
    client, peer = await bridge.asking(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 10_000)
    heads = [await client.head() for _ in range(17)]
    assert [head[:12] for head in heads] == [b"HTTP/1.1 103"] * 16 + [b"HTTP/1.1 502"]
    await bridge.settled(lambda: not bridge.pool._open)
