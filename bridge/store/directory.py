"""Writing the local copy of Kombo's users, courses and progressions.

A row is replaced only by one whose `changed_at` is not older, so a live answer that overtook a sync is not undone by
it. Deletion is concluded only by `complete`: what a whole pass did not show no longer exists. A sync is as old as its
beginning (`as_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Table, delete, update

from bridge.kombo.model import Course, Progression, User
from bridge.store import tables
from bridge.store.engine import moment_ms, upsert

Model = Literal["users", "courses", "progressions"]
TABLES: dict[Model, Table] = {
    "users": tables.users,
    "courses": tables.courses,
    "progressions": tables.progressions,
}


def fold(email: str) -> str:
    """An address as it is compared: ASCII case ignored, nothing else (the contract, section 3)."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in email)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else moment_ms(moment)


def save_users(connection: Connection, integration_id: str, users: Iterable[User], seen_at: int) -> None:
    _save(connection, tables.users, integration_id, [_user(user) for user in users], seen_at)


def save_courses(connection: Connection, integration_id: str, courses: Sequence[Course], seen_at: int) -> None:
    """Courses with their revisions, by which a progression that names no course finds its own."""
    _save(connection, tables.courses, integration_id, [_course(course) for course in courses], seen_at)
    revisions = {revision.id: course.id for course in courses for revision in course.revisions}
    upsert(
        connection,
        tables.revisions,
        [
            {"integration_id": integration_id, "id": revision, "course_id": course, "seen_at": seen_at}
            for revision, course in revisions.items()
        ],
    )


def save_progressions(connection: Connection, integration_id: str, rows: Iterable[Progression], seen_at: int) -> None:
    _save(connection, tables.progressions, integration_id, [_progression(row) for row in rows], seen_at)


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "remote_id": user.remote_id,
        "email": user.work_email,
        "email_folded": fold(user.work_email) if user.work_email else None,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "status": user.status,
        "changed_at": _ms(user.changed_at),
        "deleted_at": _ms(user.remote_deleted_at),
    }


def _course(course: Course) -> dict[str, Any]:
    return {
        "id": course.id,
        "origin_id": course.origin_id,
        "changed_at": _ms(course.changed_at),
        "deleted_at": _ms(course.remote_deleted_at),
    }


def _progression(row: Progression) -> dict[str, Any]:
    return {
        "id": row.id,
        "user_id": row.user_id,
        "revision_id": row.course_revision_id,
        "course_id": row.course_id,
        "status": row.status,
        "changed_at": _ms(row.changed_at),
        "deleted_at": _ms(row.remote_deleted_at),
    }


def _save(connection: Connection, table: Table, integration_id: str, rows: list[dict[str, Any]], seen_at: int) -> None:
    common = {"integration_id": integration_id, "seen_at": seen_at}
    newest: dict[str, dict[str, Any]] = {}
    for row in rows:
        known = newest.get(row["id"])
        if known is None or row["changed_at"] >= known["changed_at"]:
            newest[row["id"]] = row | common
    upsert(connection, table, list(newest.values()), newest_by="changed_at")
    same = (table.c.integration_id == integration_id) & table.c.id.in_(newest)
    connection.execute(update(table).where(same, table.c.seen_at < seen_at).values(seen_at=seen_at))


def begin(connection: Connection, integration_id: str, model: Model, started_at: int) -> None:
    """Note that a full pass over a model has begun; the last completed one stays on record."""
    same = (tables.syncs.c.integration_id == integration_id) & (tables.syncs.c.model == model)
    if not connection.execute(update(tables.syncs).where(same).values(started_at=started_at)).rowcount:
        row = {"integration_id": integration_id, "model": model, "started_at": started_at}
        upsert(connection, tables.syncs, [row | {"finished_at": None, "as_of": None}])


def finish(connection: Connection, integration_id: str, model: Model, started_at: int) -> None:
    """A pass has come to its end, though perhaps not everything in it could be read."""
    same = (tables.syncs.c.integration_id == integration_id) & (tables.syncs.c.model == model)
    connection.execute(update(tables.syncs).where(same).values(finished_at=started_at))


def complete(connection: Connection, integration_id: str, model: Model, started_at: int) -> int:
    """A full pass has seen everything: drop what it did not show. Returns how many rows that were."""
    table = TABLES[model]
    gone = connection.execute(
        delete(table).where(table.c.integration_id == integration_id, table.c.seen_at < started_at)
    ).rowcount
    if model == "courses":
        old = (tables.revisions.c.integration_id == integration_id) & (tables.revisions.c.seen_at < started_at)
        connection.execute(delete(tables.revisions).where(old))
    same = (tables.syncs.c.integration_id == integration_id) & (tables.syncs.c.model == model)
    connection.execute(update(tables.syncs).where(same).values(finished_at=started_at, as_of=started_at))
    return gone
