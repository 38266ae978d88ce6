"""Other people's servers behind the bridge: none sees a request, path, host or identity that was not decided on.

What is forwarded here is chosen to be read differently: whoever takes a body for a request, a trailer for a header or
one path for another shows it in what it says that it saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Awaitable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from starlette.responses import Response

from bridge.errors import Refusal
from bridge.exchange import Answer, Decision, Forward, Head
from bridge.front.paths import PathDecider
from bridge.front.routes import RouteTable
from bridge.proxy.names import reading
from bridge.settings.addresses import Upstream
from tests.hostile.test_servers import COMPLETIONS, ROUTES, route
from tests.proxy.conftest import IDENTITY, Bridge, Decisions, Start
from tests.support.needs import need
from tests.support.processes import free_port, started

HERE = Path(__file__).parent / "servers"
FRAMINGS = yaml.safe_load((HERE.parent.parent / "proxy" / "cases" / "framings.yaml").read_text())
REQUESTS = yaml.safe_load((HERE / "requests.yaml").read_text())
[EXAMPLE, *_] = yaml.safe_load((HERE.parent.parent / "hostile" / "paths.yaml").read_text(encoding="utf-8"))

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: evil\r\nX-Kombo-User: spoofed\r\n\r\n"
IDENTITY_NAMES = re.compile(rb"x-kombo-.*|x-remote-user")
APACHE_MODULES = Path("/usr/lib/apache2/modules")


@dataclass(frozen=True)
class Seen:
    """One request as a server understood it. `path` is what it would route by."""

    method: str
    target: str
    path: str
    headers: list[tuple[str, str]]

    @property
    def host(self) -> str:
        return ", ".join(value for name, value in self.headers if name.lower() == "host")

    @property
    def identity(self) -> dict[bytes, str]:
        named = ((reading(name.encode("latin-1")), value) for name, value in self.headers)
        return {name: value for name, value in named if IDENTITY_NAMES.fullmatch(name) and value not in ("", "-")}


@dataclass(frozen=True)
class Server:
    """A server that runs. `log` is where it says what it saw."""

    port: int
    log: Path

    def seen(self) -> list[Seen]:
        lines = self.log.read_bytes().split(b"\n")
        found = (json.loads(_unescaped(line)) for line in lines if line.startswith((b"SEEN ", b"[")))
        return [Seen(method, target, path, headers) for method, target, path, headers, refused in found if not refused]


def _unescaped(line: bytes) -> str:
    """Apache writes bytes as `\\xHH`, which JSON does not know."""
    line = re.sub(rb"\\x([0-9a-f]{2})", lambda escape: bytes.fromhex(escape[1].decode()), line)
    return line.removeprefix(b"SEEN ").decode(errors="replace")


def _commands(name: str, port: int, folder: Path) -> tuple[list[str], Path | None]:
    """How a server is started, and its log where that is not its output."""
    if name.startswith("uvicorn"):
        options = ["--port", str(port), "--http", name.partition(" ")[2], "--no-access-log", "--log-level", "critical"]
        return [sys.executable, "-m", "uvicorn", "asgi:app", "--app-dir", str(HERE), *options], None
    if name == "node":
        need(node := shutil.which("node"), "node")
        return [str(node), str(HERE / "node.js"), str(port)], None
    if name == "nginx":
        need(nginx := shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin"), "nginx")
        return [str(nginx), "-p", str(folder), "-c", str(_configured(name, port, folder))], folder / "seen.log"
    if name == "apache":
        need(apache := shutil.which("apache2", path="/usr/sbin") if APACHE_MODULES.exists() else None, "apache2")
        return [str(apache), "-X", "-f", str(_configured(name, port, folder))], folder / "seen.log"
    return [sys.executable, str(HERE / "python.py"), name, str(port)], None


def _configured(name: str, port: int, folder: Path) -> Path:
    (folder / "empty").mkdir()
    text = (HERE / f"{name}.conf").read_text()
    for place, value in {"port": port, "folder": folder, "modules": APACHE_MODULES}.items():
        text = text.replace(f"{{{place}}}", str(value))
    (folder / "server.conf").write_text(text)
    return folder / "server.conf"


@pytest.fixture(
    scope="module", params=["uvicorn h11", "uvicorn httptools", "node", "nginx", "apache", "careless", "wsgi"]
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, folder = free_port(), tmp_path_factory.mktemp("server")
    command, log = _commands(request.param, port, folder)
    with started(command, folder / "output") as running:
        running.wait_for_port(port)
        yield Server(port, log or folder / "output")


def request(case: dict[str, Any], number: int) -> bytes:
    """A case, with a path of its own instead of `/` so that it is known again."""
    text = re.sub(r"\{(.*?)\*([0-9]+)\}", lambda m: m[1] * int(m[2]), case["request"], flags=re.DOTALL)
    text = text.replace("Content-Length: 64", f"Content-Length: {len(SMUGGLED)}").replace("{smuggled}", SMUGGLED)
    text = text.replace("\r\n40\r\n", f"\r\n{len(SMUGGLED):x}\r\n")
    return re.sub(r"^(\s*[A-Z]+) /(?=[ ?])", rf"\1 /case/{number}", text).encode("latin-1")


async def put(bridge: Bridge, sent: bytes) -> bytes:
    """Send, and whatever comes back within a moment."""
    client = await bridge.client()
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        client.writer.write(sent)
        while piece := await asyncio.wait_for(client.reader.read(65536), 0.5):
            answer += piece
    client.writer.transport.abort()
    return answer


class Numbered(Decisions):
    """Every request has an identity of its own, so that one which is seen with another's request shows."""

    def decide(self, head: Head) -> Decision | Awaitable[Decision]:
        super().decide(head)
        return Forward(b"X-Kombo-User: u%d\r\nX-Kombo-Tenant: acme\r\n" % len(self.asked))


