"""Streams end with their sessions, and last as long as they do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.errors import StateError
from bridge.exchange import Forward, Header
from bridge.proxy import vigil as module
from bridge.proxy.relay import Relay
from bridge.proxy.vigil import Vigil

from .conftest import IDENTITY, WAIT, Bridge, Decisions, Peer, Start

FAR = 3600.0
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
STREAMS = {
    "events": (b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n", SSE),
    "chunked events": (
        b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n: \r\n",
    ),
    "a download": (
        b"GET /film HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst",
    ),
    "a WebSocket": (
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ),
    "an upload": (
        b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
    ),
}
ANSWERED = pytest.mark.parametrize("kind", STREAMS)
UNANSWERED = {
    "a long poll": b"GET /poll HTTP/1.1\r\nHost: a\r\n\r\n",
    "an upload that goes on": b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst",
    "a WebSocket that waits": STREAMS["a WebSocket"][0],
}


class Register(Decisions):
    """Whom the vigil asks, apart from the decider of requests: it can fail, hang and remember what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[list[str]] = []
        self.failure: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def standing(self, sessions: Collection[str]) -> Mapping[str, float]:
        self.rounds.append(list(sessions))
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        return await super().standing(sessions)

    async def goes_on(self, times: int = 2) -> None:
        """Wait until it has been asked so often from now on; the answer to the last may not be there yet."""
        wanted = len(self.rounds) + times
        async with asyncio.timeout(WAIT):
            while len(self.rounds) < wanted:
                await asyncio.sleep(0.005)


Watch = Callable[..., Register]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    """Lets a vigil begin over a bridge's connections; keyword arguments are those of `Vigil`."""
    tasks: list[asyncio.Task[None]] = []

    def begin(bridge: Bridge, **options: Any) -> Register:
        register = Register()
        vigil = Vigil(bridge.pool, register, **{"every": 0.03, **options})
        tasks.append(asyncio.ensure_future(vigil.run()))
        return register

    yield begin
    for task in tasks:
        assert not task.done(), task.exception()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def of(session: str | None, lasts: float = FAR, **more: Any) -> Forward:
    return Forward(IDENTITY, session=session, until=None if session is None else time.monotonic() + lasts, **more)


async def opened(bridge: Bridge, kind: str, forward: Forward) -> tuple[Peer, Peer]:
    """A stream that has begun: the client's end and the platform's."""
    bridge.decisions.default = forward
    request, answer = STREAMS[kind]
    client, peer = await bridge.asking(request)
    await peer.send(answer)
    await client.head()
    return client, peer


async def cut(client: Peer, peer: Peer) -> None:
    """Both ends are gone, and what the client has looks in no way complete."""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await client.rest()
    with contextlib.suppress(ConnectionResetError):
        await peer.rest()


async def flows(client: Peer, peer: Peer) -> None:
    await peer.send(b"more")
    assert (await client.until(b"more")).endswith(b"more")


@ANSWERED
async def test_a_stream_ends_when_its_session_has(bridge: Bridge, watch: Watch, kind: str) -> None:
    register = watch(bridge)
    register.sessions["jane"] = time.monotonic() + FAR
    client, peer = await opened(bridge, kind, of("jane"))
    await register.goes_on()
    if kind != "chunked events":
        await flows(client, peer)
    del register.sessions["jane"]
    await cut(client, peer)
    await bridge.settled(lambda: not bridge.connections and not bridge.pool.relays)


@pytest.mark.parametrize("kind", UNANSWERED)
async def test_so_does_what_the_platform_has_not_answered(bridge: Bridge, watch: Watch, kind: str) -> None:
    """A long poll would otherwise bring its news to whoever has been signed out meanwhile."""
    watch(bridge)
    bridge.decisions.default = of("jane")
    client, peer = await bridge.asking(UNANSWERED[kind])
    await cut(client, peer)
    assert not bridge.decisions.refused


