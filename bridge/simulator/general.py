"""What is not about learning: the key, integrations and their state, asking for a sync, and the tools there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator.answers import Refused, invalid, success, when
from bridge.simulator.capabilities import TOOLS, assets, read_models, tool, write_actions
from bridge.simulator.integration import Integration
from bridge.simulator.records import kombo_id
from bridge.simulator.world import World
from bridge.simulator.writes import Nothing, need_active, read_body

_CONNECTED_AT = datetime(2025, 1, 6, 8, tzinfo=UTC)
_CATEGORIES = ("hris", "ats", "assessment", "lms")


class _Sync(msgspec.Struct):
    type: Literal["FULL", "DELTA"] = "FULL"


class _Enabled(msgspec.Struct):
    value: bool


async def check_api_key(request: Request) -> Response:
    """`customer_id` is deprecated."""
    world: World = request.state.world
    return success({"environment_id": world.environment_id, "customer_id": world.environment_id})


async def force_sync(request: Request) -> Response:
    """One sync at a time; who asks during one is told of it."""
    integration: Integration = request.state.integration
    world: World = request.state.world
    need_active(integration)
    body = await read_body(request, _Sync)
    queued = integration.running is not None
    sync = integration.begin(body.type, world.sync_seconds)
    return success({"already_queued": queued, "sync_id": sync.id, "type": sync.type})


async def show_integration(request: Request) -> Response:
    return success(_details(named(request)))


async def enable(request: Request) -> Response:
    """Switch on or off. What switching on makes of an INVALID one is undocumented; here it stays INVALID."""
    integration = named(request)
    wanted = (await read_body(request, _Enabled)).value
    if not wanted:
        integration.change(status="INACTIVE")
    elif integration.status == "INACTIVE":
        integration.change(status="ACTIVE")
    return success({})


async def delete(request: Request) -> Response:
    """At once gone for the API; that its data lives 14 days longer cannot be seen."""
    integration = named(request)
    world: World = request.state.world
    await read_body(request, Nothing)
    del world.integrations[integration.id]
    world.webhooks.emit(
        "integration-deleted",
        {
            "id": integration.id,
            "tool": integration.tool,
            "category": "LMS",
            "end_user": integration.end_user,
            "deleted_at": when(world.clock()),
        },
    )
    return success({})


async def tools(request: Request) -> Response:
    """Of the other categories there are none here."""
    category = request.path_params["category"]
    if category not in _CATEGORIES:
        raise invalid(f"category must be one of {', '.join(_CATEGORIES)}")
    return success({"tools": [tool(id) for id in TOOLS] if category == "lms" else []})


def named(request: Request) -> Integration:
    """The integration of the path. The status of an unknown one is undocumented; here 404."""
    world: World = request.state.world
    integration = world.integrations.get(request.path_params["integration_id"])
    if integration is None:
        raise Refused(404, "PLATFORM.INTEGRATION_NOT_FOUND", "no such integration")
    return integration


def _details(integration: Integration) -> dict[str, Any]:
    tool = integration.tool
    return {
        "id": integration.id,
        "tool": {"id": tool, "label": TOOLS.get(tool, tool.title()), "internal_label": None, **assets(tool)},
        "category": "LMS",
        "status": integration.status,
        "setup_status": integration.setup_status,
        "end_user": integration.end_user,
        "scope_config": {"id": kombo_id("scope", integration.id), "name": None},
        "data_expired_at": when(integration.data_expired_at),
        "created_at": when(_CONNECTED_AT),
        "beta": False,
        "read_models": read_models(integration),
        "write_actions": write_actions(integration),
    }
