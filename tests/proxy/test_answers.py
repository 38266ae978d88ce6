"""Requests that our own applications answer, through uvicorn's request cycle."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge.exchange import Answer

from .conftest import Bridge, Platform, Start

MIB = 1024 * 1024


async def echo(request: Request) -> Response:
    return Response(await request.body())


async def refused_whatever_happens(request: Request) -> Response:
    try:
        return Response(await request.body())
    except Exception:
        return PlainTextResponse("swallowed")


async def unread(request: Request) -> Response:
    return PlainTextResponse("unread", 401)


async def stream(request: Request) -> Response:
    async def parts():
        for number in range(3):
            yield b"%d" % number

    return StreamingResponse(parts())


async def broken(request: Request) -> Response:
    raise ValueError("secret")


async def breaks_off(request: Request) -> Response:
    async def parts():
        yield b"0"
        await asyncio.sleep(0.01)
        raise ValueError("secret")

    return StreamingResponse(parts())


async def facts(request: Request) -> Response:
    scope = request.scope
    return Response(
        repr((scope["method"], scope["path"], scope["raw_path"], scope["query_string"], scope["http_version"]))
    )


APP = Starlette(
    routes=[
        Route("/_bridge/echo", echo, methods=["POST"]),
        Route("/_bridge/swallows", refused_whatever_happens, methods=["POST"]),
        Route("/_bridge/unread", unread, methods=["GET", "POST"]),
        Route("/_bridge/stream", stream),
        Route("/_bridge/broken", broken),
        Route("/_bridge/breaks-off", breaks_off),
        Route("/_bridge/facts/{rest:path}", facts),
    ]
)


@pytest.fixture
async def own(bridge: Bridge) -> Bridge:
    bridge.decisions.default = Answer(APP)
    return bridge


def post(path: bytes, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


async def test_bodies_arrive(own: Bridge) -> None:
    client = await own.client()
    for body in (b"", b"x", bytes(range(256)) * 4000):
        writing = asyncio.create_task(client.send(post(b"/_bridge/echo", body)))
        assert (await client.message())[1] == body
        await writing


async def test_chunked_bodies_arrive(own: Bridge) -> None:
    client = await own.client()
    await client.send(
        b"POST /_bridge/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"2\r\nab\r\n",
        b"1\r\nc\r\n0\r\n\r\n",
    )
    assert (await client.message())[1] == b"abc"


async def test_an_answer_after_an_await_has_the_body_that_was_sent_meanwhile(own: Bridge) -> None:
    async def later() -> Answer:
        await asyncio.sleep(0.05)
        return Answer(APP)

    own.decisions.by_path[b"/_bridge/echo"] = later()
    client = await own.client()
    await client.send(b"POST /_bridge/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab", b"cd")
    await client.send(b"GET /_bridge/facts/2?x=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await client.message())[1] == b"abcd"
    # The parser had gone on to this one before the first was decided.
    assert (await client.message())[1] == b"('GET', '/_bridge/facts/2', b'/_bridge/facts/2', b'x=1', '1.1')"


@pytest.mark.parametrize("path", [b"/_bridge/echo", b"/_bridge/swallows"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_too_large_a_body_is_413_whatever_the_application_makes_of_it(
    own: Bridge, path: bytes, chunked: bool
) -> None:
    body = bytes(3 * MIB)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    client = await own.client()
    client.writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n%b" % (path, framing, sent))
    head, _ = await client.message()
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"bridge-error: request_malformed" in head
    assert b"connection: close" in head


async def test_a_body_of_the_limit_is_not_too_large(own: Bridge) -> None:
    body = bytes(MIB)
    client = await own.client()
    writing = asyncio.create_task(client.send(post(b"/_bridge/echo", body)))
    assert (await client.message())[1] == body
    await writing


async def test_an_unread_body_is_never_a_request(own: Bridge) -> None:
    client = await own.client()
    await client.send(b"POST /_bridge/unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    head, body = await client.message()
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in head
    assert body == b"unread"
    await client.send(b"GET /_bridge/unread HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await client.rest() == b""
    assert len(own.decisions.asked) == 1


async def test_a_large_unread_body_does_not_take_the_answer_away(own: Bridge) -> None:
    client = await own.client()
    client.writer.write(
        b"POST /_bridge/unread HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (8 * MIB) + bytes(8 * MIB)
    )
    assert (await client.message())[1] == b"unread"


async def test_a_body_that_was_there_but_unread_keeps_the_connection(own: Bridge) -> None:
    client = await own.client()
    for _ in range(3):
        await client.send(post(b"/_bridge/unread", b"abc"))
        assert (await client.message())[1] == b"unread"


async def test_an_expectation_is_met_when_the_body_is_wanted(own: Bridge) -> None:
    client = await own.client()
    await client.send(b"POST /_bridge/echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"abc")
    assert (await client.message())[1] == b"abc"


async def test_streams_and_head(own: Bridge) -> None:
    client = await own.client()
    await client.send(b"GET /_bridge/stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await client.message())[1] == b"012"
    await client.send(
        b"HEAD /_bridge/unread HTTP/1.1\r\nHost: a\r\n\r\nGET /_bridge/unread HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    head, _ = await client.message(bodiless=True)
    assert b"content-length: 6" in head
    assert (await client.message())[1] == b"unread"


async def test_an_application_that_fails_shows_nothing(own: Bridge) -> None:
    head, body = await own.ask(b"GET /_bridge/broken HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in head + body


async def test_an_application_that_breaks_off_does_not_end_in_order(own: Bridge) -> None:
    client = await own.client()
    await client.send(b"GET /_bridge/breaks-off HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_an_application_hears_that_the_client_has_left(bridge: Bridge) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def app(scope, receive, send) -> None:
        try:
            await Request(scope, receive).body()
        except ClientDisconnect:
            heard.set_result(True)

    bridge.decisions.default = Answer(app)
    client = await bridge.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
    await bridge.settled(lambda: len(bridge.server.server_state.tasks) == 1)
    client.close()
    assert await asyncio.wait_for(heard, 5)


async def test_writing_to_a_client_that_has_left_raises_nothing(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def app(scope, receive, send) -> None:
        await bridge.settled(lambda: not bridge.connections)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        ended.set_result(True)

    bridge.decisions.default = Answer(app)
    client = await bridge.client()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await bridge.settled(lambda: len(bridge.server.server_state.tasks) == 1)
    client.close()
    await asyncio.wait_for(ended, 5)
    assert "Exception" not in caplog.text


async def test_the_scope_is_that_of_the_request(own: Bridge) -> None:
    _, body = await own.ask(b"GET /_bridge/facts/%C3%A9%2Fx?a=%20 HTTP/1.0\r\nHost: a\r\n\r\n")
    assert body.decode() == repr(("GET", "/_bridge/facts/é/x", b"/_bridge/facts/%C3%A9%2Fx", b"a=%20", "1.0"))


async def test_a_slow_reader_of_ours_is_under_backpressure(start: Start, platform: Platform) -> None:
    bridge = await start()
    sent = 0

    async def app(scope, receive, send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(64 * 1024), "more_body": True})
            sent += 1

    bridge.decisions.default = Answer(app)
    client = await bridge.client(small_buffers=True)
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0.2)
    assert 0 < sent < 200
