"""Actions on the LMS: live, slow, and at most 30 at a time for one integration."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator import objects
from bridge.simulator.answers import Endpoint, Refused, invalid, success
from bridge.simulator.records import Record
from bridge.simulator.table import Seen, Table
from bridge.simulator.world import Completion, Integration, World

CONCURRENCY_LIMIT = 30
_LIVE = ("ENROLLED", "IN_PROGRESS")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?")

R = TypeVar("R", bound=Record)
B = TypeVar("B")


class _Enroll(msgspec.Struct):
    user_id: str
    course_revision_id: str


class _Complete(msgspec.Struct):
    completed_at: str | None = None
    score: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None


class _Nothing(msgspec.Struct):
    pass


def action(endpoint: Endpoint) -> Endpoint:
    """Count an action against the integration's limit, let it take its time, and say in the headers what is left."""

    async def limited(request: Request) -> Response:
        integration: Integration = request.state.integration
        world: World = request.state.world
        headers = {"Concurrency-Limit": str(CONCURRENCY_LIMIT)}
        if integration.in_flight >= CONCURRENCY_LIMIT:
            headers["Concurrency-Remaining"] = "0"
            raise Refused(429, "PLATFORM.CONCURRENCY_LIMIT_EXCEEDED", "too many actions in flight", headers)
        integration.in_flight += 1
        try:
            await asyncio.sleep(world.action_delay)
            response = await endpoint(request)
        finally:
            integration.in_flight -= 1
        headers["Concurrency-Remaining"] = str(CONCURRENCY_LIMIT - integration.in_flight)
        response.headers.update(headers)
        return response

    return limited


@action
async def enroll(request: Request) -> Response:
    """Undocumented, so here: a live progression of the same revision is returned instead of a second one, a completed
    or dropped one lets a new one begin, and an inactive revision is refused, as deactivating says it should be.
    """
    integration: Integration = request.state.integration
    body = await read_body(request, _Enroll)
    user = find(integration.users, body.user_id)
    revision = find(integration.revisions, body.course_revision_id)
    for progression in integration.progressions.lms.values():
        same = (progression.user_id, progression.course_revision_id) == (user.id, revision.id)
        if same and progression.status in _LIVE:
            return _progression(integration, progression.id, "the user is already enrolled")
    if revision.status == "INACTIVE":
        raise Refused(400, "REMOTE.INPUT_INVALID", "the course is closed to new enrollments")
    return _progression(integration, integration.enroll(user.id, revision.id).id)


@action
async def complete(request: Request) -> Response:
    """Completing again (undocumented) overwrites; every call is remembered in `World.completions`."""
    integration: Integration = request.state.integration
    world: World = request.state.world
    body = await read_body(request, _Complete)
    progression = find(integration.progressions, request.path_params["progression_id"])
    completed_at = _date(body.completed_at) or world.clock()
    integration.patch(
        integration.progressions, progression.id, status="COMPLETED", completed_at=completed_at, score=body.score
    )
    world.completions.append(Completion(integration.id, progression.id, completed_at, body.score))
    return _progression(integration, progression.id)


@action
async def deactivate(request: Request) -> Response:
    """Every revision becomes INACTIVE. Kombo does not offer this action for Cornerstone."""
    integration: Integration = request.state.integration
    await read_body(request, _Nothing)
    if integration.tool == "cornerstoneondemand":
        raise Refused(400, "INTEGRATION.ACTION_NOT_AVAILABLE", "this tool cannot deactivate courses")
    course = find(integration.courses, request.path_params["course_id"])
    for revision in list(integration.revisions.lms.values()):
        if revision.course_id == course.id:
            integration.patch(integration.revisions, revision.id, status="INACTIVE")
    return success(objects.course(integration, _latest(integration, integration.courses, course)), warnings=[])


async def read_body(request: Request, shape: type[B]) -> B:
    """A JSON body; none is as good as `{}`."""
    try:
        return msgspec.json.decode(await request.body() or b"{}", type=shape)
    except msgspec.MsgspecError as error:
        raise invalid(str(error)) from error


def find(table: Table[R], reference: str) -> R:
    """By Kombo id or `remote:`. What an unknown id gets is undocumented; here 404 and an input error."""
    record = table.find(reference)
    if record is None:
        raise Refused(404, "PLATFORM.INPUT_INVALID", f"no such record: {reference}")
    return record


def _progression(integration: Integration, id: str, warning: str | None = None) -> Response:
    """An action answers with what the LMS now has, even where reads will not show it before the next sync."""
    record = integration.progressions.lms[id]
    row = objects.progression(integration, _latest(integration, integration.progressions, record))
    if row is None:
        raise Refused(404, "PLATFORM.INPUT_INVALID", "not synced yet")
    return success(row, warnings=[{"message": warning}] if warning else [])


def _latest(integration: Integration, table: Table[R], record: R) -> Seen[R]:
    seen = table.seen.get(record.id)
    return seen if seen and seen.record == record else Seen(record, integration.clock())


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    if not _DATE.fullmatch(text):
        raise invalid("completed_at must be a date or a time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid("completed_at is no date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
