"""What goes wrong on demand, in front of the API; and the log of what was asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.simulator import spoiling
from bridge.simulator.answers import failure
from bridge.simulator.spoiling import Answer
from bridge.simulator.world import Logged, World

# fmt: off
Kind = Literal[
    "429", "429-concurrency", "500", "error", "html502", "empty500", "redirect",
    "slow", "trickle", "cut", "cut-before", "garbled", "text", "gzip", "bomb", "huge",
    "rows", "endless", "circle",
]
# fmt: on

_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_DOWN = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Happens `count` times (None: until cleared) to requests of `method` whose path starts with `path`.

    Instead of an answer, and before anything was done:

        429, 429-concurrency    `retry_after` goes into the header as it stands, here and with 500
        500, error              an envelope; `status` and `code` belong to `error`
        html502, empty500       what stands in front of an API answers
        redirect                to `location`
        cut-before              the connection is closed in the midst of an answer
        huge                    a well-formed envelope of `bytes` bytes        bomb    the same, compressed

    To the true answer, after a write has happened:

        slow, trickle           late by `seconds`, or in pieces that take so long altogether
        cut, garbled            the connection is closed half way, or the body just ends there
        text                    called text/plain         gzip    compressed, which is no fault
        rows                    `patch` laid over every row (a null, an unknown status, a further field), without the
                                keys in `without`
        endless, circle         the next page is always a new one with the same rows, or the same one again

    With a `rate`, it happens to that share of the requests, chosen by dice that `seed` makes repeatable.
    """

    kind: Kind
    count: int | None = 1
    path: str = "/v1/"
    method: str | None = None
    rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    seed: int = 0
    retry_after: str | None = None
    seconds: float = 1.0
    status: int = 409
    code: str | None = "INTEGRATION.SETUP_SYNC_PENDING"
    location: str = "http://elsewhere.example/v1/"
    bytes: int = 64 * 1024 * 1024
    patch: dict[str, Any] = {}
    without: list[str] = []

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311  # repeatable, not secret

    def strikes(self, method: str, path: str) -> bool:
        """Whether it happens to this request; uses up one of `count`."""
        if self.count == 0 or not path.startswith(self.path) or self.method not in (None, method):
            return False
        if self.rate < 1 and self.dice.random() >= self.rate:
            return False
        if self.count is not None:
            self.count -= 1
        return True

    @property
    def answer(self) -> ASGIApp | None:
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
                return failure(self.status, self.code, "as the simulator was told", headers)
            case "html502":
                return HTMLResponse(_BAD_GATEWAY, 502)
            case "empty500":
                return Response(status_code=500)
            case "redirect":
                return RedirectResponse(self.location)
            case "huge":
                return spoiling.huge(self.bytes)
            case "bomb":
                return spoiling.bomb(self.bytes)
            case "cut-before":
                return spoiling.broken_off
        return None

    def spoilt(self, answer: Answer) -> Answer:
        """What becomes of the true answer."""
        match self.kind:
            case "garbled":
                return answer.shortened()
            case "text":
                return answer.called("text/plain; charset=utf-8")
            case "gzip":
                return answer.compressed()
            case "rows":
                return answer.laid_over(self.patch, self.without)
            case "endless":
                return answer.followed_by(f"endless-{self.dice.getrandbits(64):x}")
            case "circle":
                return answer.followed_by("circle")
        return answer


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
        elif instead := fault.answer:
            await instead(scope, receive, send)
        else:
            await self._spoil(fault, scope, receive, send)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.kind in ("endless", "circle"):
            scope = spoiling.without_cursor(scope)
        answer = fault.spoilt(await Answer.of(self.app, scope, receive))
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        await send(answer.head)
        body = {"type": "http.response.body"}
        if fault.kind == "cut":
            await send({**body, "body": answer.body[: len(answer.body) // 2], "more_body": True})
            return  # with less than its Content-Length the server closes the connection
        if fault.kind == "trickle":
            for piece in _pieces(answer.body, 20):
                await send({**body, "body": piece, "more_body": True})
                await asyncio.sleep(fault.seconds / 20)
            await send(body)
            return
        await send({**body, "body": answer.body})


def _pieces(body: bytes, count: int) -> Iterable[bytes]:
    size = max(1, -(-len(body) // count))
    return (body[start : start + size] for start in range(0, len(body), size))
