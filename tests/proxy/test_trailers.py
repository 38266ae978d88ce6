"""What the platform says behind a chunked body."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from .conftest import OK, Bridge, Platform, Start

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "trailers.yaml").read_text(encoding="utf-8"))
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n"


def answer(*trailers: str, announced: str = "") -> bytes:
    line = f"Trailer: {announced}\r\n" if announced else ""
    behind = "".join(f"{trailer}\r\n" for trailer in trailers)
    return HEAD + f"{line}\r\n2\r\nok\r\n0\r\n{behind}\r\n".encode("latin-1")


async def test_trailers_pass_as_they_came(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [answer(*CASES["kept"]), OK]
    client = await bridge.client()
    await client.send(GET + GET)
    assert (await client.message())[1] == b"ok"
    assert client.trailers == [trailer.encode("latin-1") for trailer in CASES["kept"]]
    assert (await client.message())[1] == b"ok"
    assert client.trailers == []
    assert platform.connections == 1


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("trailer", CASES["dropped"])
async def test_trailers_that_do_not_pass(bridge: Bridge, platform: Platform, trailer: str) -> None:
    platform.answers = [answer("X-Before: 1", trailer, trailer, "X-After: 2"), OK]
    client = await bridge.client()
    await client.send(GET + GET)
    assert (await client.message())[1] == b"ok"
    assert client.trailers == [b"X-Before: 1", b"X-After: 2"]
    assert (await client.message())[1] == b"ok"


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("trailer", CASES["malformed"])
async def test_a_malformed_trailer_is_no_end(bridge: Bridge, platform: Platform, trailer: str) -> None:
    platform.answers = [answer("X-Before: 1", trailer)]
    client = await bridge.client()
    await client.send(GET)
    with pytest.raises(ConnectionResetError):
        await client.rest()


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_trailers_pass_however_they_are_cut(bridge: Bridge, size: int) -> None:
    client, peer = await bridge.asking(GET)
    whole = answer("A: 1", "X-Kombo-User: x", "B: 2")
    for start in range(0, len(whole), size):
        peer.writer.write(whole[start : start + size])
        await asyncio.sleep(0)
    await client.message()
    assert client.trailers == [b"A: 1", b"B: 2"]


@pytest.mark.parametrize(
    ("announced", "passed"),
    [
        ("Server-Timing", b"Trailer: Server-Timing"),
        ("X-Kombo-User, Server-Timing ,x-hop,\tContent-Digest,Set-Cookie", b"Trailer: Server-Timing, Content-Digest"),
        ("X-Kombo-User", b""),
        (",", b""),
    ],
)
async def test_what_is_announced_is_what_passes(
    bridge: Bridge, platform: Platform, announced: str, passed: bytes
) -> None:
    platform.answers = [answer(announced=announced)]
    head, _ = await bridge.ask(GET)
    assert [line for line in head.split(b"\r\n") if line.lower().startswith(b"trailer:")] == (
        [passed] if passed else []
    )


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_nothing_is_announced_where_nothing_comes(bridge: Bridge, platform: Platform, method: bytes) -> None:
    platform.answers = [b"HTTP/1.1 200 OK\r\nTrailer: Server-Timing\r\nContent-Length: 2\r\n\r\nok"]
    head, _ = await bridge.ask(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"Trailer" not in head


async def test_old_clients_get_no_trailers(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [answer("Server-Timing: a", announced="Server-Timing")]
    client = await bridge.client()
    await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert b"Trailer" not in await client.head()
    assert await client.rest() == b"ok"


async def test_trailers_are_bounded(start: Start, platform: Platform) -> None:
    bridge = await start(head_bytes=1024)
    for trailers in (["A: " + "a" * 2000], ["A: 1"] * 400):
        platform.answers = [answer(*trailers)]
        client = await bridge.client()
        await client.send(GET)
        with pytest.raises(ConnectionResetError):
            await client.rest()