async def test_a_client_that_does_not_read_is_cut_as_well(bridge: Bridge, watch: Watch) -> None:
    register = watch(bridge)
    register.sessions["jane"] = time.monotonic() + FAR
    bridge.platform.handler = bridge.platform.by_hand
    bridge.decisions.default = of("jane")
    client = await bridge.client(small_buffers=True)
    await client.send(STREAMS["events"][0])
    peer = await bridge.platform.accept()
    await peer.send(SSE)
    peer.writer.write(bytes(32 * 1024 * 1024))
    await bridge.settled(lambda: any(connection.flow.write_paused for connection in bridge.connections))
    del register.sessions["jane"]
    await bridge.settled(lambda: not bridge.connections and not bridge.pool.relays)
    with pytest.raises(ConnectionResetError):
        await client.rest()


@pytest.mark.parametrize("session", ["jane", None], ids=["session", "nobody"])
async def test_only_what_has_a_session_is_asked_about(bridge: Bridge, watch: Watch, session: str | None) -> None:
    register = watch(bridge)
    register.sessions["carlos"] = time.monotonic() + FAR
    await opened(bridge, "events", of("carlos"))
    client, peer = await opened(bridge, "events", of(session))
    await register.goes_on(4)
    assert {name for names in register.rounds for name in names} - {"jane"} == {"carlos"}
    if session is None:
        await flows(client, peer)
    else:
        await cut(client, peer)


async def test_where_nothing_is_under_way_nothing_is_asked(bridge: Bridge, watch: Watch) -> None:
    register = watch(bridge)
    bridge.decisions.default = of("jane")
    for _ in range(3):
        assert (await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))[1] == b"ok"
        await asyncio.sleep(0.05)
    assert register.rounds == []
    assert bridge.pool._open  # kept for the next request


async def test_a_stream_lasts_as_long_as_its_session(start: Start, watch: Watch) -> None:
    """Other requests of the session push its idle limit out meanwhile; at the new end it is cut."""
    bridge = await start(linger=0.1)
    register = watch(bridge)
    first = time.monotonic() + 0.5
    register.sessions["jane"] = first + 0.7
    client, peer = await opened(bridge, "events", of("jane", 0.5))
    while time.monotonic() < first + 0.2:
        await flows(client, peer)
        await asyncio.sleep(0.02)
    assert bridge.pool.relays
    await cut(client, peer)
    assert time.monotonic() >= first + 0.7


async def test_a_quiet_stream_lasts_too(start: Start, watch: Watch) -> None:
    """Its deadline was that of the session, and nothing moves that would set another."""
    bridge = await start(linger=0.1)
    register = watch(bridge)
    first = time.monotonic() + 0.5
    register.sessions["jane"] = time.monotonic() + FAR
    client, peer = await opened(bridge, "a WebSocket", of("jane", 0.5))
    await asyncio.sleep(first + 0.2 - time.monotonic())
    await flows(client, peer)


async def test_a_session_that_lasts_keeps_no_quiet_stream(start: Start, watch: Watch) -> None:
    bridge = await start(idle=0.4)
    register = watch(bridge)
    register.sessions["jane"] = time.monotonic() + FAR
    client, peer = await opened(bridge, "a WebSocket", of("jane", 0.2))
    await cut(client, peer)
    assert register.rounds


async def test_a_limit_may_come_closer(start: Start, watch: Watch) -> None:
    """Nothing else ends this one: the session lives, and the decision said an hour."""
    bridge = await start(linger=0.1)
    register = watch(bridge)
    end = register.sessions["jane"] = time.monotonic() + 0.4
    client, peer = await opened(bridge, "a WebSocket", of("jane"))
    await cut(client, peer)
    assert time.monotonic() >= end


