"""What is counted of each request, whichever way it ends, and the line that it leaves in the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.responses import PlainTextResponse

from bridge.errors import Code, Refusal
from bridge.exchange import Answer, Forward
from bridge.lines import Lines
from bridge.metrics.forwarding import measured
from bridge.proxy.headers import HeaderPolicy
from bridge.proxy.recorder import Recorder
from bridge.proxy.requestlog import RequestLog
from bridge.settings.forwarding import LogRequests

from .conftest import IDENTITY, OK, WAIT, Bridge, Platform, Start

CASES: list[dict[str, str]] = yaml.safe_load((Path(__file__).parent / "cases" / "requests.yaml").read_text())
LEARNER = Forward(IDENTITY, personal=True, whose="course", logged=b'"tenant":"acme","user":"u1","course":"c1"')
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WEBSOCKET = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
POLICY = HeaderPolicy((), (), "https://learn.example.com")

Logged = Callable[..., Awaitable["Logging"]]


class Logging:
    """A bridge with a log, whose lines are read from the other end of a pipe."""

    def __init__(self, bridge: Bridge, reading: int) -> None:
        self.bridge = bridge
        self._reading = reading
        self._text = ""

    def text(self) -> str:
        with_more = True
        while with_more:
            try:
                piece = os.read(self._reading, 65536)
            except BlockingIOError:
                break
            self._text += piece.decode("ascii")
            with_more = bool(piece)
        return self._text

    async def lines(self, number: int) -> list[dict[str, Any]]:
        """So many of them, and no more."""
        await self.bridge.settled(lambda: self.text().count("\n") >= number)
        lines = self.text().split("\n")
        assert lines.pop() == ""
        assert len(lines) == number
        return [json.loads(line) for line in lines]

    async def line(self) -> dict[str, Any]:
        """The only one."""
        [line] = await self.lines(1)
        return line


@pytest.fixture
async def logged(start: Start) -> AsyncIterator[Logged]:
    """Starts a bridge that logs requests; keyword arguments as for `start`."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    lines = Lines(writing)

    async def started(which: LogRequests = "all", policy: HeaderPolicy = POLICY, **more: Any) -> Logging:
        recorder = Recorder(log=RequestLog(lines, which, policy.client))
        bridge = await start(recorder=recorder, policy=policy, **more)
        bridge.decisions.default = LEARNER
        return Logging(bridge, reading)

    yield started
    assert lines.wait(WAIT)
    os.close(reading)
    os.close(writing)


def numbers(bridge: Bridge) -> dict[str, float]:
    """What is not 0, as `name{label values}`."""
    bridge.pool.recorder.settle()
    return {
        said: sample.value
        for family in measured(bridge.pool.recorder.tallies)
        for sample in family.samples
        if sample.value and (said := _said(sample.name, sample.labels))
    }


def _said(name: str, labels: dict[str, str]) -> str:
    name = name.removeprefix("kombo_bridge_")
    return f"{name}{{{','.join(labels.values())}}}" if labels else name


async def ended(bridge: Bridge, whose: str, status: str, number: int = 1) -> dict[str, float]:
    """The numbers, once so many requests have ended so."""
    await bridge.settled(lambda: numbers(bridge).get(f"requests_total{{{whose},{status}}}") == number)
    found = numbers(bridge)
    assert sum(value for name, value in found.items() if name.startswith("requests_total")) == number
    return found


# What is counted


async def test_an_answer_of_the_platform(bridge: Bridge, platform: Platform) -> None:
    bridge.decisions.default = LEARNER
    client = await bridge.client()
    platform.answers = [b"HTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\nhello"]
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    head, body = await client.message()
    found = await ended(bridge, "course", "2xx")
    assert found["sent_bytes_total"] == len(head) + len(body)
    assert found["received_bytes_total"] == 3
    assert found["request_duration_seconds_count{course}"] == 1
    assert found["request_duration_seconds_bucket{course,+Inf}"] == 1
    assert 0 < found["request_duration_seconds_sum{course}"] < WAIT
    assert found["upstream_first_byte_seconds_count"] == 1
    assert found["upstream_first_byte_seconds_sum"] <= found["request_duration_seconds_sum{course}"]
    assert found["client_connections"] == 1
    assert found["upstream_connections{idle}"] == 1
    assert "upstream_connections{busy}" not in found
    assert not [name for name in found if "unfinished" in name or "refused" in name or "failures" in name]
    client.close()
    await bridge.settled(lambda: "client_connections" not in numbers(bridge))


