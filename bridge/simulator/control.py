"""`/_control`: how tests and the demo change the world over HTTP. No part of Kombo.

    POST   /_control/faults                a Fault                    GET  what is left    DELETE  clears them all
    POST   /_control/down                  {"value": true}
    POST   /_control/sync                  {"integration"?, "type"?: "FULL" | "DELTA", "outcome"?}   at once
    PATCH  /_control/world                 what `World` says: {"action_delay", "sync_every", "failing_items", …}
    POST   /_control/integrations          {"id", "organization", "origin_id"?, "copy_of"?}
    PATCH  /_control/integrations/{id}     what `Integration` says: {"lag", "status", "refusal": [status, code], …}
    PATCH  /_control/scope                 {"integration", "model", "enabled"?, "without"?: [field]}
    POST   /_control/connections           {"token"}   what a customer does with a connection link
    PATCH  /_control/webhooks              {"url", "secret", "on", "duplicates", "delay", "reorder", …}
    POST   /_control/webhooks              {"type", "data"}           any event at all
    GET    /_control/webhooks/sent         every attempt, and how it was answered                DELETE  forgets them
    POST   /_control/{model}               {"integration", …fields}   a record of the LMS; its id follows from remote_id
    PATCH  /_control/{model}/{id}          {"integration", …changes}
    DELETE /_control/{model}/{id}          ?integration=…
    GET    /_control/requests              what was asked of the API                             DELETE  forgets it
    GET    /_control/completions           every completion that reached the LMS
    GET    /_control/enrollments           every enrolment that did and made a progression
    GET    /_control/tasks                 ?integration=…  every push, with its items

`model` is users, skills, providers, courses, revisions or progressions.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.simulator import connect
from bridge.simulator.answers import Endpoint
from bridge.simulator.copies import copied
from bridge.simulator.editing import Editing, known, read
from bridge.simulator.faults import Fault, Faults
from bridge.simulator.integration import Integration, Outcome, QaStatus, SetupStatus, Status
from bridge.simulator.world import World


class _Switch(msgspec.Struct):
    value: bool


class _Sync(msgspec.Struct, forbid_unknown_fields=True):
    integration: str | None = None
    type: Literal["FULL", "DELTA"] = "FULL"
    outcome: Outcome | None = None


class _Integration(msgspec.Struct, forbid_unknown_fields=True):
    status: Status | None = None
    setup_status: SetupStatus | None = None
    qa_status: QaStatus | None = None
    lag: bool | UnsetType = UNSET
    writes_lag: bool | UnsetType | None = UNSET
    changed_at_behind: float | UnsetType = UNSET
    delta_supported: bool | UnsetType = UNSET
    outcome: Outcome | UnsetType = UNSET
    refusal: tuple[int, str] | UnsetType | None = UNSET
    refuse_reads: bool | UnsetType = UNSET
    unsupported: frozenset[str] | UnsetType = UNSET
    disabled_actions: frozenset[str] | UnsetType = UNSET
    nested_changes_count: bool | UnsetType = UNSET
    course_updates: bool | UnsetType = UNSET
    concurrency_limit: int | UnsetType = UNSET


class _New(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    organization: str
    origin_id: str | None = None
    copy_of: str | None = None


class _Scope(msgspec.Struct, forbid_unknown_fields=True):
    integration: str
    model: Literal["users", "skills", "courses", "revisions", "progressions"]
    enabled: bool | None = None
    without: frozenset[str] | None = None


class _World(msgspec.Struct, forbid_unknown_fields=True):
    action_delay: float | UnsetType = UNSET
    sync_seconds: float | UnsetType = UNSET
    sync_every: float | UnsetType | None = UNSET
    task_delay: float | UnsetType = UNSET
    item_delay: float | UnsetType = UNSET
    failing_items: dict[str, str] | UnsetType = UNSET
    failing_task: str | UnsetType | None = UNSET
    batch_size: int | UnsetType = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    retry_after: str | UnsetType | None = UNSET
    clock_ahead: float | UnsetType = UNSET


class _Connection(msgspec.Struct):
    token: str


class _Webhooks(msgspec.Struct, forbid_unknown_fields=True):
    url: str | UnsetType | None = UNSET
    secret: str | UnsetType | None = UNSET
    on: bool | UnsetType = UNSET
    duplicates: int | UnsetType = UNSET
    delay: float | UnsetType = UNSET
    reorder: bool | UnsetType = UNSET
    attempts: int | UnsetType = UNSET
    retry_pause: float | UnsetType = UNSET
    timeout: float | UnsetType = UNSET


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    data: Any


class LoopbackOnly:
    """ASGI middleware: callers on this machine, by a name of this machine, with JSON where they change something.

    A page in somebody's browser can reach a loopback port too; it cannot send JSON elsewhere without asking first
    (CORS), nor our Host by a name of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        peer = request.client and request.client.host
        local = bool(peer) and ip_address(str(peer)).is_loopback and request.url.hostname in _LOCAL_NAMES
        json = request.method != "POST" or request.headers.get("content-type", "").startswith("application/json")
        app = self.app if local and json else JSONResponse({"detail": "loopback and JSON only"}, 403)
        await app(scope, receive, send)


