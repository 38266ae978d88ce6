"""Kombo's two envelopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """An error of the API: becomes the error envelope."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def invalid(message: str) -> Refused:
    return Refused(400, "PLATFORM.INPUT_INVALID", message)


class _Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def success(data: Any, **more: Any) -> Response:
    """Always with 200, whatever was done."""
    return _Json({"status": "success", "data": data, **more})


def failure(status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _Json({"status": "error", "error": error_object(code, message)}, status_code=status, headers=headers)


def error_object(code: str | None, message: str) -> dict[str, Any]:
    return {"code": code, "title": None, "message": message, "log_url": None}


@lru_cache(maxsize=8192)
def when(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return failure(error.status, error.code, error.message, error.headers)


async def no_such_route(_: Request, error: Exception) -> Response:
    """Unknown URLs and methods: undocumented; Kombo's usual envelope."""
    assert isinstance(error, HTTPException)
    return failure(error.status_code, "PLATFORM.INPUT_INVALID", error.detail)
