"""One client connection: has each request decided, and carries them out one at a time.

A subclass of uvicorn's protocol class, of which it keeps accepting, TLS and the parser. Every method that starts, ends
or answers a request is overridden, and the tests hold it to uvicorn's minor version.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Coroutine
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from bridge.errors import Code, Refusal
from bridge.exchange import Answer, Decider, Decision, Forward, Head
from bridge.pages import reference
from bridge.proxy.answer import Answering
from bridge.proxy.flow import Flow, Hold
from bridge.proxy.problem import failed, refused
from bridge.proxy.reader import RequestReader
from bridge.proxy.recorder import CLIENTS, TURNED_AWAY
from bridge.proxy.relay import Relay
from bridge.proxy.request import Exchange, Outcome
from bridge.proxy.runner import Runner
from bridge.proxy.upstream import UpstreamPool

_RESET = struct.pack("ii", 1, 0)

log = structlog.get_logger()


class BridgeProtocol(RequestReader):
    """What uvicorn's `http=` is given.

    The application's lifespan state carries `decider`, whom to ask, and `upstream`, the connections to the platform.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, app_state["upstream"].limits)
        self.decider: Decider = app_state["decider"]
        self.pool: UpstreamPool = app_state["upstream"]
        self.runner: Runner | None = None
        self._abandoned: Exchange | None = None  # refused as malformed, when its turn comes
        self._stopping = False
        self._patient = True  # with what is still to be written, when the connection should end

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self.transport = transport
        self.flow = Flow(transport)
        recorder = self.pool.recorder
        if len(self.connections) >= self.limits.connections:
            recorder.count(TURNED_AWAY)
            self._closing = True
            transport.abort()
            return
        self.connections.add(self)
        recorder.counts[CLIENTS] = len(self.connections)
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self._peer = self.client[0] if self.client else ""
        self.deadline = time.monotonic() + self.limits.keep_alive
        self.pool.deadlines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        self.pool.recorder.counts[CLIENTS] = len(self.connections)
        self.pool.deadlines.discard(self)
        self._closing = True
        self._let_go("client_left")
        self._queue.clear()
        self.flow.resume_writing()
        self.parser = None  # type: ignore[assignment]  # as uvicorn has it: the parser holds its callbacks

    def pause_writing(self) -> None:
        self.flow.pause_writing()
        if self.runner is not None:
            self.runner.client_full()

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        if self.runner is not None:
            self.runner.client_drained()
        self._advance()

    def shutdown(self) -> None:
        """Called once, when the service is told to stop: let finish what runs, and end what is idle.

        That at the next look at deadlines: a request that was sent before anybody knew is still answered.
        """
        self._stopping = True
        if self._current is None:
            if not self._in_head and not self._closing:
                self.deadline = 0.0
            return
        self._current.keep_alive = False
        if self.runner is not None:
            self.runner.stop()

    def cut(self, outcome: Outcome = "cut") -> None:
        """End the connection so that nobody takes what was written for complete: with a reset instead of a FIN."""
        self._closing = True
        self._let_go(outcome)
        sock = self.transport.get_extra_info("socket")
        # Once it is closed its number may be another's; while something is still to be written, it is not.
        if sock is not None and (not self.transport.is_closing() or self.transport.get_write_buffer_size()):
            sock.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self.transport.abort()

    def _let_go(self, outcome: Outcome) -> None:
        """Whatever runs is over without having been answered in full."""
        runner, self.runner = self.runner, None
        exchange, self._current, self._abandoned = self._current or self._abandoned, None, None
        if runner is not None:
            runner.client_gone()
        if exchange is not None:
            exchange.outcome = exchange.outcome or outcome
            self.pool.recorder.ended(exchange, time.monotonic())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something for this connection, which the server waits for when it stops."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        if self.runner is not None:
            self.runner.expire(now)
        elif self._closing:
            self._expire_closing(now)
        elif self._current is not None:  # it was never decided
            self.cut("timeout")
        elif self._in_head:
            self._say_malformed(Refusal(Code.REQUEST_MALFORMED, "the head of the request did not come", status=408))
        else:
            self.transport.close()
            self._closing = True
            self.deadline = now + self.limits.linger

    # Carrying out

    def _body_read(self) -> None:
        if self.runner is not None:
            self.runner.client_sent()

    def _abandon(self) -> None:
        runner, self.runner = self.runner, None
        if runner is not None and not runner.abandon():
            self.cut("malformed")
        else:
            self._current, self._abandoned = None, self._current

    def _tunnelled(self, data: bytes) -> bool:
        return self.runner is not None and self.runner.client_tunnelled(data)

    def _advance(self) -> None:
        """Begin the next request, when there is one and the last answer has found room."""
        if self._current is None and not self._closing and not self.flow.write_paused:
            if self._queue:
                self._begin(self._queue.popleft())
            elif self._malformed is not None:
                self._say_malformed(self._malformed)
        if len(self._queue) * 2 >= self.limits.queued:
            self.flow.hold(Hold.PIPELINE)
        elif self.flow.holds:
            self.flow.release(Hold.PIPELINE)

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        if self._stopping:
            exchange.keep_alive = False
        if exchange.refusal is not None:
            self.refuse(exchange.refusal)
            return
        try:
            decision = self.decider.decide(exchange.head)
            if isinstance(decision, Forward | Answer):
                self._carry_out(exchange, decision)
            else:
                self.deadline = time.monotonic() + self.limits.own
                self.spawn(self._decided(exchange, decision))
        except Exception:
            self.fail()

    async def _decided(self, exchange: Exchange, awaited: Awaitable[Decision]) -> None:
        try:
            decision = await awaited
            if self._current is exchange:
                self._carry_out(exchange, decision)
        except Exception:
            if self._current is exchange:
                self.fail()

    def _carry_out(self, exchange: Exchange, decision: Decision) -> None:
        if type(decision) is Forward:
            relay = self.runner = Relay(self, exchange, decision)
            relay.start()
        else:
            assert type(decision) is Answer
            self._answer(exchange, decision)

    def _answer(self, exchange: Exchange, answer: Answer) -> None:
        if exchange.websocket:
            exchange.keep_alive = False
        exchange.whose = "bridge"
        answering = self.runner = Answering(self, exchange, answer.app)
        answering.start()

    def refuse(self, refusal: Refusal) -> None:
        """Answer the current request with a refusal; nothing of another answer has been written."""
        exchange = self._current
        assert exchange is not None
        self.runner = None
        try:
            app = self.decider.refuse(exchange.head, refusal)
        except Exception:
            self.fail()
            return
        self._answer(exchange, Answer(app))

    def finished(self) -> None:
        """The current request has been answered in full."""
        exchange, self._current, self.runner = self._current, None, None
        assert exchange is not None
        self.server_state.total_requests += 1
        now = time.monotonic()
        self.pool.recorder.ended(exchange, now)
        if self._closing or self.transport.is_closing():
            return
        if exchange.keep_alive and not self._stopping:
            self.deadline = now + (self.limits.head if self._in_head else self.limits.keep_alive)
            if self._queue or self._malformed is not None or self.flow.holds:
                self.flow.release(Hold.BODY | Hold.UPSTREAM)
                self._advance()
        elif exchange.complete and self._held is None:
            self._closing = True
            self.deadline = now + self.limits.linger
            self.transport.close()
        else:
            self._linger()

    # Ends

    def _expire_closing(self, now: float) -> None:
        """It should have ended by now. A client that reads slowly gets as long as any other that does not read."""
        if not self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._patient:
            self._patient = False
            self.deadline = now + self.limits.idle
        else:
            self.cut()

    def _linger(self) -> None:
        """Close for a client that may still be sending: a reset would take the answer from it (RFC 9112, 9.6)."""
        self._closing, self._incoming = True, None
        self._held = None
        self._queue.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        for reason in Hold:
            self.flow.release(reason)
        self.deadline = time.monotonic() + self.limits.linger

    def _say_malformed(self, refusal: Refusal) -> None:
        """Refuse what never became a request."""
        words, code = reference(), str(refusal.code)
        log.info(
            "request_refused", code=code, status=refusal.status, reference=words, reason=refusal.reason, peer=self._peer
        )
        self._last_read = True
        exchange, self._abandoned = self._abandoned, None
        if exchange is None:
            exchange = Exchange(Head(b"", b"", [], self._peer), keep_alive=False, began=time.monotonic())
        exchange.code = refusal.code
        self._say(exchange, refusal.status, words, refused(refusal, words))

    def _say(self, exchange: Exchange, status: int, words: str, answer: bytes) -> None:
        """A whole answer, with which the connection ends."""
        self.transport.write(answer)
        exchange.whose, exchange.status, exchange.reference, exchange.sent = "bridge", status, words, len(answer)
        self.pool.recorder.ended(exchange, time.monotonic())
        self._linger()

    def fail(self, of: Runner | None = None) -> None:
        """A defect of ours, within an `except`; the client hears of it unless it was `of` what has ended for it."""
        words = reference()
        log.exception("decision_failed", reference=words)
        if of is not None and of is not self.runner:
            return
        exchange, self._current = self._current, None
        self._let_go("cut")
        if exchange is not None:
            self._say(exchange, 500, words, failed(words))
