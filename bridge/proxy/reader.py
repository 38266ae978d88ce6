"""Reading requests from one client connection.

Parser callbacks only record. What they recorded is acted on when `feed_data` has returned without an error, because
some errors in a head are reported after its end. The parser cannot be paused, and one read can hold thousands of
requests: they queue up, and carrying them out is left to the subclass.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Any

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bridge.errors import Code, Refusal
from bridge.exchange import Head, Header
from bridge.proxy.deadlines import NEVER
from bridge.proxy.flow import Flow, Hold
from bridge.proxy.limits import Limits
from bridge.proxy.request import Exchange

log = structlog.get_logger()


class RequestReader(HttpToolsProtocol, ABC):
    """uvicorn's protocol class, whose parser fills a queue of `Exchange` in place of uvicorn's own state.

    That state belongs to the message that the parser is at, which after an `await`, or within one read, may be another
    one than the message that is being answered.
    """

    flow: Flow

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = limits
        self.deadline = NEVER
        self._peer = ""
        self._current: Exchange | None = None  # being carried out
        self._queue: deque[Exchange] = deque()  # behind it
        self._closing = False
        # What the parser is at.
        self._in_head = False
        self._began = 0.0
        self._raw = b""  # what was received since the head began, with what was read along with its first byte
        self._first = 0  # how much the latter was
        self._incoming: Exchange | None = None  # its body is being read
        self._quiet = 0  # bytes read of a body without finding any of it
        self._upgrading: Exchange | None = None
        self._held: bytearray | None = None  # behind a WebSocket's head
        # How reading ends.
        self._last_read = False  # what follows is not for us
        self._malformed: Refusal | None = None  # to be said when what came before it has been answered

    # What the subclass does with it

    @abstractmethod
    def _advance(self) -> None:
        """Begin the next request, if there is one and its turn has come."""

    @abstractmethod
    def _body_read(self) -> None:
        """More of the current request's body has been read, or its end."""

    @abstractmethod
    def _abandon(self) -> None:
        """The body of the current request is malformed."""

    @abstractmethod
    def _tunnelled(self, data: bytes) -> bool:
        """Take bytes behind a WebSocket's head, if it has become one."""

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._held is not None:
            if not self._tunnelled(data):
                self._hold_back(data)
            return
        if self._closing or (self._last_read and self._incoming is None):
            return
        if not self._in_head:
            self._raw = data
        elif len(self._raw) - self._first > self.limits.head_bytes:
            self._stop_reading(Refusal(Code.REQUEST_MALFORMED, "the head is too large", status=431))
            self._advance()
            return
        else:
            self._raw += data
        current = self._current
        unfinished = current is not None and not current.complete
        self._quiet += len(data)
        began = self._began
        self._feed(data)
        if not self._in_head:
            self._raw = b""
        elif self._began != began:  # maybe behind another head, which does not count any more
            self._raw, self._first = data, len(data)
        incoming = self._incoming
        if incoming is not None and incoming.chunked and self._quiet > self.limits.head_bytes:
            self._stop_reading(Refusal(Code.REQUEST_MALFORMED, "too much around the chunks of a body", status=431))
        if unfinished and current is self._current:
            self._body_read()
        self._advance()
        if incoming is not None and incoming.held > self.limits.held_bytes:
            self.flow.hold(Hold.BODY)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            log.error("request_parsing_failed", exc_info=error.__context__ or error)
            self._stop_reading(Refusal(Code.REQUEST_MALFORMED, "the request could not be read"))
        except httptools.HttpParserError as error:
            self._stop_reading(Refusal(Code.REQUEST_MALFORMED, f"the request could not be read: {error}"))

    def _read_upgrade(self, rest: bytes) -> None:
        """The parser takes what follows for another protocol. It is, for a WebSocket; elsewhere it is the body."""
        exchange, self._upgrading = self._upgrading, None
        if exchange is None:
            return
        if exchange.websocket:
            self._held = bytearray()
            self._hold_back(rest)
            return
        self.parser = httptools.HttpRequestParser(self)
        self._raw = again = exchange.without_upgrade() + rest
        self._feed(again)

    def _hold_back(self, data: bytes) -> None:
        assert self._held is not None
        self._held += data
        if len(self._held) > self.limits.held_bytes:
            self.flow.hold(Hold.BODY)

    def take_held(self) -> bytes:
        """What came behind the head of a WebSocket."""
        held, self._held = bytes(self._held or b""), bytearray()
        self.flow.release(Hold.BODY)
        return held

    def _stop_reading(self, refusal: Refusal) -> None:
        """What is being read is malformed. What was complete before it is still answered, and then this is."""
        incoming, self._incoming = self._incoming, None
        self._last_read, self._in_head, self._malformed = True, False, refusal
        self._raw = b""
        if incoming is None:
            return
        if incoming is self._current:
            self._abandon()
        else:
            self._queue.remove(incoming)

    # Parser callbacks

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._in_head = True
        self._began = time.monotonic()
        if self._current is None:
            self.deadline = self._began + self.limits.head

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        headers: list[Header] = self.headers
        self.headers = []  # trailers will come here
        self._quiet = 0
        if self._last_read:
            return
        parser, version = self.parser, self.parser.get_http_version()
        head = Head(
            parser.get_method(),
            self.url,
            headers,
            self._peer,
            b"1.1" if version == "1.1" else version.encode("ascii"),
            self.scheme == "https",
        )
        exchange = Exchange(head, keep_alive=parser.should_keep_alive(), began=self._began)
        upgrade = parser.should_upgrade()
        exchange.read(self.limits, self._raw, upgrade=upgrade)
        if upgrade and exchange.refusal is None:
            self._upgrading = exchange
            if not exchange.websocket:
                return
        if len(self._queue) >= self.limits.queued:
            self._queue[-1].keep_alive = False
            self._upgrading = None
            self._last_read = True
            return
        self._queue.append(exchange)
        self._last_read = exchange.websocket or exchange.refusal is not None or not exchange.keep_alive
        if exchange.refusal is None:
            self._incoming = exchange

    def on_body(self, body: bytes) -> None:
        exchange = self._incoming
        if exchange is not None:
            exchange.pieces.append(body)
            exchange.held += len(body)
            exchange.received += len(body)
            self._quiet = 0

    def on_message_complete(self) -> None:
        if self._incoming is not None:
            self._incoming.complete = True
            self._incoming = None