_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")


class Control:
    """The endpoints over one world and the faults in front of it."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world, self.faults = world, faults

    @property
    def routes(self) -> list[BaseRoute]:
        editing = Editing(self.world)
        endpoints: list[tuple[str, str, Endpoint]] = [
            ("POST", "/faults", self.add_fault),
            ("GET", "/faults", self.show_faults),
            ("DELETE", "/faults", self.clear_faults),
            ("POST", "/down", self.down),
            ("POST", "/sync", self.sync),
            ("PATCH", "/world", self.patch_world),
            ("POST", "/integrations", self.add_integration),
            ("PATCH", "/integrations/{id}", self.patch_integration),
            ("PATCH", "/scope", self.patch_scope),
            ("POST", "/connections", self.connect),
            ("PATCH", "/webhooks", self.patch_webhooks),
            ("POST", "/webhooks", self.emit),
            ("GET", "/webhooks/sent", self.sent),
            ("DELETE", "/webhooks/sent", self.forget_sent),
            ("GET", "/requests", self.requests),
            ("DELETE", "/requests", self.forget_requests),
            ("GET", "/completions", self.completions),
            ("GET", "/enrollments", self.enrollments),
            ("GET", "/tasks", self.tasks),
            ("POST", "/{model}", editing.add),
            ("PATCH", "/{model}/{id}", editing.patch),
            ("DELETE", "/{model}/{id}", editing.remove),
        ]
        return [Route(path, endpoint, methods=[method]) for method, path, endpoint in endpoints]

    async def add_fault(self, request: Request) -> Response:
        self.faults.queue.append(await read(request, Fault))
        return JSONResponse({})

    async def show_faults(self, _: Request) -> Response:
        return _shown(self.faults.queue)

    async def clear_faults(self, _: Request) -> Response:
        self.faults.queue.clear()
        return JSONResponse({})

    async def down(self, request: Request) -> Response:
        self.world.down = (await read(request, _Switch)).value
        return JSONResponse({})

    async def sync(self, request: Request) -> Response:
        body = await read(request, _Sync)
        chosen = [known(self.world, body.integration)] if body.integration else self.world.integrations.values()
        for integration in chosen:
            integration.sync(full=body.type == "FULL", outcome=body.outcome)
        return JSONResponse({})

    async def patch_world(self, request: Request) -> Response:
        _set(self.world, await read(request, _World))
        return JSONResponse({})

    async def add_integration(self, request: Request) -> Response:
        body = await read(request, _New)
        if body.id in self.world.integrations:
            raise HTTPException(409, "there is one of this id")
        integration = Integration(body.id, body.organization, origin_id=body.origin_id)
        if body.copy_of:
            copied(known(self.world, body.copy_of), integration)
        connect.add(self.world, integration)
        return JSONResponse({}, 201)

    async def patch_integration(self, request: Request) -> Response:
        integration, body = known(self.world, request.path_params["id"]), await read(request, _Integration)
        _set(integration, body, but=("status", "setup_status", "qa_status"))
        integration.change(status=body.status, setup=body.setup_status, qa=body.qa_status)
        return JSONResponse({})

    async def patch_scope(self, request: Request) -> Response:
        body = await read(request, _Scope)
        known(self.world, body.integration).rescope(body.model, enabled=body.enabled, without=body.without)
        return JSONResponse({})

    async def connect(self, request: Request) -> Response:
        integration = connect.connected(self.world, (await read(request, _Connection)).token)
        if integration is None:
            raise HTTPException(404, "no such token")
        return JSONResponse({"integration": integration.id}, 201)

    async def patch_webhooks(self, request: Request) -> Response:
        _set(self.world.webhooks, await read(request, _Webhooks))
        return JSONResponse({})

    async def emit(self, request: Request) -> Response:
        event = await read(request, _Event)
        self.world.webhooks.emit(event.type, event.data)
        return JSONResponse({})

    async def sent(self, _: Request) -> Response:
        return _shown(list(self.world.webhooks.sent))

    async def forget_sent(self, _: Request) -> Response:
        self.world.webhooks.sent.clear()
        return JSONResponse({})

    async def requests(self, _: Request) -> Response:
        return _shown(list(self.world.requests))

    async def forget_requests(self, _: Request) -> Response:
        self.world.requests.clear()
        return JSONResponse({})

    async def completions(self, _: Request) -> Response:
        return _shown(self.world.completions)

    async def enrollments(self, _: Request) -> Response:
        return _shown(self.world.enrollments)

    async def tasks(self, request: Request) -> Response:
        return _shown(list(known(self.world, request.query_params.get("integration", "")).tasks.values()))


def _shown(content: Any) -> Response:
    return JSONResponse(msgspec.to_builtins(content))


def _set(target: object, changes: msgspec.Struct, but: tuple[str, ...] = ()) -> None:
    for name in changes.__struct_fields__:
        value = getattr(changes, name)
        if value is not UNSET and name not in but:
            setattr(target, name, value)
