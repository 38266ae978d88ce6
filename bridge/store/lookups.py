"""Reading the local copy: people, the course map, enrollments, and how old all of it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, bindparam, func, select, true, union_all

from bridge.store import tables
from bridge.store.directory import Model, fold

PEOPLE = tables.users.c
PERSON = (
    PEOPLE.id,
    PEOPLE.remote_id,
    PEOPLE.email,
    PEOPLE.first_name,
    PEOPLE.last_name,
    PEOPLE.status,
    PEOPLE.seen_at,
)
"""What a `Person` is made of, in its order."""
MANY = 100
"""One more is read than this, so that whoever asks can tell that there are more."""
MANY_COURSES = 10


@dataclass(frozen=True, slots=True)
class Person:
    """A Kombo user as last seen, at `seen_at` (milliseconds)."""

    id: str
    remote_id: str
    email: str | None
    first_name: str | None
    last_name: str | None
    status: str | None
    seen_at: int

    @property
    def active(self) -> bool:
        """A null status is active (the contract, section 3); a value that we do not know is not."""
        return self.status in (None, "ACTIVE")

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.first_name, self.last_name) if part)


@dataclass(frozen=True, slots=True)
class Enrollment:
    """One live progression of a learner in a course; moments in milliseconds."""

    progression_id: str
    status: str
    changed_at: int
    seen_at: int
    enrolled_at: int | None = None


INTEGRATION = bindparam("integration", type_=String())
VALUE = bindparam("value", type_=String())


def _people_with(condition: ColumnElement[bool]) -> Select[Any]:
    """Living people by `integration` and `value`. Made once, as every launch asks: building it costs more than it."""
    return (
        select(*PERSON)
        .where(PEOPLE.integration_id == INTEGRATION, PEOPLE.deleted_at.is_(None), condition)
        .limit(MANY + 1)
    )


_BY_ID = _people_with(PEOPLE.id == VALUE)
_BY_REMOTE_ID = _people_with(PEOPLE.remote_id == VALUE)
_BY_EMAIL = _people_with(PEOPLE.email_folded == VALUE)


def _people(connection: Connection, statement: Select[Any], integration_id: str, value: str) -> list[Person]:
    found = connection.execute(statement, {"integration": integration_id, "value": value})
    return [Person(*row) for row in found]


def person(connection: Connection, integration_id: str, user_id: str) -> Person | None:
    """The user of that Kombo id, active or not; None where deleted or never seen."""
    found = _people(connection, _BY_ID, integration_id, user_id)
    return found[0] if found else None


def people_by_remote_id(connection: Connection, integration_id: str, remote_id: str) -> list[Person]:
    return _people(connection, _BY_REMOTE_ID, integration_id, remote_id)


def people_by_email(connection: Connection, integration_id: str, email: str) -> list[Person]:
    return _people(connection, _BY_EMAIL, integration_id, fold(email))


def remote_ids(
    connection: Connection, integration_id: str, *, start: str | None, part: str
) -> Iterator[tuple[str, str]]:
    """Pairs of Kombo id and remote id, streamed: those that begin with `start` if it is given, else contain `part`."""
    condition = _contains(connection, part) if start is None else _starts(connection, start)
    rows = connection.execution_options(yield_per=1000).execute(
        select(PEOPLE.id, PEOPLE.remote_id).where(
            PEOPLE.integration_id == integration_id, PEOPLE.deleted_at.is_(None), condition
        )
    )
    return ((row.id, row.remote_id) for row in rows)


def _starts(connection: Connection, start: str) -> ColumnElement[bool]:
    """By the index on remote ids. SQLite's `LIKE` ignores case, so there it is a range, as its text is ordered by code
    point; PostgreSQL's order is that of a language, so there it is `LIKE`, for which its index is made.
    """
    if connection.dialect.name != "sqlite":
        return PEOPLE.remote_id.startswith(start, autoescape=True)
    after = _after(start)
    return (PEOPLE.remote_id >= start) & (PEOPLE.remote_id < after if after else true())


def _after(start: str) -> str:
    """The first text, by code point, after all that begin so; empty where there is none."""
    kept = start.rstrip(chr(sys.maxunicode))
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if 0xD800 <= following < 0xE000 else following)


def _contains(connection: Connection, part: str) -> ColumnElement[bool]:
    position = func.instr if connection.dialect.name == "sqlite" else func.strpos
    return position(PEOPLE.remote_id, part) > 0


def _courses_named() -> Select[tuple[str]]:
    """Courses by `integration` and `origin`. Made once: every launch asks this, and building it costs more than it."""
    course, mapped = tables.courses.c, tables.course_map.c
    integration, origin = INTEGRATION, bindparam("origin", type_=String())
    own = select(course.id.label("id"), course.changed_at.label("moment")).where(
        course.integration_id == integration, course.origin_id == origin, course.deleted_at.is_(None)
    )
    beside = (course.integration_id == mapped.integration_id) & (course.id == mapped.course_id)
    unnamed = (func.coalesce(course.origin_id, "") == "") & course.deleted_at.is_(None)
    by_map = (
        select(mapped.course_id, func.coalesce(course.changed_at, mapped.noted_at))
        .select_from(tables.course_map.outerjoin(tables.courses, beside))
        .where(mapped.integration_id == integration, mapped.origin_id == origin, course.id.is_(None) | unnamed)
    )
    found = union_all(own, by_map).subquery()
    return select(found.c.id).order_by(found.c.moment.desc()).limit(MANY_COURSES)


_COURSES_NAMED = _courses_named()


def course_ids(connection: Connection, integration_id: str, origin_id: str) -> list[str]:
    """Kombo's courses with that origin id, the newest first. More than one only where a course was pushed anew.

    What Kombo itself says of a course counts; the course map only where it says nothing (SuccessFactors, TalentLMS),
    and for a course that it does not show yet. A course known to be deleted is none. The empty origin id is no id,
    though an LMS may give it to many.
    """
    if not origin_id:
        return []
    return list(connection.scalars(_COURSES_NAMED, {"integration": integration_id, "origin": origin_id}))


def _enrollments_in() -> Select[Any]:
    """Progressions by `integration`, `value` (the user) and `courses`; made once, as is `_courses_named`."""
    progression, revision = tables.progressions.c, tables.revisions.c
    own = (revision.integration_id == progression.integration_id) & (revision.id == progression.revision_id)
    course_id = func.coalesce(progression.course_id, revision.course_id)
    row = (progression.id, progression.status, progression.changed_at, progression.seen_at, progression.enrolled_at)
    return (
        select(*row)
        .select_from(tables.progressions.outerjoin(tables.revisions, own))
        .where(
            progression.integration_id == INTEGRATION,
            progression.user_id == VALUE,
            progression.deleted_at.is_(None),
            progression.status.is_not(None),
            course_id.in_(bindparam("courses", expanding=True, type_=String())),
        )
    )


_ENROLLMENTS_IN = _enrollments_in()


def enrollments(connection: Connection, integration_id: str, user_id: str, courses: list[str]) -> list[Enrollment]:
    """Progressions of a user in any revision of the courses, deleted ones and those without status left out."""
    asked = {"integration": integration_id, "value": user_id, "courses": courses}
    return [Enrollment(*row) for row in connection.execute(_ENROLLMENTS_IN, asked)]


def synced(connection: Connection, integration_id: str) -> Mapping[Model, int]:
    """Since when each model is known completely, in milliseconds; a model never fully read is absent."""
    sync = tables.syncs.c
    rows = connection.execute(
        select(sync.model, sync.as_of).where(sync.integration_id == integration_id, sync.as_of.is_not(None))
    )
    return {row.model: row.as_of for row in rows}
