"""Forward-auth of a running bridge: what it says of a request is what the bridge's own proxy does with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from bridge.simulator import seed
from tests.support.sockets import exchange
from tests.support.stage import Stage

HOSTILE = Path(__file__).parents[1] / "hostile"
PATHS = [
    case
    for table in yaml.safe_load((HOSTILE / "paths.yaml").read_text(encoding="utf-8"))[:1]
    for case in table["paths"]
]
SPOOFED = yaml.safe_load((Path(__file__).parent / "spoofed_headers.yaml").read_text())
DIALECTS = ["nginx", "traefik", "caddy", "envoy"]
QUERIES = [
    "/",
    "/?",
    "/my?tenant=globex",
    "/my?tenant=nobody",
    "/my?tenant=acme&tenant=globex",
    "/player",
    "/player?id=",
    "/player?id=cybersecurity-101",
    "/player?id=cybersecurity-101&ID=x",
    "/player?id=cybersecurity-101;id=x",
    "/player?x[]=1&id=%63ybersecurity-101",
    "/player?id=%zz",
    "/courses/cybersecurity-101?a=/../static/x",
    "/courses/data-privacy-basics",
    "/courses/no-such-course",
    "/static/x?//my",
]
PAGE = ["Accept: text/html", "Sec-Fetch-Dest: document"]
SCRIPT = ["Accept: application/json"]
FRAME = ["Accept: text/html", "Sec-Fetch-Dest: iframe"]
FORM = ["Accept: text/html", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"]


@dataclass(frozen=True)
class Outcome:
    """What becomes of a request: whom the platform is told of, or the status and code of another answer."""

    told: dict[str, str] | None
    status: int = 200
    code: str | None = None


@dataclass
class Both:
    """The bridge itself, and what it tells engines. `cookie` is that of somebody signed in."""

    stage: Stage
    cookie: str
    host: str

    async def forwards(self, method: str, target: bytes, lines: list[str]) -> Outcome:
        """What the bridge does with a request."""
        head = [f"Host: {self.host}", f"Cookie: {self.cookie}; theirs=1", *lines]
        status, headers, body = await ask(self.stage.origin, method, target, head)
        if "x-platform" not in headers:
            return Outcome(None, status, headers.get("bridge-error"))
        received = dict(json.loads(body)["headers"]) if body else {}
        return Outcome(identity(received))

    async def tells(self, dialect: str, method: str, target: bytes, lines: list[str]) -> Outcome:
        """What an engine is told to do with it."""
        said = [f"Cookie: {self.cookie}; theirs=1", *(line for line in lines if not line.startswith("Content-Length"))]
        text = target.decode("latin-1")
        if dialect == "envoy":
            asked, line = method, b"/auth/envoy" + target
            said.append(f"Host: {self.host}")
        else:
            asked, line = "GET", f"/auth/{dialect}".encode()
            kind = "Original" if dialect == "nginx" else "Forwarded"
            said += [f"X-{kind}-Method: {method}", f"X-{kind}-URI: {text}"]
            said += [f"Host: {self.host}"] if dialect == "nginx" else ["Host: inside", f"X-Forwarded-Host: {self.host}"]
        status, headers, _ = await ask(self.stage.internal, asked, line, said)
        if status == 200:
            return Outcome(identity(headers))
        assert status >= 300
        assert not identity(headers)
        return Outcome(None, int(headers.get("bridge-status", status)), headers.get("bridge-error"))

    async def agree(self, method: str, target: bytes, lines: list[str]) -> list[str]:
        """Where they differ."""
        own = await self.forwards(method, target, lines)
        wrong = []
        for dialect in DIALECTS:
            told = await self.tells(dialect, method, target, lines)
            if told != own:
                wrong.append(f"{method} {target!r} {lines}: the bridge {own}, {dialect} {told}")
        return wrong


async def ask(origin: str, method: str, target: bytes, lines: list[str]) -> tuple[int, dict[str, str], bytes]:
    head = "\r\n".join([" HTTP/1.1", *lines, "Connection: close", "", ""]).encode("latin-1")
    answer, _, body = (await exchange(origin, method.encode() + b" " + target + head)).partition(b"\r\n\r\n")
    first, *rest = answer.decode("latin-1").split("\r\n")
    return int(first.split()[1]), {n.lower(): v for n, _, v in (line.partition(": ") for line in rest)}, body


def identity(headers: dict[str, str]) -> dict[str, str]:
    """What is said of the learner, but for the signed header, which has a time in it."""
    return {n: v for n, v in headers.items() if n.startswith("x-kombo-") and n != "x-kombo-assertion"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(stage: Stage) -> AsyncIterator[Both]:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items() if "session" in name)
        yield Both(stage, cookie, stage.origin.removeprefix("http://"))


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_platform_is_told_the_same(both: Both, dialect: str) -> None:
    for target in (b"/courses/cybersecurity-101/lesson?x=1", b"/my", b"/", b"/static/x"):
        told = await both.tells(dialect, "GET", target, [])
        assert told == await both.forwards("GET", target, [])
        assert told.told is not None
        assert told.told["x-kombo-user"] == ("" if target == b"/static/x" else seed.JANE.id)


def _path(case: dict[str, Any]) -> bytes:
    return case["path"].encode() if "path" in case else case["bytes"].encode("latin-1")


async def test_every_path_is_decided_alike(both: Both) -> None:
    wrong = []
    paths = [path for case in PATHS if case["expected"] != "bridge" and _printable(path := _path(case))]
    assert len(paths) > 200
    for path in paths:
        wrong += await both.agree("GET", path, SCRIPT)
    assert not wrong, "\n".join(wrong)


def _printable(path: bytes) -> bool:
    """Anything else is no request to our parser, nor to any engine's."""
    return all(0x20 < byte < 0x7F for byte in path)


