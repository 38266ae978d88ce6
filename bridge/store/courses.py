"""What was pushed to Kombo and what came of it, and the course map that it leaves behind.

A push is known by its origin id. It is `sending` from before the request until Kombo has named a task (one that is
still `sending` later was cut off, and nobody knows whether Kombo took it), then `pending` until the task has ended,
then `done` or `failed`; `closed` where the course was deactivated since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, delete, select, tuple_, update

from bridge.store import syncs, tables
from bridge.store.engine import now_ms, upsert

State = Literal["sending", "pending", "done", "failed", "closed"]
Source = Literal["push", "import"]
AT_ONCE = 500
"""Values in one `IN (…)`: both databases take more, and plan worse."""

PUSH, MAP, COURSE = tables.pushes.c, tables.course_map.c, tables.courses.c


@dataclass(frozen=True, slots=True)
class Push:
    """One course as it was last pushed; `digest` is that of what was sent, `code` and `message` are Kombo's.

    `course_id` is what Kombo last said, whatever became of the pushes since. `changed_at` is in milliseconds.
    """

    origin_id: str
    digest: str
    title: str
    state: State
    changed_at: int
    task_id: str | None = None
    course_id: str | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one pushed course: its Kombo id, or why there is none."""

    course_id: str | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """Which origin id a course already has, and who says so."""

    origin_id: str
    source: Source | Literal["kombo"]

    def __str__(self) -> str:
        who = {"kombo": "Kombo", "push": "an earlier push", "import": "an import of the course map"}[self.source]
        return f"{who} says that its origin id is {self.origin_id}"


def pushes(connection: Connection, integration_id: str) -> dict[str, Push]:
    """The last push of each course, by origin id."""
    columns = [column for column in tables.pushes.columns if column is not PUSH.integration_id]
    rows = connection.execute(select(*columns).where(PUSH.integration_id == integration_id))
    return {row.origin_id: Push(**row._mapping) for row in rows}


def pushed_into(connection: Connection) -> frozenset[str]:
    """The integrations into which anything was ever pushed."""
    return frozenset(connection.execute(select(PUSH.integration_id).distinct()).scalars())


def tasks(connection: Connection, integration_id: str) -> dict[str, frozenset[str]]:
    """The origin ids of each task that has not ended, as far as is known here; the oldest task first."""
    rows = connection.execute(
        select(PUSH.task_id, PUSH.origin_id)
        .where(PUSH.integration_id == integration_id, PUSH.state == "pending")
        .order_by(PUSH.changed_at, PUSH.task_id)
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.task_id, set()).add(row.origin_id)
    return {task: frozenset(origin_ids) for task, origin_ids in found.items()}


def begin(connection: Connection, integration_id: str, sent: Sequence[Push]) -> None:
    """Note what is about to be sent, before it is. A course id that is known of earlier stays."""
    known = _by_origin(connection, integration_id, [push.origin_id for push in sent])
    upsert(
        connection,
        tables.pushes,
        [
            {
                "integration_id": integration_id,
                "origin_id": push.origin_id,
                "digest": push.digest,
                "title": push.title,
                "state": "sending",
                "task_id": None,
                "course_id": known.get(push.origin_id),
                "code": None,
                "message": None,
                "changed_at": now_ms(),
            }
            for push in sent
        ],
    )


def started(connection: Connection, integration_id: str, sent: Iterable[Push], task_id: str) -> None:
    """Kombo has taken what was sent, as this task."""
    _leave_sending(connection, integration_id, sent, state="pending", task_id=task_id)


def refused(connection: Connection, integration_id: str, sent: Iterable[Push], fate: Fate) -> None:
    """Kombo took nothing of what was sent."""
    _leave_sending(connection, integration_id, sent, state="failed", code=fate.code, message=fate.message)


def settle(connection: Connection, integration_id: str, task_id: str, fates: Mapping[str, Fate]) -> None:
    """A task has ended. A course whose Kombo id contradicts what is known of it has failed, and is not mapped.

    Of the others Kombo names no revision, without which nobody can be enrolled: the courses are wanted soon.
    """
    named = {fate.course_id: origin_id for origin_id, fate in fates.items() if fate.course_id}
    against = claims(connection, integration_id, named)
    moment, mapped = now_ms(), {}
    for origin_id, fate in fates.items():
        if fate.course_id and (claim := against.get(fate.course_id)):
            message = f"Kombo says that its course is {fate.course_id}, but {claim}"
            changes: dict[str, Any] = {"state": "failed", "code": None, "message": message}
        elif fate.course_id:
            mapped[fate.course_id] = origin_id
            changes = {"state": "done", "course_id": fate.course_id, "code": None, "message": None}
        else:
            changes = {"state": "failed", "code": fate.code or None, "message": fate.message}
        this = (PUSH.origin_id == origin_id) & (PUSH.state == "pending") & (PUSH.task_id == task_id)
        _change(connection, integration_id, this, changed_at=moment, **changes)
    map_courses(connection, integration_id, mapped, "push")
    if mapped:
        syncs.want(connection, integration_id, {"courses"}, moment)


