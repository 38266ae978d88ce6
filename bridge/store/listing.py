"""The courses of one integration as an operator wants to see them: directory, map and pushes side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Connection, func, select

from bridge.store import courses, tables
from bridge.store.courses import COURSE, MAP, Push

Status = Literal["active", "inactive", "deleted", "not seen yet"]


@dataclass(frozen=True, slots=True)
class Listed:
    """One course of Kombo's, or one that was pushed or mapped and that Kombo does not show (`not seen yet`).

    `named_by` says who gave it its origin id: Kombo itself, or the map by a `push` or an `import`.
    """

    origin_id: str | None
    course_id: str | None
    status: Status
    remote_id: str | None = None
    title: str | None = None
    revisions: int = 0
    named_by: str | None = None
    push: Push | None = None


@dataclass(slots=True)
class _Revisions:
    """What the revisions of one course come to; the title is the newest one's."""

    count: int = 0
    closed: int = 0
    title: str | None = None


def listing(connection: Connection, integration_id: str, *, everything: bool = False) -> list[Listed]:
    """Every course that has an origin id or was pushed, ordered by it; with `everything` also the LMS's others."""
    pushed = courses.pushes(connection, integration_id)
    mapped = _mapped(connection, integration_id)
    rows = list(_shown(connection, integration_id, mapped))
    met = {row.course_id for row in rows}
    rows += [
        Listed(origin_id, course_id, "not seen yet", named_by=source)
        for course_id, (origin_id, source) in mapped.items()
        if course_id not in met
    ]
    named = {row.origin_id for row in rows}
    rows += [
        Listed(origin_id, push.course_id, "not seen yet")
        for origin_id, push in pushed.items()
        if origin_id not in named
    ]
    found = [_with_push(row, pushed) for row in rows if row.origin_id or (everything and row.status != "deleted")]
    return sorted(found, key=lambda row: (row.origin_id is None, row.origin_id or "", row.course_id or ""))


def _shown(connection: Connection, integration_id: str, mapped: Mapping[str, tuple[str, str]]) -> Iterator[Listed]:
    revisions = _revisions(connection, integration_id)
    of = select(COURSE.id, COURSE.origin_id, COURSE.remote_id, COURSE.deleted_at)
    for row in connection.execute(of.where(COURSE.integration_id == integration_id)):
        known = revisions.get(row.id, _Revisions())
        origin_id, named_by = (row.origin_id, "kombo") if row.origin_id else mapped.get(row.id, (None, None))
        yield Listed(
            origin_id, row.id, _status(row.deleted_at, known), row.remote_id, known.title, known.count, named_by
        )


def _with_push(row: Listed, pushed: Mapping[str, Push]) -> Listed:
    push = pushed.get(row.origin_id or "")
    return replace(row, push=push, title=row.title or push.title) if push else row


def _status(deleted_at: int | None, revisions: _Revisions) -> Status:
    if deleted_at is not None:
        return "deleted"
    return "inactive" if revisions.count and revisions.closed == revisions.count else "active"


def _mapped(connection: Connection, integration_id: str) -> dict[str, tuple[str, str]]:
    rows = connection.execute(
        select(MAP.course_id, MAP.origin_id, MAP.source).where(MAP.integration_id == integration_id)
    )
    return {row.course_id: (row.origin_id, row.source) for row in rows}


def _revisions(connection: Connection, integration_id: str) -> dict[str, _Revisions]:
    revision = tables.revisions.c
    rows = connection.execute(
        select(revision.course_id, revision.status, revision.title)
        .where(revision.integration_id == integration_id)
        .order_by(func.coalesce(revision.changed_at, 0))
    )
    found: dict[str, _Revisions] = {}
    for row in rows:
        known = found.setdefault(row.course_id, _Revisions())
        known.count += 1
        known.closed += row.status == "INACTIVE"
        known.title = row.title or known.title
    return found
