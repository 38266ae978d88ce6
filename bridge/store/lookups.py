"""Reading the local copy: people, the course map, enrollments, and how old all of it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, Row, func, select

from bridge.store import tables
from bridge.store.directory import Model, fold

PEOPLE = tables.users.c
MANY = 100
"""One more is read than this, so that whoever asks can tell that there are more."""
MODELS: tuple[Model, ...] = get_args(Model)


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


def _person(row: Row[Any]) -> Person:
    return Person(row.id, row.remote_id, row.email, row.first_name, row.last_name, row.status, row.seen_at)


def _people(connection: Connection, integration_id: str, condition: ColumnElement[bool]) -> list[Person]:
    rows = connection.execute(
        select(tables.users)
        .where(PEOPLE.integration_id == integration_id, PEOPLE.deleted_at.is_(None), condition)
        .limit(MANY + 1)
    )
    return [_person(row) for row in rows]


def person(connection: Connection, integration_id: str, user_id: str) -> Person | None:
    """The user of that Kombo id, active or not; None where deleted or never seen."""
    found = _people(connection, integration_id, PEOPLE.id == user_id)
    return found[0] if found else None


def people_by_remote_id(connection: Connection, integration_id: str, remote_id: str) -> list[Person]:
    return _people(connection, integration_id, PEOPLE.remote_id == remote_id)


def people_by_email(connection: Connection, integration_id: str, email: str) -> list[Person]:
    return _people(connection, integration_id, PEOPLE.email_folded == fold(email))


def every_remote_id(connection: Connection, integration_id: str) -> Iterator[tuple[str, str]]:
    """Pairs of Kombo id and remote id of everybody, streamed: for composites that must be taken apart first."""
    rows = connection.execution_options(yield_per=1000).execute(
        select(PEOPLE.id, PEOPLE.remote_id).where(PEOPLE.integration_id == integration_id, PEOPLE.deleted_at.is_(None))
    )
    return ((row.id, row.remote_id) for row in rows)


def course_ids(connection: Connection, integration_id: str, origin_id: str) -> list[str]:
    """Kombo's courses with that origin id: the course map. More than one only where a course was pushed anew."""
    course = tables.courses.c
    rows = connection.execute(
        select(course.id)
        .where(course.integration_id == integration_id, course.origin_id == origin_id, course.deleted_at.is_(None))
        .order_by(course.changed_at.desc())
        .limit(10)
    )
    return [row.id for row in rows]


def enrollments(connection: Connection, integration_id: str, user_id: str, courses: list[str]) -> list[Enrollment]:
    """Progressions of a user in any revision of the courses, deleted ones and those without status left out."""
    progression, revision = tables.progressions.c, tables.revisions.c
    course_id = func.coalesce(progression.course_id, revision.course_id)
    joined = tables.progressions.outerjoin(
        tables.revisions,
        (revision.integration_id == progression.integration_id) & (revision.id == progression.revision_id),
    )
    rows = connection.execute(
        select(progression.id, progression.status, progression.changed_at, progression.seen_at)
        .select_from(joined)
        .where(
            progression.integration_id == integration_id,
            progression.user_id == user_id,
            progression.deleted_at.is_(None),
            progression.status.is_not(None),
            course_id.in_(courses),
        )
    )
    return [Enrollment(row.id, row.status, row.changed_at, row.seen_at) for row in rows]


def passed(connection: Connection, integration_id: str) -> Mapping[Model, int]:
    """When the last pass over each model that came to its end began, in milliseconds."""
    sync = tables.syncs.c
    rows = connection.execute(
        select(sync.model, sync.finished_at).where(sync.integration_id == integration_id, sync.finished_at.is_not(None))
    )
    return {row.model: row.finished_at for row in rows}


def synced(connection: Connection, integration_id: str) -> Mapping[Model, int]:
    """Since when each model is known completely, in milliseconds; a model never fully read is absent."""
    sync = tables.syncs.c
    rows = connection.execute(
        select(sync.model, sync.as_of).where(sync.integration_id == integration_id, sync.as_of.is_not(None))
    )
    return {row.model: row.as_of for row in rows}
