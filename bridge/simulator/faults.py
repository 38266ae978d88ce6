"""What goes wrong on demand, in front of the API; and the log of what was asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.simulator.answers import failure
from bridge.simulator.world import Logged, World

Kind = Literal["429", "429-concurrency", "500", "html502", "empty500", "error", "slow", "cut", "rows"]

_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_DOWN = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Happens `count` times (None: until cleared) to requests of `method` whose path starts with `path`.

    `retry_after` goes into the header of a 429 or 500 as it stands. `seconds` belongs to `slow`, `status` and `code` to
    `error`. `rows` answers truly but lays `patch` over every row (a null, an unknown status, a further field), and
    drops the keys in `without`.
    """

    kind: Kind
    count: int | None = 1
    path: str = "/v1/"
    method: str | None = None
    retry_after: str | None = None
    seconds: float = 1.0
    status: int = 409
    code: str = "INTEGRATION.SETUP_SYNC_PENDING"
    patch: dict[str, Any] = {}
    without: list[str] = []

    def strikes(self, method: str, path: str) -> bool:
        """Whether it happens to this request; uses up one of `count`."""
        if self.count == 0 or not path.startswith(self.path) or self.method not in (None, method):
            return False
        if self.count is not None:
            self.count -= 1
        return True

    @property
    def answer(self) -> Response | None:
        """The answer that replaces the true one, if this kind has one."""
        headers = {"Retry-After": self.retry_after} if self.retry_after is not None else None
        match self.kind:
            case "429":
                return failure(429, "PLATFORM.RATE_LIMIT_EXCEEDED", "too many requests", headers)
            case "429-concurrency":
                return failure(429, "PLATFORM.CONCURRENCY_LIMIT_EXCEEDED", "too many actions in flight", headers)
            case "500":
                return failure(500, "PLATFORM.UNKNOWN_ERROR", "something went wrong", headers)
            case "error":
                return failure(self.status, self.code, "as the simulator was told")
            case "html502":
                return HTMLResponse(_BAD_GATEWAY, 502)
            case "empty500":
                return Response(status_code=500)
        return None


class Faults:
    """ASGI middleware. The first fault of `queue` that fits a request happens to it."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app, self.world = app, world
        self.queue: list[Fault] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        method, path = request.method, request.url.path
        integration = request.headers.get("x-integration-id")
        self.world.requests.append(Logged(self.world.clock(), method, path, request.url.query, integration))
        if self.world.down:
            await HTMLResponse(_DOWN, 503)(scope, receive, send)
            return
        fault = next((fault for fault in self.queue if fault.strikes(method, path)), None)
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.answer:
            await fault.answer(scope, receive, send)
        elif fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            await self.app(scope, receive, send)
        else:
            await self._spoilt(fault, scope, receive, send)

    async def _spoilt(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """The true answer (a write has happened), then cut off half way or with spoilt rows."""
        head: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                body.extend(message.get("body", b""))

        await self.app(scope, receive, collect)
        if fault.kind == "cut":
            await send(head)
            await send({"type": "http.response.body", "body": bytes(body[: len(body) // 2]), "more_body": True})
            return  # with less than its Content-Length the server closes the connection
        text = _laid_over(bytes(body), fault)
        headers = [(name, value) for name, value in head["headers"] if name != b"content-length"]
        await send({**head, "headers": [*headers, (b"content-length", str(len(text)).encode())]})
        await send({"type": "http.response.body", "body": text})


def _laid_over(body: bytes, fault: Fault) -> bytes:
    answer = json.loads(body)
    data = answer.get("data") or {}
    for row in data.get("results", [data]):
        row.update(fault.patch)
        for key in fault.without:
            row.pop(key, None)
    return json.dumps(answer).encode()
