"""Pushing courses: a task that stays pending for a while, and then has a fate for each item.

Kombo publishes no limit on the items of one task, nor how long a task is remembered; here there is none, and for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator.answers import Refused, error_object, invalid, success, when
from bridge.simulator.capabilities import UPSERT
from bridge.simulator.integration import Integration, Task
from bridge.simulator.records import Course, Revision, kombo_id
from bridge.simulator.world import World
from bridge.simulator.writes import action, read_body

Filled = Annotated[str, Meta(min_length=1)]


class _External(msgspec.Struct):
    type: Literal["EXTERNAL"]
    title: Filled
    course_url: Filled
    description: str | None = None
    thumbnail_url: str | None = None
    duration: Annotated[int, Meta(gt=0)] | None = None
    languages: list[Annotated[str, Meta(pattern="^[a-z]{2,3}(-[A-Z]{2})?$")]] | None = None


class _Item(msgspec.Struct):
    origin_id: Filled
    course: _External


class _Push(msgspec.Struct):
    items: list[_Item]


@action(UPSERT)
async def push(request: Request) -> Response:
    """Start a task. An empty list is undocumented; here it is an error."""
    integration: Integration = request.state.integration
    world: World = request.state.world
    body = await read_body(request, _Push)
    if not body.items:
        raise invalid("items is empty")
    id = kombo_id("task", str(len(integration.tasks)), integration.id)
    integration.tasks[id] = Task(id, msgspec.to_builtins(body.items), world.clock())
    return success({"task_id": id}, warnings=[])


async def show(request: Request) -> Response:
    """How far a task has come."""
    integration: Integration = request.state.integration
    task = integration.tasks.get(request.path_params["task_id"])
    if task is None:
        raise Refused(404, "PLATFORM.INPUT_INVALID", "no such task")
    times = {"created_at": when(task.created_at), "completed_at": when(task.completed_at)}
    if task.error is not None:
        return success({"task_id": task.id, "status": "FAILED", **times, "error": task.error})
    if task.data is not None:
        return success({"task_id": task.id, "status": "COMPLETED", **times, "data": task.data})
    return success({"task_id": task.id, "status": "PENDING", **times})


def finish_due(world: World, integration: Integration) -> None:
    """Carry out the tasks whose time has come; nobody has to poll for it."""
    now = world.clock()
    for task in integration.tasks.values():
        pending = timedelta(seconds=world.task_delay + world.item_delay * len(task.items))
        if task.completed_at or now - task.created_at < pending:
            continue
        task.completed_at = now
        if world.failing_task:
            task.error = error_object(world.failing_task, "the task failed as a whole")
        else:
            size = max(1, world.batch_size)
            batches = [task.items[start : start + size] for start in range(0, len(task.items), size)]
            task.data = [fate for batch in batches for fate in _fates(world, integration, batch)]


def _fates(world: World, integration: Integration, batch: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the tool does in one call succeeds or fails together."""
    codes = {item["origin_id"]: _refusal(world, integration, item["origin_id"]) for item in batch}
    shared = next((code for code in codes.values() if code), None)
    for item in batch:
        origin_id = item["origin_id"]
        if shared:
            error = error_object(codes[origin_id] or shared, "the LMS refused the course")
            yield {"origin_id": origin_id, "status": "FAILED", "error": error}
        else:
            course = _upsert(integration, origin_id, item["course"])
            yield {"origin_id": origin_id, "status": "SUCCEEDED", "data": {"id": course.id}}


def _refusal(world: World, integration: Integration, origin_id: str) -> str | None:
    if not integration.course_updates and _course(integration, origin_id):
        return "LMS.COURSE_UPDATE_NOT_SUPPORTED"
    return world.failing_items.get(origin_id)


def _course(integration: Integration, origin_id: str) -> Course | None:
    return next(integration.courses.lms.where("origin_id", origin_id), None)


def _upsert(integration: Integration, origin_id: str, details: dict[str, Any]) -> Course:
    """The origin id is the key; an update changes the newest revision in place. Of one id twice, the later counts."""
    shown = {name: details[name] for name in ("title", "description", "course_url")}
    shown["languages"] = details["languages"] and tuple(details["languages"])
    if course := _course(integration, origin_id):
        *_, newest = integration.revisions.lms.where("course_id", course.id)
        integration.patch(integration.revisions, newest.id, ours=True, status="ACTIVE", **shown)
        return course
    remote_id = f"ext-{origin_id}"
    course = Course(id=kombo_id(remote_id, integration.id), remote_id=remote_id, origin_id=origin_id)
    first = f"{remote_id}@1"
    revision = Revision(id=kombo_id(first, integration.id), remote_id=first, course_id=course.id, **shown)
    integration.put(course, ours=True)
    integration.put(revision, ours=True)
    return course
