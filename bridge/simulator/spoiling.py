"""True answers made worse, and answers that never were true."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FRAME = (b'{"status":"success","data":{"next":null,"results":[', b"]}}")


@dataclass(frozen=True)
class Answer:
    """A whole answer of the API."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @classmethod
    async def of(cls, app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
        head: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                body.extend(message.get("body", b""))

        await app(scope, receive, collect)
        return cls(head["status"], tuple(head["headers"]), bytes(body))

    @property
    def head(self) -> Message:
        headers = [*self._without(b"content-length"), (b"content-length", str(len(self.body)).encode())]
        return {"type": "http.response.start", "status": self.status, "headers": headers}

    def shortened(self) -> Answer:
        return replace(self, body=self.body[: len(self.body) // 2])

    def called(self, content_type: str) -> Answer:
        headers = (*self._without(b"content-type"), (b"content-type", content_type.encode()))
        return replace(self, headers=headers)

    def compressed(self) -> Answer:
        return replace(self, headers=(*self.headers, (b"content-encoding", b"gzip")), body=gzip.compress(self.body))

    def laid_over(self, patch: Mapping[str, Any], without: Collection[str]) -> Answer:
        """Over each row of a list, or over the one object."""
        content = json.loads(self.body)
        data = content.get("data") or {}
        for row in data.get("results", [data]):
            row.update(patch)
            for key in without:
                row.pop(key, None)
        return replace(self, body=json.dumps(content).encode())

    def followed_by(self, cursor: str) -> Answer:
        content = json.loads(self.body)
        if "results" in (content.get("data") or {}):
            content["data"]["next"] = cursor
        return replace(self, body=json.dumps(content).encode())

    def _without(self, name: bytes) -> tuple[tuple[bytes, bytes], ...]:
        return tuple(header for header in self.headers if header[0] != name)


def without_cursor(scope: Scope) -> Scope:
    query = [pair for pair in parse_qsl(scope["query_string"].decode(), keep_blank_values=True) if pair[0] != "cursor"]
    return {**scope, "query_string": urlencode(query).encode()}


async def broken_off(scope: Scope, receive: Receive, send: Send) -> None:
    """With less than its Content-Length the server closes the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _FRAME[0], "more_body": True})


def huge(size: int) -> Response:
    """Blanks between the brackets, made as they are sent."""

    async def pieces() -> AsyncIterator[bytes]:
        yield _FRAME[0]
        for _ in range(size // 65536):
            yield b" " * 65536
        yield _FRAME[1]

    return StreamingResponse(pieces(), media_type="application/json")


def bomb(size: int) -> Response:
    """Small on the wire."""
    body = gzip.compress(_FRAME[0] + b" " * size + _FRAME[1])
    return Response(body, headers={"Content-Encoding": "gzip"}, media_type="application/json")