def close(connection: Connection, integration_id: str, origin_id: str) -> None:
    """The course was deactivated: whatever its last push was, the next one is news."""
    _change(connection, integration_id, PUSH.origin_id == origin_id, state="closed", changed_at=now_ms())


def claims(connection: Connection, integration_id: str, named: Mapping[str, str]) -> dict[str, Claim]:
    """Of courses with the origin ids that they are to have: those that have another one, by course id.

    Kombo's own word comes before the map's.
    """
    found: dict[str, Claim] = {}
    for some in _some(named):
        mapped = select(MAP.course_id, MAP.origin_id, MAP.source).where(MAP.course_id.in_(some))
        own = select(COURSE.id, COURSE.origin_id).where(COURSE.id.in_(some), COURSE.origin_id != "")
        by_map = connection.execute(mapped.where(MAP.integration_id == integration_id))
        found |= {row.course_id: Claim(row.origin_id, row.source) for row in by_map}
        by_kombo = connection.execute(own.where(COURSE.integration_id == integration_id))
        found |= {row.id: Claim(row.origin_id, "kombo") for row in by_kombo}
    return {course_id: claim for course_id, claim in found.items() if claim.origin_id != named[course_id]}


def map_courses(connection: Connection, integration_id: str, named: Mapping[str, str], source: Source) -> None:
    """Put courses on the map: origin ids by course id.

    An import that says what is there already changes nothing: what a push said stays when imports are forgotten.
    """
    common = {"integration_id": integration_id, "source": source, "noted_at": now_ms()}
    rows = [{"course_id": course_id, "origin_id": origin_id} | common for course_id, origin_id in named.items()]
    upsert(
        connection,
        tables.course_map,
        rows,
        only=lambda fresh: (fresh.source == "push") | (fresh.origin_id != MAP.origin_id),
    )


def forget_imports(connection: Connection, integration_id: str) -> int:
    """Take off the map what imports put there; how many courses that were."""
    imported = (MAP.integration_id == integration_id) & (MAP.source == "import")
    return connection.execute(delete(tables.course_map).where(imported)).rowcount


def known_origins(connection: Connection, integration_id: str) -> set[str]:
    """The origin ids that some course has had, by Kombo's word, by the map or by a push."""
    columns = ((COURSE.origin_id, COURSE), (MAP.origin_id, MAP))
    found = {
        origin_id
        for column, table in columns
        for origin_id in connection.scalars(select(column).where(table.integration_id == integration_id))
    }
    pushed = select(PUSH.origin_id).where(PUSH.integration_id == integration_id, PUSH.course_id.is_not(None))
    return (found | set(connection.scalars(pushed))) - {None, ""}


def existing(connection: Connection, integration_id: str, course_ids: Iterable[str]) -> set[str]:
    """Those of the courses that Kombo shows."""
    found: set[str] = set()
    for some in _some(course_ids):
        there = select(COURSE.id).where(COURSE.id.in_(some), COURSE.deleted_at.is_(None))
        found.update(connection.scalars(there.where(COURSE.integration_id == integration_id)))
    return found


def by_remote_id(connection: Connection, integration_id: str, remote_ids: Iterable[str]) -> dict[str, list[str]]:
    """The courses that Kombo shows under each LMS-side id."""
    found: dict[str, list[str]] = {}
    for some in _some(remote_ids):
        there = select(COURSE.remote_id, COURSE.id).where(COURSE.remote_id.in_(some), COURSE.deleted_at.is_(None))
        for row in connection.execute(there.where(COURSE.integration_id == integration_id)):
            found.setdefault(row.remote_id, []).append(row.id)
    return found


def _by_origin(connection: Connection, integration_id: str, origin_ids: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(
        select(PUSH.origin_id, PUSH.course_id).where(
            PUSH.integration_id == integration_id, PUSH.origin_id.in_(origin_ids)
        )
    )
    return {row.origin_id: row.course_id for row in rows}


def _leave_sending(connection: Connection, integration_id: str, sent: Iterable[Push], **changes: Any) -> None:
    """Only for what is still as it was sent: somebody else may have sent another version meanwhile."""
    same = tuple_(PUSH.origin_id, PUSH.digest).in_([(push.origin_id, push.digest) for push in sent])
    _change(connection, integration_id, same & (PUSH.state == "sending"), changed_at=now_ms(), **changes)


def _change(connection: Connection, integration_id: str, which: ColumnElement[bool], **changes: Any) -> None:
    connection.execute(update(tables.pushes).where(PUSH.integration_id == integration_id, which).values(**changes))


def _some(values: Iterable[str]) -> Iterable[list[str]]:
    everything = list(values)
    return (everything[start : start + AT_ONCE] for start in range(0, len(everything), AT_ONCE))
