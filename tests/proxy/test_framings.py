"""Requests that must not get as far as the platform."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import yaml

from bridge.exchange import Answer

from .conftest import Bridge, Platform

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "framings.yaml").read_text())
SHORT = [case for case in CASES if "*" not in case["request"] or " * " in case["request"]]
GET = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"


def request(case: dict[str, str]) -> bytes:
    text = re.sub(r"\{(.*?)\*([0-9]+)\}", lambda m: m[1] * int(m[2]), case["request"], flags=re.DOTALL)
    return text.encode("latin-1")


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_is_refused(bridge: Bridge, platform: Platform, case: dict[str, str]) -> None:
    client = await bridge.client()
    client.writer.write(request(case))
    if case.get("after"):
        assert (await client.message())[1] == b"ok"
        platform.requests.clear()
    head, _ = await client.message()
    assert head.startswith(f"HTTP/1.1 {case.get('status', 400)} ".encode()), head
    assert re.search(rb"(?im)^bridge-error: request_malformed\r$", head)
    assert re.search(rb"(?im)^connection: close\r$", head)
    assert await client.rest() == b""
    assert platform.requests == []
    assert (await bridge.ask(GET))[1] == b"ok"  # it goes on serving


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case["name"])
async def test_is_refused_byte_by_byte(bridge: Bridge, platform: Platform, case: dict[str, str]) -> None:
    """As above, where each byte is a read of its own."""
    client = await bridge.client()

    async def dribble() -> None:
        for byte in request(case):
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    writing = asyncio.create_task(dribble())
    if case.get("after"):
        await client.message()
        platform.requests.clear()
    head, _ = await client.message()
    await asyncio.wait_for(asyncio.gather(writing, return_exceptions=True), 5)
    assert head.startswith(f"HTTP/1.1 {case.get('status', 400)} ".encode()), head
    assert platform.requests == []


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case["name"])
async def test_what_came_before_is_answered_first(bridge: Bridge, platform: Platform, case: dict[str, str]) -> None:
    client = await bridge.client()
    client.writer.write(GET + request(case))
    assert (await client.message())[1] == b"ok"
    if case.get("after"):
        await client.message()
    head, _ = await client.message()
    assert head.startswith(f"HTTP/1.1 {case.get('status', 400)} ".encode()), head
    assert await client.rest() == b""
    assert all(sent.startswith((b"GET /ok ", b"POST / ")) for sent, _ in platform.requests)
    assert len(platform.requests) == (2 if case.get("after") else 1)


async def test_a_bad_body_ends_the_request_that_is_under_way(bridge: Bridge, platform: Platform) -> None:
    """The platform has seen the head: its connection is closed, so that it does not wait for the rest."""
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert await peer.exactly(6) == b"1\r\na\r\n"
    await client.send(b"zz\r\n")
    head, _ = await client.message()
    assert head.startswith(b"HTTP/1.1 400 ")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await peer.exactly(1)


async def test_a_bad_body_cuts_an_answer_that_has_begun(bridge: Bridge) -> None:
    """An answer and a refusal never mix."""
    client, peer = await bridge.asking(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    await client.until(b"hello")
    await client.send(b"zz\r\n")
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_bad_body_ends_an_answer_of_ours(bridge: Bridge, platform: Platform) -> None:
    received = asyncio.get_running_loop().create_future()

    async def app(scope, receive, send) -> None:
        message = await receive()
        while message["type"] == "http.request":
            message = await receive()
        received.set_result(message["type"])

    bridge.decisions.by_path[b"/own"] = Answer(app)
    client = await bridge.client()
    await client.send(b"POST /own HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await asyncio.sleep(0.05)
    await client.send(b"zz\r\n")
    assert (await client.message())[0].startswith(b"HTTP/1.1 400 ")
    assert await asyncio.wait_for(received, 5) == "http.disconnect"


async def test_what_is_refused_with_a_head_is_written_by_the_decider(bridge: Bridge) -> None:
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert [refusal.code for refusal in bridge.decisions.refused] == ["request_malformed"]
    assert bridge.decisions.asked == []


async def test_a_defect_in_a_callback_is_logged_as_ours(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bridge.proxy.reader.Exchange", None)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 400 ")
    logged = capsys.readouterr().out
    assert "request_parsing_failed" in logged
    assert "NoneType" in logged
