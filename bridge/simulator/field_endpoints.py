"""Integration fields and custom fields over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator.answers import Refused, invalid, success
from bridge.simulator.fields import CustomField, IntegrationField
from bridge.simulator.general import named
from bridge.simulator.writes import read_body

F = TypeVar("F", IntegrationField, CustomField)


class _Passthrough(msgspec.Struct):
    enable_passthrough: bool | None


class _Mapping(msgspec.Struct):
    integration_field_id: str | None


async def integration_fields(request: Request) -> Response:
    return _page(request, named(request).integration_fields, most=2000)


async def custom_fields(request: Request) -> Response:
    return _page(request, named(request).custom_fields, most=250)


async def update_integration_field(request: Request) -> Response:
    """Null is undocumented; here it switches off."""
    found = _find(named(request).integration_fields, request.path_params["field_id"])
    found.is_passthrough_enabled = bool((await read_body(request, _Passthrough)).enable_passthrough)
    return success(found.full)


async def map_custom_field(request: Request) -> Response:
    integration = named(request)
    found = _find(integration.custom_fields, request.path_params["field_id"])
    wanted = (await read_body(request, _Mapping)).integration_field_id
    found.integration_field = None if wanted is None else _find(integration.integration_fields, wanted)
    return success(found.full)


def _find(fields: Sequence[F], id: str) -> F:
    found = next((field for field in fields if field.id == id), None)
    if found is None:
        raise Refused(404, "PLATFORM.INPUT_INVALID", "no such field")
    return found


def _page(request: Request, fields: Sequence[F], *, most: int) -> Response:
    """`next_cursor` is a deprecated name of `next`. The cursor is a number, which nobody is to know."""
    size, start = request.query_params.get("page_size", "100"), request.query_params.get("cursor", "0")
    if not (size.isascii() and size.isdigit() and len(size) < 5 and 1 <= int(size) <= most):
        raise invalid(f"page_size must be 1 to {most}")
    if not (start.isascii() and start.isdigit() and len(start) < 10):
        raise invalid("cursor is not one of ours")
    end = int(start) + int(size)
    following = str(end) if end < len(fields) else None
    results = [field.full for field in fields[int(start) : end]]
    return success({"results": results, "next": following, "next_cursor": following})
