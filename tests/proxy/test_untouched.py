"""What passes through unchanged, and what either side's version and wish to close do to the other."""

from __future__ import annotations

import gzip

import pytest

from .conftest import OK, Bridge, Platform

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_parts_of_several_ranges_pass(bridge: Bridge, platform: Platform) -> None:
    body = (
        b"--b\r\nContent-Range: bytes 0-0/9\r\nX-Kombo-User: of a part, which is no header\r\n\r\n0\r\n"
        b"--b\r\nContent-Range: bytes 8-8/9\r\n\r\n8\r\n--b--\r\n"
    )
    head = b'HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=b\r\nETag: W/"x"\r\n'
    platform.answers = [head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)]
    got, got_body = await bridge.ask(b'GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,8-8\r\nIf-Range: "x"\r\n\r\n')
    assert got.startswith(head)
    assert got_body == body
    assert b'\r\nRange: bytes=0-0,8-8\r\nIf-Range: "x"\r\n' in platform.requests[0][0]


async def test_a_range_that_cannot_be_met_passes(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n"]
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=99-\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */9\r\n")


async def test_bodies_are_never_decoded(bridge: Bridge, platform: Platform) -> None:
    body = gzip.compress(b"hello" * 100)
    platform.answers = [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    ]
    head, got = await bridge.ask(
        b"POST / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br, zstd\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert b"\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n" in head
    assert got == body
    sent, sent_body = platform.requests[0]
    assert b"\r\nAccept-Encoding: gzip, br, zstd\r\nContent-Encoding: gzip\r\n" in sent
    assert sent_body == body


async def test_many_cookies_pass_apart_and_in_order(bridge: Bridge, platform: Platform) -> None:
    asked = b"; ".join(b"c%d=%b" % (number, b"x" * 50) for number in range(500))
    lines = [b"Set-Cookie: s%d=%d; Path=/; Expires=Thu, 01 Dec 2094 16:00:00 GMT" % (n, n) for n in range(90)]
    platform.answers = [b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\nok" % b"\r\n".join(lines)]
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: kombo-bridge-session=x; %b\r\n\r\n" % asked)
    assert head.split(b"\r\n")[1:91] == lines
    assert b"\r\nCookie: %b\r\n" % asked in platform.requests[0][0]


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 205 Reset\r\n"),
        (b"HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 205 Reset\r\n"),
        (b"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 299 \r\n"),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 599 Odd\r\n"),
    ],
)
async def test_any_status_passes(bridge: Bridge, platform: Platform, answer: bytes, passed: bytes) -> None:
    platform.answers = [answer, OK]
    client = await bridge.client()
    await client.send(GET + GET)
    head, body = await client.message()
    assert head.startswith(passed)
    assert body == b""
    assert (await client.message())[1] == b"ok"
    assert platform.connections == 1


@pytest.mark.parametrize("lines", [b"Content-Length: 2\r\n", b"Connection: keep-alive\r\nContent-Length: 2\r\n", b""])
async def test_a_platform_of_http_1_0(bridge: Bridge, platform: Platform, lines: bytes) -> None:
    """Its connections are used once, whatever it says; its version is not passed on (RFC 9110, 2.5)."""

    async def handler(peer) -> None:
        platform.requests.append(await peer.message())
        await peer.send(b"HTTP/1.0 200 OK\r\n%b\r\nok" % lines)
        peer.writer.write_eof()

    platform.handler = handler
    for _ in range(2):
        client = await bridge.client()
        await client.send(GET)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (b"\r\nConnection: close\r\n" in head) == (not lines)
        assert await client.exactly(2) == b"ok"
    assert platform.connections == 2


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("wish", [b"close", b"Close, x", b"keep-alive"])
async def test_a_client_that_wants_to_close(bridge: Bridge, platform: Platform, version: bytes, wish: bytes) -> None:
    """Its own connection ends; the platform's, which it knows nothing of, is used again."""
    for _ in range(2):
        client = await bridge.client()
        await client.send(b"GET / HTTP/%b\r\nHost: a\r\nConnection: %b\r\n\r\n" % (version, wish))
        head, body = await client.message()
        assert body == b"ok"
        ends = version == b"1.0" or wish != b"keep-alive"
        assert (b"\r\nConnection: close\r\n" in head) == ends
        if ends:
            assert await client.rest() == b""
    assert platform.connections == 1
    assert all(b"onnection" not in head for head, _ in platform.requests)


async def test_head_keeps_the_connection(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nETag: x\r\n\r\n"] * 3 + [OK]
    client = await bridge.client()
    for _ in range(3):
        await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"\r\nContent-Length: 99\r\n" in await client.head()
    await client.send(GET)
    assert (await client.message())[1] == b"ok"