async def test_another_exchange_on_the_connection_is_left_alone(bridge: Bridge, watch: Watch) -> None:
    """While the state is asked about one, it ends, and the next begins that has no session."""
    register = watch(bridge)
    register.answers.clear()
    bridge.decisions.default = of("jane")
    client, peer = await bridge.asking(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    await register.goes_on(1)
    bridge.decisions.default = of(None)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (await client.message())[1] == b"ok"
    await client.send(STREAMS["events"][0])
    await peer.head()
    await peer.send(SSE)
    await client.head()
    register.answers.set()
    await asyncio.sleep(0.1)
    assert register.rounds == [["jane"]]
    await flows(client, peer)


async def test_many_are_asked_about_in_parts_and_each_session_once(bridge: Bridge, watch: Watch) -> None:
    count = module.CHUNK + 10
    streams = [await opened(bridge, "events", of(f"s{number}")) for number in range(count)]
    streams.append(await opened(bridge, "events", of("s0")))
    register = watch(bridge)
    register.sessions = {f"s{number}": time.monotonic() + FAR for number in range(count) if number % 2}
    await register.goes_on(2)
    assert sorted(map(len, register.rounds[:2])) == [10, module.CHUNK]
    assert len({name for names in register.rounds[:2] for name in names}) == count
    await bridge.settled(lambda: len(bridge.pool.relays) == len(register.sessions))
    await cut(*streams[0])
    await cut(*streams[-1])
    await flows(*streams[1])
    await flows(*streams[-2])


async def test_while_the_state_cannot_be_asked_streams_go_on_for_a_while(bridge: Bridge, watch: Watch) -> None:
    with capture_logs() as logged:
        register = watch(bridge, unheard=1)
        register.failure = StateError("the state could not be read or written: SQLITE_BUSY")
        client, peer = await opened(bridge, "a WebSocket", of("jane"))
        await register.goes_on(3)
        await flows(client, peer)
        anonymous = await opened(bridge, "events", of(None))
        other = await opened(bridge, "events", of("carlos"))
        await cut(client, peer)
        await cut(*other)
        await flows(*anonymous)
    events = [line["event"] for line in logged]
    assert events.count("streams_unwatched") == events.count("streams_cut") == 1
    assert "SQLITE_BUSY" in next(line for line in logged if line["event"] == "streams_cut")["reason"]


async def test_an_answer_ends_the_wait(bridge: Bridge, watch: Watch) -> None:
    with capture_logs() as logged:
        register = watch(bridge, unheard=0.7)
        register.sessions["jane"] = time.monotonic() + FAR
        client, peer = await opened(bridge, "a WebSocket", of("jane"))
        for _ in range(4):
            register.failure = StateError("gone")
            await asyncio.sleep(0.25)
            register.failure = None
            await register.goes_on(2)
            await flows(client, peer)
    assert "streams_cut" not in [line["event"] for line in logged]


async def test_a_state_that_never_answers_is_as_good_as_none(bridge: Bridge, watch: Watch) -> None:
    with capture_logs() as logged:
        register = watch(bridge, answer=0.05, unheard=0.2)
        register.answers.clear()
        await cut(*await opened(bridge, "a WebSocket", of("jane")))
    assert [line["event"] for line in logged][:2] == ["streams_unwatched", "streams_cut"]
    assert logged[0]["reason"] == "no answer within 0.05 s"


async def test_a_defect_does_not_end_the_vigil(bridge: Bridge, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logged:
        register = watch(bridge)
        register.failure = RuntimeError("a defect")
        client, peer = await opened(bridge, "events", of("jane"))
        await register.goes_on()
        await flows(client, peer)
        register.failure = None
        with monkeypatch.context() as patched:
            patched.setattr(Relay, "expire", lambda *_: 1 / 0)
            await register.goes_on()
        await cut(client, peer)
    assert {"vigil_failed", "stream_not_told"} <= {line["event"] for line in logged}


class Held:
    """A witness that takes its time."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.done = False

    async def answered(self, status: int, told: Sequence[Header]) -> None:
        await self.go_on.wait()
        self.done = True


async def test_what_the_platform_did_is_noted_for_a_session_that_has_ended(bridge: Bridge, watch: Watch) -> None:
    register, witness = watch(bridge), Held()
    register.sessions["jane"] = time.monotonic() + FAR
    bridge.decisions.default = of("jane", witness=witness)
    client, peer = await bridge.asking(b"POST /done HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await register.goes_on()
    del register.sessions["jane"]
    await cut(client, peer)
    witness.go_on.set()
    await bridge.settled(lambda: witness.done)


async def test_nothing_is_kept_of_what_has_ended(bridge: Bridge, watch: Watch) -> None:
    register = watch(bridge)
    register.sessions["jane"] = time.monotonic() + FAR
    streams = [await opened(bridge, "events", of("jane")) for _ in range(20)]
    await register.goes_on(3)
    for client, _ in streams:
        client.close()
    await bridge.settled(lambda: not bridge.pool.relays)
    await asyncio.sleep(0.1)
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Relay and each._pool is bridge.pool]
