"""One forwarded request: its head and body to the platform, the answer back.

Bytes are passed on as they come, under backpressure both ways. The relay ends in one of three ways: the answer is
complete, the client gets a refusal instead, or, once part of an answer has been written, the client's connection is
cut. An answer that ended too early is never ended as if it were complete.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from bridge.errors import Code, Refusal
from bridge.exchange import Forward
from bridge.proxy.flow import Hold
from bridge.proxy.framing import framing
from bridge.proxy.headers import UPGRADE_LINES, AnswerHead
from bridge.proxy.request import Exchange
from bridge.proxy.response import ChunkedBody, ResponseHead, parse_head
from bridge.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from bridge.proxy.protocol import BridgeProtocol

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JOIN = 64 * 1024
_INFORMATIONAL = 16


class Relay:
    """Carries out one `Forward`. It belongs to one client connection and works on one upstream connection at a time."""

    __slots__ = (
        "_begun",
        "_block",
        "_buffer",
        "_chunks",
        "_client",
        "_connection",
        "_exchange",
        "_forward",
        "_heard",
        "_informational",
        "_left",
        "_limits",
        "_lost",
        "_pool",
        "_reusable",
        "_sent",
        "_stopped",
        "_tunnel",
        "_waiting",
    )

    def __init__(self, client: BridgeProtocol, exchange: Exchange, forward: Forward) -> None:
        self._client = client
        self._exchange = exchange
        self._forward = forward
        self._pool = client.pool
        self._limits = client.pool.limits
        self._block = client.pool.policy.request_block(
            exchange.head, forward.identity, exchange.framing, upgrade=exchange.websocket
        )
        self._connection: UpstreamConnection | None = None
        self._sent = False  # the whole request has been written
        self._stopped = False  # nothing more of the request is wanted
        self._heard = False  # the platform has said something
        self._waiting = False  # the final answer is there, and its witness is not done with it
        self._lost: Exception | None = None  # why the platform's connection ended meanwhile
        self._begun = False  # the final answer has been begun
        self._buffer = b""
        self._informational = 0
        self._left: int | None = None  # of a body with a length; None: until the connection ends, or `_chunks` says
        self._chunks: ChunkedBody | None = None
        self._reusable = False
        self._tunnel = False

    # The request

    def start(self) -> None:
        """Send it on, at once where an unused connection is at hand."""
        connection = self._pool.take(repeatable=self._exchange.repeatable)
        if connection is None:
            self._dial()
        else:
            self._attach(connection)

    def _dial(self) -> None:
        self._client.deadline = time.monotonic() + self._limits.idle  # connecting has its own limit
        self._client.spawn(self._connect())

    async def _connect(self) -> None:
        try:
            connection = await self._pool.connect()
        except Refusal as refusal:
            if self._client.runner is self:
                self._client.refuse(refusal)
            return
        if self._client.runner is self:
            self._attach(connection)
        else:
            self._pool.give(connection)

    def _attach(self, connection: UpstreamConnection) -> None:
        exchange, client = self._exchange, self._client
        connection.relay = self
        self._connection = connection
        if client.flow.write_paused:
            connection.hold()
        if exchange.expect and not exchange.complete and not exchange.held:
            client.transport.write(_CONTINUE)
        if exchange.framing:
            self._send(self._block)
        else:
            self._sent = True
            connection.transport.write(self._block)
            self._await_answer()

    def client_sent(self) -> None:
        """More of the request has been read, or its end."""
        if self._stopped:
            self._exchange.take()
            self._client.flow.release(Hold.BODY)
        elif self._connection is not None and not self._sent:
            self._send(b"")

    def _send(self, block: bytes) -> None:
        exchange, connection = self._exchange, self._connection
        assert connection is not None
        out = [block]
        for piece in exchange.take():
            if exchange.chunked:
                out += (b"%x\r\n" % len(piece), piece, b"\r\n")
            else:
                out.append(piece)
        if exchange.complete:
            self._sent = True
            if exchange.chunked:
                out.append(b"0\r\n\r\n")
        connection.transport.write(b"".join(out))
        self._client.flow.release(Hold.BODY)
        self._await_answer()

    def _await_answer(self) -> None:
        if self._waiting:
            return
        if self._begun:
            self._renew(self._limits.idle)
        else:
            self._renew(self._limits.first_byte if self._sent else self._limits.body)

    def _renew(self, seconds: float) -> None:
        deadline, until = time.monotonic() + seconds, self._forward.until
        self._client.deadline = deadline if until is None or deadline < until else until

    # Backpressure

    def platform_full(self) -> None:
        self._client.flow.hold(Hold.UPSTREAM)

    def platform_drained(self) -> None:
        self._client.flow.release(Hold.UPSTREAM)
        self._await_answer()

    def client_full(self) -> None:
        if self._connection is not None:
            self._connection.hold()

    def client_drained(self) -> None:
        if self._connection is not None and not self._waiting:
            self._connection.resume()

    # The answer

    def platform_sent(self, data: bytes) -> None:
        self._heard = True
        if self._tunnel:
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
        self._renew(self._limits.idle)  # only in case: a witness has its own limit
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
        self._renew(self._limits.idle)
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
        connection, client = self._connection, self._client
        assert connection is not None
        self._tunnel = True
        client.transport.write(head.status_line + answer.lines + UPGRADE_LINES + b"\r\n" + rest)
        if held := client.take_held():
            connection.transport.write(held)
        self._renew(self._limits.idle)

    def client_tunnelled(self, data: bytes) -> bool:
        """Bytes behind a WebSocket's head; False where there is no tunnel yet."""
        if self._tunnel and self._connection is not None:
            self._connection.transport.write(data)
            self._renew(self._limits.idle)
        return self._tunnel

    # The ends

    def platform_gone(self, exc: Exception | None) -> None:
        self._connection, lost = None, self._connection
        if self._waiting:
            self._lost = exc
        elif self._tunnel:
            self._client.transport.close()
        elif self._begun:
            if self._left is None and self._chunks is None and exc is None:
                self._finish()
            else:
                self._client.cut()
        elif self._exchange.repeatable and not self._heard and lost is not None and lost.used:
            self._dial()  # on a new connection, so not for a third time
        else:
            self._fail(Refusal(Code.UPSTREAM_UNAVAILABLE, "the platform closed the connection without an answer"))

    def _fail(self, refusal: Refusal) -> None:
        self._let_go()
        if self._begun:
            self._client.cut()
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
        until = self._forward.until
        if self._tunnel or self._begun or self._waiting or (until is not None and now >= until):
            self._let_go()
            self._client.cut()
        elif self._sent:
            seconds = self._limits.first_byte
            self._fail(Refusal(Code.UPSTREAM_TIMEOUT, f"no answer from the platform within {seconds:g} s"))
        elif self._connection is not None and self._connection.write_paused:
            self._fail(Refusal(Code.UPSTREAM_TIMEOUT, "the platform does not read the request"))
        else:
            self._fail(Refusal(Code.REQUEST_MALFORMED, "the body of the request did not come", status=408))
