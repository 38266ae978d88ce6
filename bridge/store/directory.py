"""Writing the local copy of Kombo's users, courses and progressions, row by row as Kombo shows them.

`seen_at` is when Kombo was asked for what is written, in milliseconds: an answer is as old as its question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bridge.kombo.model import Course, Progression, Revision, User
from bridge.store import people, rows, tables
from bridge.store.engine import moment_ms
from bridge.store.people import fold
from bridge.store.rows import Model, Row

__all__ = ["Model", "fold", "save_courses", "save_page", "save_progressions", "save_users"]


def save_users(connection: Connection, integration_id: str, users: Iterable[User], seen_at: int) -> None:
    """What Kombo answered about somebody: it counts at once."""
    people.save(connection, integration_id, users, seen_at, hold=False)


def save_courses(
    connection: Connection, integration_id: str, courses: Sequence[Course], seen_at: int, *, in_turn: bool = False
) -> None:
    """Courses with their revisions, by which a progression that names no course finds its own."""
    in_ = rows.number(connection, integration_id, "courses")
    rows.save(connection, tables.courses, integration_id, map(_course, courses), seen_at, in_, in_turn=in_turn)
    revisions = [_revision(course, revision) for course in courses for revision in course.revisions]
    rows.save(connection, tables.revisions, integration_id, revisions, seen_at, in_, in_turn=in_turn)


def save_progressions(
    connection: Connection, integration_id: str, found: Iterable[Progression], seen_at: int, *, in_turn: bool = False
) -> None:
    in_ = rows.number(connection, integration_id, "progressions")
    rows.save(connection, tables.progressions, integration_id, map(_progression, found), seen_at, in_, in_turn=in_turn)


def save_page(connection: Connection, integration_id: str, model: Model, page: Sequence[Any], seen_at: int) -> None:
    """What a sync shows. Of people, what would delete, deactivate or blank an active one waits for its end."""
    if model == "users":
        people.save(connection, integration_id, page, seen_at, hold=True)
    elif model == "courses":
        save_courses(connection, integration_id, page, seen_at, in_turn=True)
    else:
        save_progressions(connection, integration_id, page, seen_at, in_turn=True)


def newest_change(page: Iterable[User | Course | Progression]) -> int | None:
    """The latest `changed_at` of a page, in milliseconds."""
    return max((moment_ms(row.changed_at) for row in page), default=None)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else moment_ms(moment)


def _course(course: Course) -> Row:
    return {
        "id": course.id,
        "remote_id": course.remote_id,
        "origin_id": course.origin_id,
        "changed_at": _ms(course.changed_at),
        "deleted_at": _ms(course.remote_deleted_at),
    }


def _revision(course: Course, revision: Revision) -> Row:
    """A deleted one is kept as INACTIVE: progressions in it still find their course, and nobody is enrolled in it."""
    return {
        "id": revision.id,
        "course_id": course.id,
        "status": "INACTIVE" if revision.remote_deleted_at else revision.status,
        "title": revision.title,
        "changed_at": _ms(revision.changed_at),
    }


def _progression(row: Progression) -> Row:
    return {
        "id": row.id,
        "user_id": row.user_id,
        "revision_id": row.course_revision_id,
        "course_id": row.course_id,
        "status": row.status,
        "enrolled_at": _ms(row.enrolled_at),
        "changed_at": _ms(row.changed_at),
        "deleted_at": _ms(row.remote_deleted_at),
    }
