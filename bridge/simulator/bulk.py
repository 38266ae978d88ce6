"""Pushing courses: a task that stays pending for a while, and then has a fate for each item."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator.answers import Refused, error_object, invalid, success, when
from bridge.simulator.records import Course, Revision, kombo_id
from bridge.simulator.world import Integration, Task, World
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


@action
async def push(request: Request) -> Response:
    """Start a task. An empty list is undocumented; here it is an error."""
    integration: Integration = request.state.integration
    world: World = request.state.world
    body = await read_body(request, _Push)
    if not body.items:
        raise invalid("items is empty")
    now = world.clock()
    task = Task(
        id=kombo_id("task", str(len(integration.tasks)), integration.id),
        items=msgspec.to_builtins(body.items),
        created_at=now,
        done_at=now + timedelta(seconds=world.task_delay),
    )
    integration.tasks[task.id] = task
    return success({"task_id": task.id}, warnings=[])


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
    """Carry out the tasks whose time has come; called before every request, for nobody has to poll."""
    now = world.clock()
    for task in integration.tasks.values():
        if task.completed_at or task.done_at > now:
            continue
        task.completed_at = now
        if world.failing_task:
            task.error = error_object(world.failing_task, "the task failed as a whole")
        else:
            task.data = [_fate(world, integration, item) for item in task.items]


def _fate(world: World, integration: Integration, item: dict[str, Any]) -> dict[str, Any]:
    origin_id = item["origin_id"]
    code = world.failing_items.get(origin_id)
    if code:
        return {"origin_id": origin_id, "status": "FAILED", "error": error_object(code, "the LMS refused the course")}
    course = _upsert(integration, origin_id, item["course"])
    return {"origin_id": origin_id, "status": "SUCCEEDED", "data": {"id": course.id}}


def _upsert(integration: Integration, origin_id: str, details: dict[str, Any]) -> Course:
    """The origin id is the key; an update changes the newest revision in place."""
    shown = {name: details[name] for name in ("title", "description", "course_url")}
    course = next((course for course in integration.courses.lms.values() if course.origin_id == origin_id), None)
    if course:
        revisions = [each for each in integration.revisions.lms.values() if each.course_id == course.id]
        integration.patch(integration.revisions, revisions[-1].id, status="ACTIVE", **shown)
        return course
    remote_id = f"ext-{origin_id}"
    course = Course(id=kombo_id(remote_id, integration.id), remote_id=remote_id, origin_id=origin_id)
    first = f"{remote_id}@1"
    integration.put(course)
    integration.put(Revision(id=kombo_id(first, integration.id), remote_id=first, course_id=course.id, **shown))
    return course
