"""The internal listener reads requests with bounds, and keeps each target as it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httptools
import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge.proxy import inside
from bridge.proxy.server import serve_internal
from bridge.settings.addresses import Address

from .conftest import WAIT, Peer


class Listener:
    """An application that tells what it was asked, once it may."""

    def __init__(self) -> None:
        self.address = Address("127.0.0.1", 0)
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.clients: list[Peer] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["state"]["target"].decode("latin-1"))
        await self.go.wait()
        headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        body = json.dumps({"target": self.asked[-1], "headers": headers}).encode()
        head = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def client(self) -> Peer:
        self.clients.append(Peer(*await asyncio.open_connection(*self.address)))
        return self.clients[-1]


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    found = Listener()
    async with serve_internal(found, found.address) as found.address:
        yield found
        found.go.set()
        for client in found.clients:
            client.close()


TARGETS = [
    "/auth/envoy/x?a=b",
    "/auth/envoy/x?",
    "/auth/envoy/x#y",
    "/auth/envoy//x/../y;z/%2e%2E?a#b?c",
    "http://elsewhere.example/auth/envoy/x",
    "/auth/envoy/" + "x" * 60_000,
    "*",
]


async def test_targets_as_they_were_sent(listener: Listener) -> None:
    client = await listener.client()
    for target in TARGETS:
        await client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        _, body = await client.message()
        assert json.loads(body)["target"] == target


async def test_pipelined_ones_keep_apart(listener: Listener) -> None:
    client = await listener.client()
    await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5)))
    assert [json.loads((await client.message())[1])["target"] for _ in range(5)] == [f"/{n}" for n in range(5)]


@pytest.mark.parametrize("target", ["/auth/envoy/\xe4", "/auth/envoy/" + "x" * 70_000, "/auth/envoy/\x7f"])
async def test_what_cannot_be_read(listener: Listener, target: str) -> None:
    client = await listener.client()
    await client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    assert listener.asked == []


async def test_trailers_are_no_headers(listener: Listener) -> None:
    client = await listener.client()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    await client.send(head + b"1\r\nx\r\n0\r\nX-Original-URI: /static/x\r\n\r\n")
    _, body = await client.message()
    assert json.loads(body)["headers"] == [["host", "a"], ["transfer-encoding", "chunked"]]


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_what_follows_an_upgrade_is_no_request(
    listener: Listener, protocol: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The parser would take the body, and all that comes later, for requests of their own."""
    other = b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    head = b"POST /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: 27\r\n\r\n"
    listener.go.clear()
    client = await listener.client()
    await client.send(head % protocol + other, other, other)
    listener.go.set()
    answer = await client.rest()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close\r\n" in answer
    assert listener.asked == ["/1"]
    assert caplog.text == ""


async def test_a_head_without_an_end(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "HEAD_BYTES", 10_000)
    client = await listener.client()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", *[b"x" * 5_000] * 3)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"\r\nBridge-Error: request_malformed\r\n" in answer
    assert listener.asked == []


@pytest.mark.parametrize("around", [b"1\r\nx\r\n0\r\nX: ", b"1\r\nx\r\n1;"], ids=["trailer", "extension"])
async def test_what_stands_around_a_body_without_an_end(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, around: bytes
) -> None:
    monkeypatch.setattr(inside, "HEAD_BYTES", 10_000)
    listener.go.clear()
    client = await listener.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        await client.send(around, *[b"x" * 5_000] * 4)
        assert await client.rest() == b""
    except ConnectionError:
        pass


async def test_a_body_that_nobody_reads(listener: Listener) -> None:
    """Is held back while the answer is made, and thrown away behind it."""
    listener.go.clear()
    client = await listener.client()
    size = 32 * 1024 * 1024
    sending = asyncio.create_task(
        client.send(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size, b"x" * size)
    )
    assert await client.silent()
    assert not sending.done()
    listener.go.set()
    _, body = await client.message()
    assert json.loads(body)["target"] == "/1"
    await asyncio.wait_for(sending, WAIT)
    await client.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert json.loads((await client.message())[1])["target"] == "/2"


def test_what_is_taken_for_granted_of_uvicorn() -> None:
    assert {"data_received", "on_headers_complete", "on_body", "_unsupported_upgrade_warning"} <= set(
        vars(HttpToolsProtocol)
    )
    with pytest.raises(httptools.HttpParserInvalidURLError):  # its offsets have 16 bits, and wrapped once
        httptools.parse_url(b"/" + b"x" * 65_536)