async def test_only_what_was_decided_on_is_seen(
    start: Start,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.proxy.conftest.Decisions", Numbered)
    bridge = await start(upstream=Upstream("http", "127.0.0.1", server.port))
    before = len(server.seen())
    cases = [request(case, number) for number, case in enumerate([*REQUESTS, *FRAMINGS])]
    for place in range(0, len(cases), 48):  # side by side, so that connections go from one to another
        await asyncio.gather(*(put(bridge, case) for case in cases[place : place + 48]))
    for number in range(16):
        assert f"/after/{number}".encode() in await put(
            bridge, b"GET /after/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % number
        )
    seen = server.seen()[before:]
    decided = Counter(_decided(head, number) for number, head in enumerate(bridge.decisions.asked, 1))
    assert Counter(map(_seen, seen)) - decided == Counter()
    assert {one.identity.get(b"x-kombo-tenant") for one in seen} == {"acme"}
    assert {name for one in seen for name in one.identity} == {b"x-kombo-user", b"x-kombo-tenant"}
    assert len(seen) > len(REQUESTS) / 2


def _decided(head: Head, number: int) -> tuple[str, str, str, str]:
    host = head.fields[b"host"][0].strip(b" \t")
    return head.method.decode(), unquote(head.target.decode("latin-1")), host.decode(), f"u{number}"


def _seen(one: Seen) -> tuple[str, str, str, str]:
    return one.method, unquote(one.target), one.host, one.identity.get(b"x-kombo-user", "")


class ByPath:
    """Forwards what has one reading on the shipped example's routes."""

    def __init__(self) -> None:
        self._paths = PathDecider(RouteTable(ROUTES, COMPLETIONS))
        self.decided: dict[bytes, tuple[str, str | None]] = {}

    def decide(self, head: Head) -> Decision:
        try:
            match = self._paths.decide_path(head.path)
        except Refusal:
            return Answer(Response(status_code=400))
        self.decided[head.query] = ("course by id" if match.course_parameter else match.access, match.course)
        return Forward(IDENTITY)

    def refuse(self, head: Head, refusal: Refusal) -> Response:
        return Response(refusal.reason, refusal.status)

    async def standing(self, sessions: Collection[str]) -> Mapping[str, float]:
        return dict.fromkeys(sessions, float("inf"))


async def test_paths_are_routed_as_decided(
    start: Start,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decider = ByPath()
    monkeypatch.setattr("tests.proxy.conftest.Decisions", lambda: decider)
    bridge = await start(upstream=Upstream("http", "127.0.0.1", server.port))
    before = len(server.seen())
    paths = [case["path"].encode() for case in EXAMPLE["paths"] if "path" in case]
    asked = [
        b"GET %b?n=%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (path, number)
        for number, path in enumerate(paths)
    ]
    for place in range(0, len(asked), 32):
        await asyncio.gather(*(put(bridge, one) for one in asked[place : place + 32]))
    wrong = []
    seen = server.seen()[before:]
    for one in seen:
        query = one.target.rpartition("?")[2].encode()
        if decider.decided[query] != route(one.path)[:2]:
            wrong.append(f"{paths[int(query[2:])]!r} was {decider.decided[query]}, and is {one.path!r} to the server")
    assert not wrong, "\n".join(wrong)
    assert len(seen) > len(decider.decided) * 0.9
