"""`/_control`: how tests and the demo change the world over HTTP. No part of Kombo.

    POST   /_control/faults                a Fault                    DELETE  clears them all
    POST   /_control/down                  {"value": true}
    POST   /_control/sync                  {"integration"?, "type"?: "FULL" | "DELTA"}
    PATCH  /_control/integrations/{id}     {"lag", "status", "setup_status", "refusal": [status, code], "unsupported"}
    PATCH  /_control/world                 {"action_delay", "task_delay", "failing_items", "failing_task"}
    POST   /_control/{model}               {"integration", …fields}   a record of the LMS; its id follows from remote_id
    PATCH  /_control/{model}/{id}          {"integration", …changes}
    DELETE /_control/{model}/{id}          ?integration=…
    GET    /_control/requests              what was asked of the API  DELETE  forgets it
    GET    /_control/completions           every completion that reached the LMS

`model` is users, courses, revisions or progressions.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.simulator.answers import Endpoint
from bridge.simulator.faults import Fault, Faults
from bridge.simulator.records import kombo_id
from bridge.simulator.table import Table
from bridge.simulator.world import Integration, World


class _Switch(msgspec.Struct):
    value: bool


class _Sync(msgspec.Struct):
    integration: str | None = None
    type: Literal["FULL", "DELTA"] = "FULL"


class _Integration(msgspec.Struct, forbid_unknown_fields=True):
    lag: bool | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    setup_status: str | msgspec.UnsetType = msgspec.UNSET
    refusal: tuple[int, str] | msgspec.UnsetType | None = msgspec.UNSET
    unsupported: frozenset[str] | msgspec.UnsetType = msgspec.UNSET


class _World(msgspec.Struct, forbid_unknown_fields=True):
    action_delay: float | msgspec.UnsetType = msgspec.UNSET
    task_delay: float | msgspec.UnsetType = msgspec.UNSET
    failing_items: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    failing_task: str | msgspec.UnsetType | None = msgspec.UNSET


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
        endpoints: list[tuple[str, str, Endpoint]] = [
            ("POST", "/faults", self.add_fault),
            ("DELETE", "/faults", self.clear_faults),
            ("POST", "/down", self.down),
            ("POST", "/sync", self.sync),
            ("PATCH", "/integrations/{id}", self.patch_integration),
            ("PATCH", "/world", self.patch_world),
            ("GET", "/requests", self.requests),
            ("DELETE", "/requests", self.forget_requests),
            ("GET", "/completions", self.completions),
            ("POST", "/{model}", self.add_record),
            ("PATCH", "/{model}/{id}", self.patch_record),
            ("DELETE", "/{model}/{id}", self.remove_record),
        ]
        return [Route(path, endpoint, methods=[method]) for method, path, endpoint in endpoints]

    async def add_fault(self, request: Request) -> Response:
        self.faults.queue.append(await _body(request, Fault))
        return JSONResponse({})

    async def clear_faults(self, _: Request) -> Response:
        self.faults.queue.clear()
        return JSONResponse({})

    async def down(self, request: Request) -> Response:
        self.world.down = (await _body(request, _Switch)).value
        return JSONResponse({})

    async def sync(self, request: Request) -> Response:
        body = await _body(request, _Sync)
        chosen = [self._integration(body.integration)] if body.integration else self.world.integrations.values()
        for integration in chosen:
            integration.sync(full=body.type == "FULL")
        return JSONResponse({})

    async def patch_integration(self, request: Request) -> Response:
        _set(self._integration(request.path_params["id"]), await _body(request, _Integration))
        return JSONResponse({})

    async def patch_world(self, request: Request) -> Response:
        _set(self.world, await _body(request, _World))
        return JSONResponse({})

    async def requests(self, _: Request) -> Response:
        return JSONResponse(msgspec.to_builtins(list(self.world.requests)))

    async def forget_requests(self, _: Request) -> Response:
        self.world.requests.clear()
        return JSONResponse({})

    async def completions(self, _: Request) -> Response:
        return JSONResponse(msgspec.to_builtins(self.world.completions))

    async def add_record(self, request: Request) -> Response:
        body = await _body(request, dict[str, Any])
        integration = self._integration(body.pop("integration", ""))
        table = _table(integration, request)
        body.setdefault("id", kombo_id(str(body.get("remote_id")), integration.id))
        return JSONResponse(msgspec.to_builtins(integration.put(_convert(body, table))), 201)

    async def patch_record(self, request: Request) -> Response:
        body = await _body(request, dict[str, Any])
        integration = self._integration(body.pop("integration", ""))
        table, id = _table(integration, request), request.path_params["id"]
        current = msgspec.to_builtins(_known(table, id))
        return JSONResponse(msgspec.to_builtins(integration.put(_convert({**current, **body, "id": id}, table))))

    async def remove_record(self, request: Request) -> Response:
        integration = self._integration(request.query_params.get("integration", ""))
        table, id = _table(integration, request), request.path_params["id"]
        _known(table, id)
        integration.remove(table, id)
        return JSONResponse({})

    def _integration(self, id: str) -> Integration:
        try:
            return self.world.integrations[id]
        except KeyError:
            raise HTTPException(404, "no such integration") from None


async def _body(request: Request, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(await request.body(), type=shape)
    except msgspec.MsgspecError as error:
        raise HTTPException(400, str(error)) from error


def _set(target: object, changes: msgspec.Struct) -> None:
    for name in changes.__struct_fields__:
        value = getattr(changes, name)
        if value is not msgspec.UNSET:
            setattr(target, name, value)


def _table(integration: Integration, request: Request) -> Table[Any]:
    try:
        return integration.tables[request.path_params["model"]]
    except KeyError:
        raise HTTPException(404, "no such model") from None


def _known(table: Table[Any], id: str) -> Any:
    try:
        return table.lms[id]
    except KeyError:
        raise HTTPException(404, "no such record") from None


def _convert(fields: dict[str, Any], table: Table[Any]) -> Any:
    try:
        return msgspec.convert(fields, table.kind)
    except msgspec.ValidationError as error:
        raise HTTPException(400, str(error)) from error