@pytest.mark.parametrize("lines", [SCRIPT, PAGE, FRAME, FORM], ids=["script", "page", "frame", "form"])
async def test_every_kind_of_request_is_decided_alike(both: Both, lines: list[str]) -> None:
    wrong = []
    for target in QUERIES:
        for method in ["POST"] if lines is FORM else ["GET", "OPTIONS", "DELETE"]:
            wrong += await both.agree(method, target.encode(), lines)
    assert not wrong, "\n".join(wrong)


async def test_whoever_is_not_signed_in(both: Both) -> None:
    nobody, wrong = Both(both.stage, "kombo-bridge-session=none", both.host), []
    for target in QUERIES:
        for lines in (SCRIPT, PAGE, FRAME):
            wrong += await nobody.agree("GET", target.encode(), lines)
    assert not wrong, "\n".join(wrong)


async def test_names_that_pass_for_ours(both: Both) -> None:
    wrong = []
    for name in [*SPOOFED["removed"], *SPOOFED["refused"]]:
        if name in ("X-Original-URI", "X-Forwarded-Uri"):  # the engine's own, which it overwrites
            continue
        for target in (b"/my", b"/static/x"):
            wrong += await both.agree("GET", target, [f"{name}: evil"])
    assert not wrong, "\n".join(wrong)


async def test_a_session_that_has_ended(both: Both) -> None:
    async with both.stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        ended = Both(both.stage, cookie, both.host)
        for dialect in DIALECTS:
            assert (await ended.tells(dialect, "GET", b"/my", [])).told
        own = {"Sec-Fetch-Site": "same-origin"}
        assert (await browser.client.post("/_bridge/logout", headers=own)).status_code < 400
    for dialect in DIALECTS:
        assert await ended.tells(dialect, "GET", b"/my", []) == Outcome(None, 401, "login_required")


async def test_the_public_listener_knows_nothing_of_it(both: Both) -> None:
    """There it is a path of the platform's."""
    for dialect in DIALECTS:
        target = f"/auth/{dialect}/static/x".encode()
        own = await both.forwards("GET", target, ["X-Original-URI: /static/x", "X-Original-Method: GET"])
        assert own.told is not None
        assert own.told["x-kombo-user"] == seed.JANE.id
        nobody = Both(both.stage, "none=1", both.host)
        assert await nobody.forwards("GET", target, SCRIPT) == Outcome(None, 401, "login_required")
