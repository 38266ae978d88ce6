"""Requests to the internal listener.

It is never published, but forward-auth brings it what clients wrote. uvicorn's own protocol class has no bound on a
head, forgets the target as it was sent, and goes on reading HTTP where another protocol was asked for.
"""

from __future__ import annotations

from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge.errors import Code, Refusal
from bridge.pages import reference
from bridge.proxy.problem import refused

HEAD_BYTES = 2 * 1024 * 1024
"""Twice what the most generous engine takes (Go's megabyte), so that an engine's own limit comes first."""

log = structlog.get_logger()


class InsideProtocol(HttpToolsProtocol):
    """uvicorn's, with `target` in the scope's state: the request's target, byte for byte."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._quiet = 0  # bytes read since anything was found in them
        self._last_read = False  # what follows is not for us

    def data_received(self, data: bytes) -> None:
        if self._last_read:
            return
        self._quiet += len(data)
        super().data_received(data)
        if self._quiet > HEAD_BYTES:
            self._refuse(Refusal(Code.REQUEST_MALFORMED, "the head is too large", status=431))

    def on_headers_complete(self) -> None:
        self._quiet = 0
        self.scope["state"]["target"] = self.url
        super().on_headers_complete()
        self.headers = []  # trailers come here, and must not join the head

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        super().on_body(body)

    def _unsupported_upgrade_warning(self) -> None:
        """The parser takes what follows for another protocol, and later bytes for a request again."""
        self._last_read = True
        self.cycle.keep_alive = False

    def _refuse(self, refusal: Refusal) -> None:
        self._last_read = True
        if self.cycle is None or self.cycle.response_complete:
            words = reference()
            log.info(
                "request_refused", code=str(refusal.code), status=refusal.status, reference=words, reason=refusal.reason
            )
            self.transport.write(refused(refusal, words))
        self.transport.close()
