"""One forwarded request: its head and body to the platform (`Sending`), the answer back.

Bytes are passed on as they come, under backpressure both ways. The relay ends in one of three ways: the answer is
complete, the client gets a refusal instead, or, once part of an answer has been written, the client's connection is
cut. An answer that ended too early is never ended as if it were complete.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from bridge.errors import Code, Refusal
from bridge.exchange import Forward
from bridge.proxy.framing import framing
from bridge.proxy.headers import UPGRADE_LINES, AnswerHead
from bridge.proxy.recorder import RETRIES, TUNNELS, Failure
from bridge.proxy.request import Exchange
from bridge.proxy.response import ChunkedBody, ResponseHead, parse_head
from bridge.proxy.sending import Sending

if TYPE_CHECKING:
    from bridge.proxy.protocol import BridgeProtocol

_JOIN = 64 * 1024
_INFORMATIONAL = 16


class Relay(Sending):
    """Carries out one `Forward`."""

    __slots__ = ("_buffer", "_chunks", "_heard", "_informational", "_left", "_lost", "_reusable", "_tunnel")

    def __init__(self, client: BridgeProtocol, exchange: Exchange, forward: Forward) -> None:
        super().__init__(client, exchange, forward)
        self._heard = False  # the platform has said something
        self._lost: Exception | None = None  # why the platform's connection ended meanwhile
        self._buffer = b""
        self._informational = 0
        self._left: int | None = None  # of a body with a length; None: until the connection ends, or `_chunks` says
        self._chunks: ChunkedBody | None = None
        self._reusable = False
        self._tunnel = False

    # The answer

    def platform_sent(self, data: bytes) -> None:
        self._heard = True
        if self._tunnel:
            self._exchange.sent += len(data)
            self._client.transport.write(data)
            self._renew(self._limits.idle)
        elif self._begun:
            self._renew(self._limits.idle)
            self._pass_on(data)
        elif self._waiting:
            self._buffer += data  # read before the pause took hold
        else:
            try:
                self._read_head(self._buffer + data if self._buffer else data)
            except Refusal as refusal:
                self._fail(refusal)

    def _read_head(self, data: bytes) -> None:
        while True:
            head = parse_head(data, self._limits.head_bytes, self._limits.head_fields)
            if head is None:
                self._buffer = data
                return
            answer = self._pool.policy.response_head(head, personal=self._forward.personal)
            rest = data[head.end :]
            if head.status >= 200:
                witness = self._forward.witness
                waits = None if witness is None else witness.answered(head.status, answer.told)
                if waits is None:
                    self._begin(head, answer, rest)
                else:
                    self._wait(head, answer, rest, waits)
                return
            if head.status == 101:
                self._switch(head, answer, rest)
                return
            self._inform(head, answer)
            data = rest

    def _inform(self, head: ResponseHead, answer: AnswerHead) -> None:
        """An interim answer goes on (RFC 9110, 15.2), unless it answers an Expect, which the bridge has done."""
        self._informational += 1
        if self._informational > _INFORMATIONAL:
            raise Refusal(Code.UPSTREAM_UNAVAILABLE, "the platform sends interim answers without end")
        if head.status != 100 and self._exchange.head.version == b"1.1":
            self._client.transport.write(head.status_line + answer.lines + b"\r\n")

    def _wait(self, head: ResponseHead, answer: AnswerHead, rest: bytes, waits: Awaitable[None]) -> None:
        """Hold the answer back, and leave what follows with the platform, until the witness is done."""
        assert self._connection is not None
        self._waiting = True
        self._buffer = rest
        self._connection.hold()
        self._exchange.heard = self._renew(self._limits.own)  # only in case: a witness has its own limit
        self._client.spawn(self._witnessed(head, answer, waits))

    async def _witnessed(self, head: ResponseHead, answer: AnswerHead, waits: Awaitable[None]) -> None:
        """Runs to its end even where the client has left: what the platform did is done."""
        client, refusal = self._client, None
        try:
            await waits
        except Refusal as refused:
            refusal = refused
        except Exception:
            client.fail(self)
            return
        if client.runner is not self:
            return
        self._waiting = False
        if refusal is not None:
            self._fail(refusal)
            return
        self._begin(head, answer, self._buffer)
        if self._connection is None:
            if client.runner is self:
                self.platform_gone(self._lost)
        elif not client.flow.write_paused:
            self._connection.resume()

    def _begin(self, head: ResponseHead, answer: AnswerHead, rest: bytes) -> None:
        exchange = self._exchange
        body = framing(head, answer, exchange.head, self._limits.head_bytes)
        self._left, self._chunks = body.left, body.chunks
        self._reusable = body.reusable and not exchange.last
        out = [head.status_line, answer.lines, body.line]
        if body.left is None and body.chunks is None:
            exchange.keep_alive = False
        if not exchange.complete or exchange.websocket:
            exchange.keep_alive = False
            self._stopped = answer.close  # it will not read the rest: writing on would only lose the answer to a reset
            if self._stopped:
                self.client_sent()
        if not exchange.keep_alive:
            out.append(b"Connection: close\r\n")
        out.append(b"\r\n")
        self._begun = True
        self._buffer = b""
        now = self._renew(self._limits.idle)
        exchange.status, exchange.heard = head.status, exchange.heard or now
        self._pass_on(rest, b"".join(out))

    def _pass_on(self, data: bytes, head: bytes = b"") -> None:
        """Part of the body, at first behind the head. Where it ends is found out before a byte is written."""
        extra, ended = False, False
        if self._chunks is not None:
            try:
                data = self._chunks.feed(data)
            except ValueError:
                self._fail(Refusal(Code.UPSTREAM_UNAVAILABLE, "the body of the platform's answer is malformed"))
                return
            extra, ended = self._chunks.extra, self._chunks.done
        elif self._left is not None:
            extra = len(data) > self._left
            if extra:
                data = data[: self._left]
            self._left -= len(data)
            ended = self._left == 0
        transport = self._client.transport
        self._exchange.sent += len(head) + len(data)
        if head and len(data) > _JOIN:
            transport.write(head)
            transport.write(data)
        elif head or data:
            transport.write(head + data if data else head)
        if ended:
            self._finish(extra)

    def _finish(self, extra: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.relay = None
            if connection.read_paused:
                connection.resume()
            if self._sent and self._reusable and not extra and connection.clean:
                self._pool.give(connection)
            else:
                connection.drop()
        self._client.finished()

    # WebSocket

    def _switch(self, head: ResponseHead, answer: AnswerHead, rest: bytes) -> None:
        if not (self._exchange.websocket and answer.websocket):
            raise Refusal(Code.UPSTREAM_UNAVAILABLE, "the platform switches to a protocol that nobody asked for")
        connection, client, exchange = self._connection, self._client, self._exchange
        assert connection is not None
        self._tunnel = True
        self._pool.recorder.count(TUNNELS)
        block = head.status_line + answer.lines + UPGRADE_LINES + b"\r\n" + rest
        client.transport.write(block)
        if held := client.take_held():
            connection.transport.write(held)
        exchange.status, exchange.heard = 101, self._renew(self._limits.idle)
        exchange.sent, exchange.received = len(block), len(held)

    def client_tunnelled(self, data: bytes) -> bool:
        """Bytes behind a WebSocket's head; False where there is no tunnel yet."""
        if self._tunnel and self._connection is not None:
            self._exchange.received += len(data)
            self._connection.transport.write(data)
            self._renew(self._limits.idle)
        return self._tunnel

    # The ends

    def platform_gone(self, exc: Exception | None) -> None:
        self._connection, lost = None, self._connection
        if self._waiting:
            self._lost = exc
        elif self._pool.closing:  # nothing that the platform did
            self._client.cut()
        elif self._tunnel:
            self._exchange.outcome = "platform_left"
            self._client.transport.close()
        elif self._begun:
            if self._left is None and self._chunks is None and exc is None:
                self._finish()
            else:
                self._pool.recorder.failed("cut")
                self._client.cut("platform_left")
        elif self._exchange.repeatable and not self._heard and lost is not None and lost.used:
            self._pool.recorder.count(RETRIES)
            self._dial()  # on a new connection, so not for a third time
        else:
            reason = "the platform closed the connection without an answer"
            self._fail(Refusal(Code.UPSTREAM_UNAVAILABLE, reason), "closed")

    def _fail(self, refusal: Refusal, failure: Failure = "malformed") -> None:
        """Refuse in place of the answer. `failure` is the platform's, where the refusal is about that."""
        self._let_go()
        if refusal.code in (Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_TIMEOUT):
            self._pool.recorder.failed(failure)
        if self._begun:
            self._client.cut("malformed")
        else:
            self._client.refuse(refusal)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def client_gone(self) -> None:
        """The platform need not work for nobody."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._tunnel:
            connection.relay = None
            connection.transport.close()  # after what was sent last, if the platform takes it
            self._client.loop.call_later(self._limits.linger, connection.transport.abort)
        else:
            connection.drop()

    def abandon(self) -> bool:
        """Stop, since the rest of the request cannot be read. Returns whether an answer may still be written."""
        self._let_go()
        return not self._begun

    def stop(self) -> None:
        """The service is told to stop: a tunnel has no end to wait for."""
        if self._tunnel:
            self._let_go()
            self._client.cut()

    def expire(self, now: float) -> None:
        until = self._until
        if self._tunnel or self._begun or self._waiting or (until is not None and now >= until):
            self._let_go()
            self._client.cut("session_ended" if until is not None and now >= until else "timeout")
        elif self._sent:
            reason = f"no answer from the platform within {self._limits.first_byte:g} s"
            self._fail(Refusal(Code.UPSTREAM_TIMEOUT, reason), "timeout")
        elif self._connection is not None and self._connection.write_paused:
            self._fail(Refusal(Code.UPSTREAM_TIMEOUT, "the platform does not read the request"), "timeout")
        else:
            self._fail(Refusal(Code.REQUEST_MALFORMED, "the body of the request did not come", status=408))
