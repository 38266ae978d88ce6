"""`/_control/{model}`: changing what the LMS holds, record by record."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bridge.simulator.integration import Integration
from bridge.simulator.records import kombo_id
from bridge.simulator.table import Table
from bridge.simulator.world import World


class Editing:
    """The endpoints over one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def add(self, request: Request) -> Response:
        fields = await read(request, dict[str, Any])
        integration = known(self._world, fields.pop("integration", ""))
        table = _table(integration, request)
        fields.setdefault("id", kombo_id(str(fields.get("remote_id")), integration.id))
        return JSONResponse(msgspec.to_builtins(integration.put(_convert(fields, table))), 201)

    async def patch(self, request: Request) -> Response:
        changes = await read(request, dict[str, Any])
        integration = known(self._world, changes.pop("integration", ""))
        table, id = _table(integration, request), request.path_params["id"]
        current = msgspec.to_builtins(_record(table, id))
        return JSONResponse(msgspec.to_builtins(integration.put(_convert({**current, **changes, "id": id}, table))))

    async def remove(self, request: Request) -> Response:
        integration = known(self._world, request.query_params.get("integration", ""))
        table, id = _table(integration, request), request.path_params["id"]
        _record(table, id)
        integration.remove(table, id)
        return JSONResponse({})


async def read(request: Request, shape: type[Any]) -> Any:
    """A JSON body. Raises `HTTPException` (400) where it is of no such shape."""
    try:
        return msgspec.json.decode(await request.body(), type=shape)
    except msgspec.MsgspecError as error:
        raise HTTPException(400, str(error)) from error


def known(world: World, id: str) -> Integration:
    """Raises `HTTPException` (404)."""
    try:
        return world.integrations[id]
    except KeyError:
        raise HTTPException(404, "no such integration") from None


def _table(integration: Integration, request: Request) -> Table[Any]:
    try:
        return integration.tables[request.path_params["model"]]
    except KeyError:
        raise HTTPException(404, "no such model") from None


def _record(table: Table[Any], id: str) -> Any:
    try:
        return table.lms[id]
    except KeyError:
        raise HTTPException(404, "no such record") from None


def _convert(fields: dict[str, Any], table: Table[Any]) -> Any:
    try:
        return msgspec.convert(fields, table.kind)
    except msgspec.ValidationError as error:
        raise HTTPException(400, str(error)) from error