async def test_whose_requests_are(bridge: Bridge) -> None:
    for path in (b"/public", b"/anonymous", b"/learner"):
        whose: Any = path[1:].decode()
        bridge.decisions.by_path[path] = Forward(IDENTITY, whose=whose)
    bridge.decisions.by_path[b"/own"] = Answer(PlainTextResponse("ours", 404))
    for path in (b"/public", b"/anonymous", b"/learner", b"/own"):
        await bridge.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    found = numbers(bridge)
    assert {name for name in found if name.startswith("requests_total")} == {
        "requests_total{public,2xx}",
        "requests_total{anonymous,2xx}",
        "requests_total{learner,2xx}",
        "requests_total{bridge,4xx}",
    }
    assert found["upstream_first_byte_seconds_count"] == 3


async def test_durations_lie_in_their_buckets(bridge: Bridge, platform: Platform) -> None:
    client, peer = await bridge.asking(GET)
    await asyncio.sleep(0.06)
    await peer.send(OK)
    await client.message()
    found = await ended(bridge, "anonymous", "2xx")
    assert "upstream_first_byte_seconds_bucket{0.05}" not in found
    assert found["upstream_first_byte_seconds_bucket{60.0}"] == 1


async def test_what_the_bridge_refuses(bridge: Bridge) -> None:
    refusal = Refusal(Code.NOT_ENROLLED, "no")
    bridge.decisions.default = Answer(bridge.decisions.refuse(None, refusal))  # it looks at no head
    await bridge.ask(GET)
    found = await ended(bridge, "bridge", "4xx")
    assert found["requests_refused_total{not_enrolled}"] == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431),
    ],
)
async def test_what_never_became_a_request(logged: Logged, request_: bytes, status: int) -> None:
    logging = await logged()
    client = await logging.bridge.client()
    await client.send(request_)
    answer = await client.rest()
    found = await ended(logging.bridge, "bridge", "4xx")
    assert found["requests_refused_total{request_malformed}"] == 1
    line = await logging.line()
    assert (line["status"], line["code"], line["peer"]) == (status, "request_malformed", "127.0.0.1")
    assert line["bytes"] == len(answer)
    if "reference" in line:
        assert line["reference"].encode() in answer
        assert "path" not in line


