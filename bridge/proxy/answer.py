"""One request that an ASGI application of ours answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from bridge.errors import Code, Refusal
from bridge.proxy.request import Exchange

if TYPE_CHECKING:
    from bridge.proxy.protocol import BridgeProtocol

_ERROR = b"bridge-error"
_CODES = {code.encode("ascii"): code for code in Code}


class Answering(RequestResponseCycle):
    """uvicorn's request cycle with a bound on the body.

    It never closes the connection itself: whether another request may follow is the connection's to say.
    """

    def __init__(self, client: BridgeProtocol, exchange: Exchange, app: ASGIApp) -> None:
        super().__init__(
            scope=_scope(client, exchange),  # type: ignore[arg-type]  # Starlette's types are looser than uvicorn's
            transport=_Wire(self, client, exchange),  # type: ignore[arg-type]  # the three methods that a cycle calls
            flow=client.flow,
            logger=client.logger,
            access_logger=client.access_logger,
            access_log=False,
            default_headers=client.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=exchange.expect and not exchange.complete and not exchange.held,
            keep_alive=exchange.keep_alive,
            on_response=self._responded,
        )
        self._client = client
        self._exchange = exchange
        self._app = app
        self._received = 0
        self._too_large = False

    def start(self) -> None:
        """Run the application."""
        self.client_sent()
        self._client.spawn(self.run_asgi(self._bounded))  # type: ignore[arg-type]  # as above

    def client_sent(self) -> None:
        """More of the request has been read, or its end."""
        exchange = self._exchange
        if self.response_complete:
            exchange.take()
        else:
            for piece in exchange.take():
                self.body += piece
            self.more_body = not exchange.complete
            if len(self.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            else:
                self.flow.resume_reading()
            if self.body or exchange.complete:
                self.message_event.set()
        limits = self._client.pool.limits
        self._client.deadline = time.monotonic() + (limits.own if exchange.complete else limits.body)

    def client_tunnelled(self, data: bytes) -> bool:
        """Never: what follows a WebSocket's head is nobody's, where it is refused."""
        return False

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application, and 413 in its place once it has been sent too much, whatever it makes of that."""
        try:
            await self._app(scope, receive, send)
        except Exception:
            if not self._too_large or self.response_started:
                raise
        if self._too_large and not self.response_started:
            self._too_large = False
            limit = self._client.pool.limits.answer_body_bytes
            refusal = Refusal(Code.REQUEST_MALFORMED, f"the body has more than {limit} bytes", status=413)
            await self._client.decider.refuse(self._exchange.head, refusal)(scope, _no_body, send)

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if message["type"] == "http.request":
            self._received += len(message["body"])
            if self._received > self._client.pool.limits.answer_body_bytes:
                self._too_large = True
                raise Refusal(Code.REQUEST_MALFORMED, "the body is too large", status=413)
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if self._too_large and not self.response_started:
            return
        if not self.response_started:
            self._begin(message)
        await super().send(message)

    def _begin(self, message: ASGISendEvent) -> None:
        exchange = self._exchange
        if not exchange.complete:
            self.keep_alive = False
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.code = next(
                (_CODES.get(value) for name, value in message.get("headers", ()) if name.lower() == _ERROR), None
            )

    def _responded(self) -> None:
        self._exchange.keep_alive = self._exchange.keep_alive and self.keep_alive
        self._client.finished()

    # As for a relay

    def client_gone(self) -> None:
        """The application hears of it when it next receives."""
        if not self.response_complete:
            self.disconnected = True
        self.message_event.set()

    def abandon(self) -> bool:
        """Stop, since the rest of the request cannot be read. Returns whether an answer may still be written."""
        self.client_gone()
        return not self.response_started

    def stop(self) -> None:
        """The service is told to stop."""
        self.keep_alive = False

    def expire(self, now: float) -> None:
        self._client.cut("timeout")

    def client_full(self) -> None:
        """The application waits in `send`, by the flow control."""

    def client_drained(self) -> None:
        """See `client_full`."""


class _Wire:
    """The client's transport as a request cycle sees it."""

    __slots__ = ("_client", "_cycle", "_exchange")

    def __init__(self, cycle: Answering, client: BridgeProtocol, exchange: Exchange) -> None:
        self._cycle = cycle
        self._client = client
        self._exchange = exchange

    def write(self, data: bytes) -> None:
        if not self._cycle.disconnected and not self._client.transport.is_closing():
            self._exchange.sent += len(data)
            self._client.transport.write(data)

    def is_closing(self) -> bool:
        return self._cycle.disconnected or self._client.transport.is_closing()

    def close(self) -> None:
        """After a complete answer the connection decides; one that broke off must not look complete."""
        if not self._cycle.response_complete and self._client.runner is self._cycle:
            self._client.cut()


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _scope(client: BridgeProtocol, exchange: Exchange) -> dict[str, Any]:
    head = exchange.head
    raw_path = head.path
    path = raw_path.decode("latin-1")
    return {
        "type": "http",
        "asgi": {"version": client.asgi_version, "spec_version": "2.3"},
        "http_version": head.version.decode("ascii"),
        "server": client.server,
        "client": client.client,
        "scheme": client.scheme,
        "root_path": "",
        "method": head.method.decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": head.query,
        "headers": [(name.lower(), value.strip(b" \t")) for name, value in head.headers],
        "state": client.app_state.copy(),
    }
