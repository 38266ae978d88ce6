"""The simulated Kombo as one ASGI application: the API under `/v1`, its control surface under `/_control`."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from bridge.simulator import bulk, clockwork, connect, field_endpoints, general, reads, writes
from bridge.simulator.answers import Endpoint, Refused, invalid, no_such_route, refused
from bridge.simulator.control import Control, LoopbackOnly
from bridge.simulator.faults import Faults
from bridge.simulator.world import World

_SETUP = {
    "INCOMPLETE": (409, "INTEGRATION.SETUP_INCOMPLETE"),
    "FINAL_SYNC_PENDING": (409, "INTEGRATION.SETUP_SYNC_PENDING"),
}
_QA_FAILED = (409, "INTEGRATION.QA_FAILED")


def create(world: World) -> Starlette:
    """The API's base URL is this application's origin and `/v1`. Webhooks go out while its lifespan lasts."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(clockwork.run(world))
        try:
            yield
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    api = Starlette(routes=_routes(world), exception_handlers=_HANDLERS)
    faults = Faults(api, world)
    control = Mount("/_control", routes=Control(world, faults).routes, middleware=[Middleware(LoopbackOnly)])
    return Starlette(routes=[control, Mount("/v1", app=faults)], lifespan=lifespan)


_ONE = "integrations/{integration_id}"
_HANDLERS: dict[Any, Any] = {Refused: refused, HTTPException: no_such_route}


def _routes(world: World) -> list[BaseRoute]:
    """Ids in paths may hold an encoded slash, hence `:path`. The most special path comes first."""

    def plain(endpoint: Endpoint) -> Endpoint:
        async def authenticated(request: Request) -> Response:
            _authenticate(world, request)
            clockwork.tick(world)
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
        ("GET", "/lms/skills", lms(reads.SKILLS)),
        ("POST", "/force-sync", lms(general.force_sync)),
        ("GET", "/check-api-key", plain(general.check_api_key)),
        ("GET", f"/{_ONE}", plain(general.show_integration)),
        ("DELETE", f"/{_ONE}", plain(general.delete)),
        ("PUT", f"/{_ONE}/enabled", plain(general.enable)),
        ("POST", f"/{_ONE}/relink", plain(connect.relink)),
        ("POST", f"/{_ONE}/setup-link", plain(connect.setup_link)),
        ("GET", f"/{_ONE}/integration-fields", plain(field_endpoints.integration_fields)),
        ("PATCH", f"/{_ONE}/integration-fields/{{field_id}}", plain(field_endpoints.update_integration_field)),
        ("GET", f"/{_ONE}/custom-fields", plain(field_endpoints.custom_fields)),
        ("PUT", f"/{_ONE}/custom-fields/{{field_id}}", plain(field_endpoints.map_custom_field)),
        ("GET", "/tools/{category}", plain(general.tools)),
        ("POST", "/connect/create-link", plain(connect.create_link)),
        ("GET", "/connect/integration-by-token/{token}", plain(connect.integration_by_token)),
    ]
    return [Route(path, endpoint, methods=[method]) for method, path, endpoint in endpoints]


def _authenticate(world: World, request: Request) -> None:
    request.state.world = world
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), world.api_key.encode()):
        raise Refused(401, "PLATFORM.AUTHENTICATION_INVALID", "the API key is missing or wrong")
    if not world.allows_request():
        headers = {} if world.retry_after is None else {"Retry-After": world.retry_after}
        raise Refused(429, "PLATFORM.RATE_LIMIT_EXCEEDED", "too many requests", headers)


def _choose_integration(world: World, request: Request) -> None:
    id = request.headers.get("x-integration-id")
    if not id:
        raise invalid("the header X-Integration-Id is missing")
    integration = world.integrations.get(id)
    if integration is None:
        raise Refused(404, "PLATFORM.INTEGRATION_NOT_FOUND", "no such integration")
    failed = _QA_FAILED if integration.qa_status == "FAILED" else None
    refusal = integration.refusal or _SETUP.get(integration.setup_status) or failed
    if refusal:
        raise Refused(*refusal, "the integration cannot be used now")
    if integration.refuse_reads:
        writes.need_active(integration)
    request.state.integration = integration