async def test_a_body_that_turns_out_malformed_is_one_request(logged: Logged, platform: Platform) -> None:
    logging = await logged()
    client, _ = await logging.bridge.asking(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.send(b"no chunk\r\n")
    assert b" 400 " in await client.head()
    await ended(logging.bridge, "bridge", "4xx")
    line = await logging.line()
    assert (line["method"], line["path"], line["status"], line["user"]) == ("POST", "/x", 400, "u1")


async def test_a_head_that_never_comes(start: Start) -> None:
    bridge = await start(head=0.05)
    client = await bridge.client()
    await client.send(b"GET / HT")
    assert b" 408 " in await client.rest()
    await ended(bridge, "bridge", "4xx")


async def test_a_client_that_leaves(logged: Logged, platform: Platform) -> None:
    logging = await logged()
    client, _ = await logging.bridge.asking(GET)
    client.close()
    found = await ended(logging.bridge, "course", "none")
    assert found["requests_unfinished_total{client_left}"] == 1
    line = await logging.line()
    assert line["outcome"] == "client_left"
    assert "status" not in line and "bytes" not in line and "first_byte_ms" not in line


async def test_a_client_that_leaves_before_it_is_decided(bridge: Bridge) -> None:
    bridge.decisions.by_path[b"/"] = asyncio.get_running_loop().create_future()
    client = await bridge.client()
    await client.send(GET)
    await bridge.settled(lambda: len(bridge.decisions.asked) == 1)
    client.close()
    found = await ended(bridge, "bridge", "none")
    assert found["requests_unfinished_total{client_left}"] == 1


async def test_a_request_that_is_never_decided(start: Start) -> None:
    async def never() -> Forward:
        await asyncio.Event().wait()
        return LEARNER

    bridge = await start(own=0.1)
    bridge.decisions.by_path[b"/"] = never()
    client = await bridge.client()
    await client.send(GET)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert (await ended(bridge, "bridge", "none"))["requests_unfinished_total{timeout}"] == 1


@pytest.mark.parametrize(
    ("more", "outcome", "failure"),
    [(b"", "platform_left", "cut"), (b"no chunk\r\n", "malformed", "malformed")],
)
async def test_an_answer_that_breaks_off(logged: Logged, more: bytes, outcome: str, failure: str) -> None:
    logging = await logged()
    client, peer = await logging.bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await client.until(b"hello\r\n")
    if more:
        await peer.send(more)
    peer.close()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    found = await ended(logging.bridge, "course", "2xx")
    assert found[f"requests_unfinished_total{{{outcome}}}"] == 1
    assert found[f"upstream_failures_total{{{failure}}}"] == 1
    assert (await logging.line())["outcome"] == outcome


async def test_an_answer_that_stops_coming(start: Start, platform: Platform) -> None:
    bridge = await start(idle=0.05)
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    await client.until(b"hello")
    found = await ended(bridge, "anonymous", "2xx")
    assert found["requests_unfinished_total{timeout}"] == 1


async def test_an_answer_whose_session_ends(start: Start, platform: Platform) -> None:
    bridge = await start(idle=0.4)
    bridge.decisions.default = Forward(IDENTITY, until=asyncio.get_running_loop().time(), whose="learner")
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert (await ended(bridge, "learner", "2xx"))["requests_unfinished_total{session_ended}"] == 1


async def test_what_the_service_cuts_when_it_stops(bridge: Bridge) -> None:
    client, peer = await bridge.asking(GET)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    await client.until(b"hello")
    await asyncio.wait_for(bridge.server.shutdown(), WAIT)
    found = await ended(bridge, "anonymous", "2xx")
    assert found["requests_unfinished_total{cut}"] == 1
    assert not [name for name in found if "failures" in name]


async def test_what_is_wrong_with_the_platform(start: Start, platform: Platform, unused_tcp_port: int) -> None:
    nobody = await start(upstream=type(platform.upstream)("http", "127.0.0.1", unused_tcp_port))
    await nobody.ask(GET)
    found = await ended(nobody, "bridge", "5xx")
    assert found["upstream_failures_total{connect}"] == 1
    assert found["requests_refused_total{upstream_unavailable}"] == 1

    bridge = await start(first_byte=0.05)
    platform.answers = [None, b"HTTP/2 200\r\n\r\n"]
    for _ in range(2):
        await bridge.ask(GET)
    platform.handler = platform.by_hand
    await bridge.ask(GET)
    found = await ended(bridge, "bridge", "5xx", 3)
    assert {name for name in found if "failures" in name} == {
        "upstream_failures_total{closed}",
        "upstream_failures_total{malformed}",
        "upstream_failures_total{timeout}",
    }
    assert found["requests_refused_total{upstream_timeout}"] == 1


async def test_too_many_connections(start: Start) -> None:
    bridge = await start(connections=1, upstream_connections=0)
    client, other = await bridge.client(), await bridge.client()
    with contextlib.suppress(ConnectionResetError):
        assert await other.rest() == b""
    await client.send(GET)
    await client.message()
    found = await ended(bridge, "bridge", "5xx")
    assert found["upstream_failures_total{connections}"] == 1
    assert found["client_connections_refused_total"] == 1
    assert found["client_connections"] == 1


async def test_a_retry_is_one_request(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [OK, None, OK]
    client = await bridge.client()
    for _ in range(2):
        await client.send(GET)
        await client.message()
    found = await ended(bridge, "anonymous", "2xx", 2)
    assert found["upstream_retries_total"] == 1
    assert not [name for name in found if "failures" in name]


@pytest.mark.parametrize(("client_ends", "outcome"), [(True, "client_left"), (False, "platform_left")])
async def test_a_tunnel_counts_when_it_ends(logged: Logged, client_ends: bool, outcome: str) -> None:
    logging = await logged()
    bridge = logging.bridge
    client, peer = await bridge.asking(WEBSOCKET + b"early")
    await peer.send(SWITCHED)
    head = await client.head()
    await peer.exactly(5)
    found = numbers(bridge)
    assert found["tunnels"] == found["upstream_connections{busy}"] == 1
    assert not [name for name in found if name.startswith("requests_total")]
    await client.send(b"hello")
    await peer.exactly(5)
    await peer.send(b"you")
    await client.exactly(3)
    (client if client_ends else peer).close()
    found = await ended(bridge, "course", "1xx")
    assert "tunnels" not in found
    assert found["sent_bytes_total"] == len(head) + 3
    assert found["received_bytes_total"] == 10
    assert found[f"requests_unfinished_total{{{outcome}}}"] == 1
    assert not [name for name in found if name.startswith("request_duration")]
    line = await logging.line()
    assert (line["status"], line["path"], line["outcome"]) == (101, "/chat", outcome)


async def test_pipelined_requests_are_counted_each(bridge: Bridge) -> None:
    client = await bridge.client()
    await client.send(GET * 4)
    for _ in range(4):
        await client.message()
    await ended(bridge, "anonymous", "2xx", 4)


async def test_a_defect_of_ours(logged: Logged) -> None:
    logging = await logged()
    logging.bridge.decisions.by_path[b"/"] = ValueError("secret")
    client = await logging.bridge.client()
    await client.send(GET)
    answer = await client.rest()
    await ended(logging.bridge, "bridge", "5xx")
    line = await logging.line()
    assert line["status"] == 500
    assert line["reference"].encode() in answer


# The lines


async def test_a_line(logged: Logged) -> None:
    logging = await logged()
    before = datetime.now(UTC)
    head, body = await logging.bridge.ask(b"GET /courses/c1?t=secret HTTP/1.1\r\nHost: a\r\nCookie: secret=1\r\n\r\n")
    line = await logging.line()
    assert list(line) == [
        *("event", "level", "timestamp", "method", "path", "status", "bytes", "duration_ms", "first_byte_ms"),
        *("whose", "tenant", "user", "course", "peer"),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
    assert before <= datetime.fromisoformat(line["timestamp"]) <= datetime.now(UTC)
    assert line["bytes"] == len(head) + len(body)
    assert 0 <= line["first_byte_ms"] <= line["duration_ms"] < WAIT * 1000
    assert "secret" not in logging.text()
    said = ("event", "level", "method", "path", "status", "whose", "user", "course", "peer")
    expected = ("request_ended", "info", "GET", "/courses/c1", 200, "course", "u1", "c1", "127.0.0.1")
    assert tuple(line[name] for name in said) == expected


async def test_seconds_pass(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line says when its request ended, also where the clock is set meanwhile, and in order otherwise."""
    logging = await logged()
    stamps = []
    for number in range(1, 4):
        before = datetime.now(UTC)
        await logging.bridge.ask(GET)
        after = datetime.now(UTC)
        stamp = datetime.fromisoformat((await logging.lines(number))[-1]["timestamp"])
        assert before <= stamp <= after
        stamps.append(stamp)
        await asyncio.sleep(0.6)
    assert stamps == sorted(stamps)


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["target"])
async def test_no_path_breaks_out_of_its_line(logged: Logged, platform: Platform, case: dict[str, str]) -> None:
    logging = await logged()
    target = case["target"].encode()
    await logging.bridge.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert platform.requests[0][0].startswith(b"GET %b HTTP/1.1\r\n" % target)
    line = await logging.line()
    assert (line["path"], line["status"], line["user"]) == (case["path"], 200, "u1")
    assert re.fullmatch(r"[ -~]*\n", logging.text())


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("byte", [*range(0x21), 0x7F, 0x80, 0x9B, 0xFF])
async def test_no_byte_breaks_out_of_its_line(logged: Logged, byte: int) -> None:
    """Whether it can be forwarded or not: one line of printable ASCII."""
    logging = await logged()
    client = await logging.bridge.client()
    await client.send(b"GET /a%bb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % bytes([byte]))
    await client.head()
    await logging.line()
    assert re.fullmatch(r"[ -~]*\n", logging.text())


async def test_a_path_is_cut_off(logged: Logged) -> None:
    logging = await logged()
    await logging.bridge.ask(b"GET /%b?x HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 4000))
    assert (await logging.line())["path"] == "/" + "a" * 511


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        (b"203.0.113.9", "203.0.113.9"),
        (b"2001:db8::9", "2001:db8::9"),
        (b'203.0.113.9, 198.51.100.7"', "127.0.0.1"),
        (b'x","user":"admin, 203.0.113.9', "203.0.113.9"),
        (b'fe80::1%"}', 'fe80::1%"}'),
        (b"fe80::1%" + b"x" * 9000, "127.0.0.1"),
        (b"", "127.0.0.1"),
    ],
)
async def test_a_peer_is_whom_a_trusted_proxy_saw(logged: Logged, said: bytes, peer: str) -> None:
    policy = HeaderPolicy((), [ip_network("127.0.0.0/8")], "https://learn.example.com")
    logging = await logged(policy=policy)
    await logging.bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %b\r\n\r\n" % said)
    line = await logging.line()
    assert (line["peer"], line["user"]) == (peer, "u1")


async def test_a_peer_nobody_trusts_says_nothing_of_itself(logged: Logged) -> None:
    logging = await logged()
    await logging.bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")
    assert (await logging.line())["peer"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("which", "expected"),
    [("none", []), ("except_public", ["/learner", "/own"]), ("all", ["/public", "/learner", "/own"])],
)
async def test_which_requests_have_a_line(logged: Logged, which: LogRequests, expected: list[str]) -> None:
    logging = await logged(which)
    bridge = logging.bridge
    bridge.decisions.by_path[b"/public"] = Forward(IDENTITY, whose="public")
    bridge.decisions.by_path[b"/own"] = Answer(PlainTextResponse("ours"))
    for path in (b"/public", b"/learner", b"/own"):
        await bridge.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    bridge.pool.recorder.settle()
    assert [line["path"] for line in await logging.lines(len(expected))] == expected


async def test_nobody_waits_for_a_log_that_nobody_reads(start: Start, platform: Platform) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    room = 256 * 1024
    lines = Lines(writing, room)
    bridge = await start(recorder=Recorder(log=RequestLog(lines, "all", POLICY.client)))
    client = await bridge.client()
    request = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b'"' * 500)
    for _ in range(800):  # about a megabyte of lines
        await client.send(request)
        await client.message()
    assert 0 < numbers(bridge)["request_log_dropped_total"] < 800

    await client.send(request)  # a later one, at the end of what is read
    await client.message()
    read = bytearray()

    def written() -> bool:
        with contextlib.suppress(BlockingIOError):
            while True:
                read.extend(os.read(reading, 65536))
        return lines.wait(0)

    await bridge.settled(lambda: numbers(bridge).get("requests_total{anonymous,2xx}") == 801)
    await bridge.settled(written)
    dropped = numbers(bridge)["request_log_dropped_total"]
    said = [json.loads(line) for line in read.splitlines()]
    assert sum(line["event"] == "request_ended" for line in said) == 801 - dropped
    warnings = [line for line in said if line["event"] == "log_lines_dropped"]
    assert sum(line["lines"] for line in warnings) == dropped
    assert {line["level"] for line in warnings} == {"warning"}
    assert len(read) < room + 128 * 1024
    os.close(reading)
    assert lines.wait(WAIT)
    os.close(writing)


async def test_nobody_minds_a_log_whose_reader_has_gone(start: Start) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lines = Lines(writing)
    bridge = await start(recorder=Recorder(log=RequestLog(lines, "all", POLICY.client)))
    for _ in range(2):
        await bridge.ask(GET)
        bridge.pool.recorder.settle()
        assert lines.wait(WAIT)
    os.close(writing)
