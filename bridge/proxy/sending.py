"""The first half of a forwarded request: its head and body to the platform."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING

from bridge.errors import Refusal
from bridge.exchange import Forward
from bridge.proxy.deadlines import NEVER
from bridge.proxy.flow import Hold
from bridge.proxy.request import Exchange
from bridge.proxy.runner import Runner
from bridge.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from bridge.proxy.protocol import BridgeProtocol

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Sending(Runner):
    """Sends the request of one `Forward`; what becomes of the answer is the subclass's, as `Relay` has it.

    It belongs to one client connection and works on one upstream connection at a time.
    """

    __slots__ = (
        "_begun",
        "_block",
        "_client",
        "_connection",
        "_exchange",
        "_forward",
        "_limits",
        "_patience",
        "_pool",
        "_sent",
        "_stopped",
        "_until",
        "_waiting",
    )

    def __init__(self, client: BridgeProtocol, exchange: Exchange, forward: Forward) -> None:
        self._client = client
        self._exchange = exchange
        self._forward = forward
        self._until = forward.until
        self._patience = NEVER  # how long it waits for something to move
        self._pool = client.pool
        self._limits = client.pool.limits
        self._block = client.pool.policy.request_block(
            exchange.head, forward.identity, exchange.framing, upgrade=exchange.websocket
        )
        self._connection: UpstreamConnection | None = None
        self._sent = False  # the whole request has been written
        self._stopped = False  # nothing more of the request is wanted
        self._waiting = False  # the final answer is there, and its witness is not done with it
        self._begun = False  # the final answer has been begun
        exchange.whose, exchange.logged = forward.whose, forward.logged

    def start(self) -> None:
        """Send it on, at once where an unused connection is at hand."""
        connection = self._pool.take(repeatable=self._exchange.repeatable)
        if connection is None:
            self._dial()
        else:
            self._attach(connection)

    def _dial(self) -> None:
        self._patience = self._client.deadline = NEVER  # connecting has its own limit
        self._client.spawn(self._connect())

    async def _connect(self) -> None:
        try:
            connection = await self._pool.connect()
        except Refusal as refusal:
            if self._client.runner is self:
                self._client.refuse(refusal)
            return
        except Exception:  # nothing else would ever end the request
            self._client.fail(self)
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
            exchange.asked = self._renew(self._limits.first_byte)

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
            self._exchange.asked = self._renew(self._limits.first_byte if self._sent else self._limits.body)

    def _renew(self, seconds: float) -> float:
        """Something has moved: wait so long from now, and no longer than the session lasts. The moment."""
        now, until = time.monotonic(), self._until
        deadline = self._patience = now + seconds
        self._client.deadline = deadline if until is None or deadline < until else until
        return now

    # The session behind it

    @property
    def session(self) -> str | None:
        """The name under which the decider knows it; None without one."""
        return self._forward.session

    def lasts(self, until: float) -> None:
        """The session will end then, or ended then, as far as is known by now."""
        if self._client.runner is not self:
            return
        self._until = until
        self._client.deadline = min(self._patience, until)
        if until <= (now := time.monotonic()):
            self.expire(now)

    @abstractmethod
    def platform_sent(self, data: bytes) -> None:
        """Part of the answer has come."""

    @abstractmethod
    def platform_gone(self, exc: Exception | None) -> None:
        """The platform's connection has ended, by an error or in order."""

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
