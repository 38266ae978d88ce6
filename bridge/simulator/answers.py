"""Kombo's two envelopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """An error of the API: becomes the error envelope."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def invalid(message: str) -> Refused:
    return Refused(400, "PLATFORM.INPUT_INVALID", message)


def success(data: Any, **more: Any) -> JSONResponse:
    return JSONResponse({"status": "success", "data": data, **more})


def failure(status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    error = error_object(code, message)
    return JSONResponse({"status": "error", "error": error}, status_code=status, headers=headers)


def error_object(code: str | None, message: str) -> dict[str, Any]:
    return {"code": code, "title": None, "message": message, "log_url": None}


def when(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return failure(error.status, error.code, error.message, error.headers)


async def no_such_route(_: Request, error: Exception) -> JSONResponse:
    """Unknown URLs and methods: undocumented; Kombo's usual envelope."""
    assert isinstance(error, HTTPException)
    return failure(error.status_code, "PLATFORM.INPUT_INVALID", error.detail)
