"""What is not about learning: the key, the integration's own state, and asking for a sync."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator.answers import Refused, success, when
from bridge.simulator.records import kombo_id
from bridge.simulator.world import Integration, World
from bridge.simulator.writes import read_body

_CONNECTED_AT = datetime(2025, 1, 6, 8, tzinfo=UTC)
_MODELS = {
    "lms_users": "Users",
    "lms_courses": "Courses",
    "lms_course_revisions": "Course revisions",
    "lms_course_progressions": "Course progressions",
}
_ACTIONS = {
    "lms_upsert_courses": "Upsert courses",
    "lms_deactivate_course": "Deactivate course",
    "lms_create_course_progression": "Create course progression",
    "lms_complete_course_progression": "Complete course progression",
}
"""Kombo does not publish the LMS names of its actions; these are made like those of its other categories."""

_numbers = itertools.count(1)


class _Sync(msgspec.Struct):
    type: Literal["FULL", "DELTA"] = "FULL"


async def check_api_key(request: Request) -> Response:
    world: World = request.state.world
    return success({"environment_id": world.environment_id})


async def force_sync(request: Request) -> Response:
    """Syncs at once, so nothing is ever queued."""
    integration: Integration = request.state.integration
    body = await read_body(request, _Sync)
    integration.sync(full=body.type == "FULL")
    sync_id = kombo_id("sync", str(next(_numbers)), integration.id)
    return success({"already_queued": False, "sync_id": sync_id, "type": body.type})


async def show_integration(request: Request) -> Response:
    world: World = request.state.world
    integration = world.integrations.get(request.path_params["integration_id"])
    if integration is None:
        raise Refused(404, "PLATFORM.INTEGRATION_NOT_FOUND", "no such integration")
    return success(_details(integration))


def _details(integration: Integration) -> dict[str, Any]:
    tool = integration.tool
    without = {"lms_deactivate_course"} if tool == "cornerstoneondemand" else set()
    return {
        "id": integration.id,
        "tool": {
            "id": tool,
            "label": tool.title(),
            "internal_label": None,
            "logo_url": f"https://storage.example.com/{tool}/logo.svg",
            "icon_url": f"https://storage.example.com/{tool}/icon.svg",
        },
        "category": "LMS",
        "status": integration.status,
        "setup_status": integration.setup_status,
        "end_user": {
            "organization_name": integration.organization,
            "creator_email": None,
            "origin_id": integration.origin_id,
        },
        "scope_config": {"id": kombo_id("scope", integration.id), "name": None},
        "data_expired_at": when(integration.data_expired_at),
        "created_at": when(_CONNECTED_AT),
        "beta": False,
        "read_models": [_capability(id, label, True) for id, label in _MODELS.items()],
        "write_actions": [_capability(id, label, id not in without) for id, label in _ACTIONS.items()],
    }


def _capability(id: str, label: str, available: bool) -> dict[str, Any]:
    return {
        "id": id,
        "label": label,
        "is_available": available,
        "coverage_status": "SUPPORTED" if available else "UNSUPPORTED",
        "scope_config_setting": "ENABLED",
        "opted_out_by_customer": False,
        "fields": [],
    }
