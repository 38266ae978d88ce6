"""What HTTP/2 brings to an engine that HTTP/1.1 cannot say: a body that no header announces, any byte in a path."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.generate.engines import ENGINES as GENERATED
from bridge.generate.plan import plan
from bridge.settings.addresses import Address, Upstream
from tests.real.engines import ENGINES
from tests.real.engines.platform import BODILESS
from tests.support.authority import Authority
from tests.support.processes import free_port
from tests.support.sockets import listening
from tests.support.stage import Stage, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = "learn.example.com"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\nX-Kombo-User: spoofed\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BESIDE = """
server {{
    listen {listen} ssl http2;
    server_name another.example.com;
    ssl_certificate {pair};
    ssl_certificate_key {pair};
}}
"""
"""What makes an nginx speak HTTP/2 that was not told to: it does so on all of an address or on nothing."""
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
SECONDS = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """What every engine asks here, and hands over to."""
    async with stage(tmp_path_factory.mktemp("stage"), public_url=f"https://{OURS}") as on:
        yield on


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113, 4.1."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def field(name: str, value: str) -> bytes:
    """One header, literally (RFC 7541, 6.2.2)."""
    return b"\x00" + b"".join(bytes((len(each),)) + each.encode("latin-1") for each in (name, value))


async def ask(port: int, context: ssl.SSLContext, *frames: bytes) -> bytes:
    """What comes back within a moment; nothing where the engine does not speak HTTP/2."""
    answer = b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=OURS)
    if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(SECONDS):
                writer.write(PREFACE + frame(SETTINGS, 0, 0) + b"".join(frames))
                while piece := await reader.read(65536):
                    answer += piece
    writer.transport.abort()
    return answer


def head_of(method: str, path: str) -> bytes:
    said = {":method": method, ":scheme": "https", ":authority": OURS, ":path": path}
    return b"".join(field(*each) for each in said.items())


def ended_by_a_trailer() -> bytes:
    """A request whose body is there, and empty."""
    head = frame(HEADERS, END_HEADERS, 1, head_of("GET", "/static/trailer"))
    return head + frame(HEADERS, END_HEADERS | END_STREAM, 1, field("x-kombo-user", "spoofed"))


def asked(method: str, stream: int, *body: bytes) -> bytes:
    """One request, for a public path that says which."""
    head = head_of(method, f"/static/{method}")
    pieces = b"".join(frame(DATA, END_STREAM if piece is body[-1] else 0, stream, piece) for piece in body)
    return frame(HEADERS, END_HEADERS if body else END_HEADERS | END_STREAM, stream, head) + pieces


@contextlib.asynccontextmanager
async def running(
    name: str, bridge: Stage, tmp_path: Path, beside: str = ""
) -> AsyncIterator[tuple[int, ssl.SSLContext, list[bytearray]]]:
    """An engine with a certificate: its port, how to speak to it, and what the platform gets on each connection."""
    authority, port = Authority.made(tmp_path), free_port()
    context = ssl.create_default_context(cafile=str(authority.pem))
    context.set_alpn_protocols(["h2", "http/1.1"])
    pair = authority.certificate(OURS)
    connections: list[bytearray] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(received := bytearray())
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                received += piece
                if b" HTTP/1.1\r\n" in piece:
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    (folder := tmp_path / "engine").mkdir()
    async with listening(connected) as platform:
        made = plan(bridge.deployment.load(), listen=Address("127.0.0.1", port), certificate=pair, key=pair)
        upstream = Upstream("http", "127.0.0.1", platform)
        made = replace(made, upstream=upstream, cache_folder=folder / "answers")
        with ENGINES[name](GENERATED[name](made) + beside.format(listen=made.listen, pair=pair), folder, port):
            yield port, context, connections


@pytest.mark.parametrize(("name", "beside"), [*((name, "") for name in ENGINES), ("nginx", BESIDE)])
async def test_a_body_that_nobody_announced(name: str, beside: str, bridge: Stage, tmp_path: Path) -> None:
    """Some platforms take a body that comes with these methods for another request, which nobody was asked about.

    So none may arrive on a connection that goes on.
    """
    bodies = [asked(method, 3 + 2 * at, SMUGGLED, b"more") for at, method in enumerate(BODILESS)]
    async with running(name, bridge, tmp_path, beside) as (port, context, connections):
        spoken = await ask(port, context, asked("PATCH", 1), *bodies)
        await ask(port, context, ended_by_a_trailer())
    received = [bytes(each) for each in connections]
    assert any(b"/static/PATCH " in each for each in received) is bool(spoken)
    assert bool(spoken) or not beside
    met = [each for each in received if b"/smuggled" in each or (b"/trailer" in each and b"\r\n0\r\n" in each)]
    assert [each for each in met if b"\r\nconnection: close\r\n" not in each.lower()] == []


@pytest.mark.parametrize("name", ENGINES)
async def test_a_path_with_bytes_that_belong_escaped(name: str, bridge: Stage, tmp_path: Path) -> None:
    """What is no UTF-8, such as overlong dots, must not be asked about as something else."""
    paths = ["/static/\xe4", "/static/\xc0\xae\xc0\xae/my", "/static/\xc3\xa4", "/static/x?\xff", "/static/\x7f"]
    requests = [
        frame(HEADERS, END_HEADERS | END_STREAM, 3 + 2 * at, head_of("GET", path)) for at, path in enumerate(paths)
    ]
    async with running(name, bridge, tmp_path) as (port, context, connections):
        # On a connection each, as an engine may end it for one.
        await asyncio.gather(*(ask(port, context, request) for request in requests))
    assert [bytes(each) for each in connections if not each.isascii() or b"\x7f" in each] == []
