"""Links with which a customer connects a tool, or mends the connection, and what becomes of them.

The page behind a link is not simulated: `POST /_control/connections` does what a customer would do there.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator.answers import Refused, invalid, success
from bridge.simulator.capabilities import TOOLS
from bridge.simulator.general import named
from bridge.simulator.integration import Integration
from bridge.simulator.records import kombo_id
from bridge.simulator.world import World
from bridge.simulator.writes import read_body

Language = Literal["en", "de", "fr", "it", "es"]
LinkType = Literal["EMBEDDED", "MAGIC_LINK"]
Category = Literal["HRIS", "ATS", "ASSESSMENT", "LMS"]
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class _Create(msgspec.Struct):
    """The default category is HRIS, for which there is no tool here: what wants LMS has to say so."""

    end_user_email: str
    end_user_organization_name: Annotated[str, Meta(min_length=1)]
    end_user_origin_id: str | None = None
    remote_environment: str | None = None
    integration_category: Category = "HRIS"
    integration_tool: str | None = None
    language: Language | None = "en"
    scope_config_id: str | None = None
    enable_filtering: bool = False
    enable_field_mapping: bool = False
    enable_static_ips: bool = False
    link_type: LinkType = "EMBEDDED"


class _Relink(msgspec.Struct):
    language: Language | None = "en"
    scope_config_id: str | None = None
    link_type: LinkType = "EMBEDDED"


class _SetUp(msgspec.Struct):
    link_type: LinkType
    language: Language | None = "en"


async def create_link(request: Request) -> Response:
    body = await read_body(request, _Create)
    world: World = request.state.world
    if not _EMAIL.fullmatch(body.end_user_email):
        raise invalid("end_user_email is no address")
    if body.integration_category == "LMS" and body.integration_tool not in (None, *TOOLS):
        raise invalid("integration_tool is none of this category")
    more = {"static_ips": ["192.0.2.10"]} if body.enable_static_ips else {}
    return success({"link": _link(world, **msgspec.to_builtins(body)), **more})


async def relink(request: Request) -> Response:
    integration = named(request)
    await read_body(request, _Relink)
    return success({"link": _link(request.state.world, integration=integration.id)})


async def setup_link(request: Request) -> Response:
    """Kombo refuses where no step of the setup flow is enabled; none is in an integration whose setup is complete."""
    integration = named(request)
    await read_body(request, _SetUp)
    if integration.setup_status == "COMPLETED":
        raise invalid("no step of the setup flow is enabled")
    return success({"link": _link(request.state.world, integration=integration.id)})


async def integration_by_token(request: Request) -> Response:
    """Of a token whose customer is not done, or of nobody: undocumented; here 404 and an input error."""
    world: World = request.state.world
    link = world.links.get(request.path_params["token"], {})
    integration = world.integrations.get(link.get("integration") or "")
    if integration is None:
        raise Refused(404, "PLATFORM.INPUT_INVALID", "no such token")
    return success(
        {
            "tool": integration.tool,
            "id": integration.id,
            "end_user_origin_id": integration.origin_id,
            "end_user_organization_name": integration.organization,
            "end_user_email": integration.creator_email,
            "setup_status": integration.setup_status,
        }
    )


def connected(world: World, token: str) -> Integration | None:
    """What a customer does with a link: a new integration, without anything in it, or an old one that works again."""
    link = world.links.get(token)
    if link is None:
        return None
    if known := world.integrations.get(link.get("integration") or ""):
        known.change(status="ACTIVE")
        return known
    id = f"{link['integration_tool'] or 'sandbox'}:{kombo_id('integration', secrets.token_hex())}"
    organization, origin_id = link["end_user_organization_name"], link["end_user_origin_id"]
    integration = Integration(id, organization, origin_id=origin_id, creator_email=link["end_user_email"])
    link["integration"] = id
    return add(world, integration)


def add(world: World, integration: Integration) -> Integration:
    """With the event that tells of it."""
    world.add(integration)
    end_user = integration.end_user
    data = {"id": integration.id, "tool": integration.tool, "category": "LMS", "end_user": end_user}
    world.webhooks.emit("integration-created", data)
    return integration


def _link(world: World, **details: Any) -> str:
    """One is valid for an hour (embedded) or a year; here each is for ever."""
    token = kombo_id("link", secrets.token_hex())
    world.links[token] = details
    return f"https://connect.kombo.example/v2/link?token={token}"
