"""Actions on the LMS: live, slow, and so many at a time for one integration (30, fewer for fragile tools)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator import objects
from bridge.simulator.answers import Endpoint, Refused, invalid, success
from bridge.simulator.capabilities import COMPLETE, DEACTIVATE, ENROLL, WITHOUT
from bridge.simulator.records import Course, Record, Revision
from bridge.simulator.table import Seen, Table
from bridge.simulator.world import Completion, Enrollment, Integration, World

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


class Nothing(msgspec.Struct):
    """`{}`, or no body at all."""


def action(id: str) -> Callable[[Endpoint], Endpoint]:
    """Count an action against the integration's limit, let it take its time, and say in the headers what is left."""

    def limited_by(endpoint: Endpoint) -> Endpoint:
        async def limited(request: Request) -> Response:
            integration: Integration = request.state.integration
            world: World = request.state.world
            _allow(integration, id)
            limit = integration.concurrency_limit
            headers = {"Concurrency-Limit": str(limit)}
            if integration.in_flight >= limit:
                headers["Concurrency-Remaining"] = "0"
                raise Refused(429, "PLATFORM.CONCURRENCY_LIMIT_EXCEEDED", "too many actions in flight", headers)
            integration.in_flight += 1
            try:
                await request.body()  # whole before the wait: what has arrived is done, even if nobody waits any more
                await asyncio.sleep(world.action_delay)
                response = await endpoint(request)
            except Refused as refusal:
                refusal.headers = headers  # complete by the time it is sent
                raise
            finally:
                integration.in_flight -= 1
                headers["Concurrency-Remaining"] = str(limit - integration.in_flight)
            response.headers.update(headers)
            return response

        return limited

    return limited_by


def need_active(integration: Integration) -> None:
    """The codes are Kombo's; the status beside them is documented nowhere, nor which calls get them."""
    if integration.status != "ACTIVE":
        code = "AUTHENTICATION_INVALID" if integration.status == "INVALID" else "INACTIVE"
        raise Refused(403, f"INTEGRATION.{code}", "Kombo does not reach the customer's tool any more")


def _allow(integration: Integration, id: str) -> None:
    """Statuses beside these codes are documented nowhere either."""
    need_active(integration)
    if id in WITHOUT.get(integration.tool, ()):
        raise Refused(400, "INTEGRATION.ACTION_NOT_AVAILABLE", "this tool cannot do that")
    if id in integration.disabled_actions:
        raise Refused(403, "INTEGRATION.ACTION_DISABLED", "the scope configuration does not include this action")


@action(ENROLL)
async def enroll(request: Request) -> Response:
    """Undocumented, so here: a live progression of the same revision is returned instead of a second one, a completed
    or dropped one lets a new one begin, and an inactive revision is refused, as deactivating says it should be.
    """
    integration: Integration = request.state.integration
    world: World = request.state.world
    body = await read_body(request, _Enroll)
    user = find(integration.users, body.user_id)
    revision = find(integration.revisions, body.course_revision_id)
    for progression in integration.progressions.lms.where("user_id", user.id):
        if progression.course_revision_id == revision.id and progression.status in _LIVE:
            return _progression(integration, progression.id, "the user is already enrolled")
    if revision.status == "INACTIVE":
        raise Refused(400, "REMOTE.INPUT_INVALID", "the course is closed to new enrollments")
    made = integration.enroll(user.id, revision.id, ours=True)
    world.enrollments.append(Enrollment(integration.id, made.id, user.id, revision.id))
    return _progression(integration, made.id)


@action(COMPLETE)
async def complete(request: Request) -> Response:
    """Completing again (undocumented) overwrites; every call is remembered in `World.completions`."""
    integration: Integration = request.state.integration
    world: World = request.state.world
    body = await read_body(request, _Complete)
    progression = find(integration.progressions, request.path_params["progression_id"])
    completed_at = _date(body.completed_at) or world.clock()
    done = {"status": "COMPLETED", "completed_at": completed_at, "score": body.score}
    integration.patch(integration.progressions, progression.id, ours=True, **done)
    world.completions.append(Completion(integration.id, progression.id, completed_at, body.score))
    return _progression(integration, progression.id)


@action(DEACTIVATE)
async def deactivate(request: Request) -> Response:
    """Every revision becomes INACTIVE."""
    integration: Integration = request.state.integration
    await read_body(request, Nothing)
    course = find(integration.courses, request.path_params["course_id"])
    for revision in _revisions(integration, course):
        integration.patch(integration.revisions, revision.id, ours=True, status="INACTIVE")
    closed = [_latest(integration, integration.revisions, each) for each in _revisions(integration, course)]
    seen = _latest(integration, integration.courses, course)
    return success(objects.course(integration, seen, closed), warnings=[])


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


def _revisions(integration: Integration, course: Course) -> list[Revision]:
    return list(integration.revisions.lms.where("course_id", course.id))


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
