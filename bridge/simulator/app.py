"""The simulated Kombo as one ASGI application: the API under `/v1`, its control surface under `/_control`."""

from __future__ import annotations

import hmac
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from bridge.simulator import bulk, general, reads, writes
from bridge.simulator.answers import Endpoint, Refused, invalid, no_such_route, refused
from bridge.simulator.control import Control, LoopbackOnly
from bridge.simulator.faults import Faults
from bridge.simulator.world import World

_SETUP = {
    "INCOMPLETE": (409, "INTEGRATION.SETUP_INCOMPLETE"),
    "FINAL_SYNC_PENDING": (409, "INTEGRATION.SETUP_SYNC_PENDING"),
}


def create(world: World) -> Starlette:
    """The API's base URL is this application's origin and `/v1`."""
    api = Starlette(routes=_routes(world), exception_handlers=_HANDLERS)
    faults = Faults(api, world)
    control = Mount("/_control", routes=Control(world, faults).routes, middleware=[Middleware(LoopbackOnly)])
    return Starlette(routes=[control, Mount("/v1", app=faults)])


_HANDLERS: dict[Any, Any] = {Refused: refused, HTTPException: no_such_route}


def _routes(world: World) -> list[BaseRoute]:
    """Ids in paths may hold an encoded slash, hence `:path`. The most special path comes first."""

    def plain(endpoint: Endpoint) -> Endpoint:
        async def authenticated(request: Request) -> Response:
            _authenticate(world, request)
            return await endpoint(request)

        return authenticated

    def lms(endpoint: Endpoint) -> Endpoint:
        async def for_integration(request: Request) -> Response:
            _choose_integration(world, request)
            return await endpoint(request)

        return plain(for_integration)

    endpoints = [
        ("GET", "/lms/users", lms(reads.USERS)),
        ("GET", "/lms/courses", lms(reads.COURSES)),
        ("GET", "/lms/course-progressions", lms(reads.PROGRESSIONS)),
        ("POST", "/lms/courses/bulk", lms(bulk.push)),
        ("GET", "/lms/courses/bulk/{task_id}", lms(bulk.show)),
        ("POST", "/lms/courses/{course_id:path}/deactivate", lms(writes.deactivate)),
        ("POST", "/lms/course-progressions", lms(writes.enroll)),
        ("POST", "/lms/course-progressions/{progression_id:path}/complete", lms(writes.complete)),
        ("POST", "/force-sync", lms(general.force_sync)),
        ("GET", "/check-api-key", plain(general.check_api_key)),
        ("GET", "/integrations/{integration_id}", plain(general.show_integration)),
    ]
    return [Route(path, endpoint, methods=[method]) for method, path, endpoint in endpoints]


def _authenticate(world: World, request: Request) -> None:
    request.state.world = world
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), world.api_key.encode()):
        raise Refused(401, "PLATFORM.AUTHENTICATION_INVALID", "the API key is missing or wrong")


def _choose_integration(world: World, request: Request) -> None:
    id = request.headers.get("x-integration-id")
    if not id:
        raise invalid("the header X-Integration-Id is missing")
    integration = world.integrations.get(id)
    if integration is None:
        raise Refused(404, "PLATFORM.INTEGRATION_NOT_FOUND", "no such integration")
    refusal = integration.refusal or _SETUP.get(integration.setup_status)
    if refusal:
        raise Refused(*refusal, "the integration cannot be used now")
    bulk.finish_due(world, integration)
    request.state.integration = integration
