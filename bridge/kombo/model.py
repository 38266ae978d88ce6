"""What the bridge reads of Kombo's objects: only the keys that are used, so that a new one is no outage.

Every field that Kombo documents as nullable is optional here, and `status` is an open string: a value that we do not
know opens nothing. Ids are unique per model only (a user and a course may share one). Times are ISO 8601 in UTC.

Every string is bounded and free of NUL, which PostgreSQL cannot store: one odd row is then unreadable by itself,
instead of failing whatever batch it would have been written in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

_NO_NUL = r"\A[^\0]*\Z"

MAX_ID = 512
"""Longest id, remote id or address that is read or asked for, in characters."""

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID, pattern=_NO_NUL)]
Word = Annotated[str, Meta(max_length=64, pattern=_NO_NUL)]
Line = Annotated[str, Meta(max_length=MAX_ID, pattern=_NO_NUL)]
Text = Annotated[str, Meta(max_length=4096, pattern=_NO_NUL)]
Time = Annotated[datetime, Meta(tz=True)]


class User(msgspec.Struct, frozen=True):
    """`GET /lms/users`. A null `status` is active; one with `remote_deleted_at` does not exist any more."""

    id: Id
    remote_id: Id
    changed_at: Time
    first_name: Line | None = None
    last_name: Line | None = None
    work_email: Line | None = None
    status: Word | None = None
    remote_deleted_at: Time | None = None


class Revision(msgspec.Struct, frozen=True):
    """A version of a course; enrolment is into a revision, never into the course."""

    id: Id
    remote_id: Id
    changed_at: Time
    course_id: Id | None = None
    title: Text | None = None
    status: Word | None = None
    remote_deleted_at: Time | None = None


class Course(msgspec.Struct, frozen=True):
    """`GET /lms/courses`. `origin_id` is null where the connector does not return it."""

    id: Id
    remote_id: Id
    changed_at: Time
    origin_id: Line | None = None
    remote_deleted_at: Time | None = None
    revisions: tuple[Revision, ...] = ()


class Parent(msgspec.Struct, frozen=True):
    id: Id


class ProgressionRevision(msgspec.Struct, frozen=True):
    id: Id
    course: Parent | None = None


class Progression(msgspec.Struct, frozen=True):
    """`GET /lms/course-progressions`: one learner in one revision. A null `status` opens nothing."""

    id: Id
    user_id: Id
    course_revision_id: Id
    changed_at: Time
    status: Word | None = None
    enrolled_at: Time | None = None
    completed_at: Time | None = None
    remote_deleted_at: Time | None = None
    course_revision: ProgressionRevision | None = None

    @property
    def course_id(self) -> str | None:
        """The parent course, where Kombo says it."""
        return self.course_revision.course.id if self.course_revision and self.course_revision.course else None


class CourseItem(msgspec.Struct, frozen=True):
    """One course of `POST /lms/courses/bulk`, created or updated under its origin id. `duration` is in minutes."""

    origin_id: str
    title: str
    course_url: str
    description: str | None = None
    thumbnail_url: str | None = None
    duration: int | None = None
    languages: Sequence[str] | None = None


class Fault(msgspec.Struct, frozen=True):
    """Why a bulk task or one of its items failed, in Kombo's words, which may quote pages of an LMS's: nothing bounds
    them, because one long sentence must not make the fate of every other course unreadable.
    """

    message: str | None = None
    code: str | None = None
    title: str | None = None
    log_url: str | None = None


class CourseRef(msgspec.Struct, frozen=True):
    id: Id


class BulkItem(msgspec.Struct, frozen=True):
    """The fate of one course of a push: `SUCCEEDED` with `data`, or `FAILED` with `error`."""

    origin_id: Line
    status: Word
    data: CourseRef | None = None
    error: Fault | None = None


class BulkTask(msgspec.Struct, frozen=True):
    """`GET /lms/courses/bulk/{task_id}`. `COMPLETED` says nothing about the items; `FAILED`: nothing was processed."""

    task_id: Id
    status: Word
    data: tuple[BulkItem, ...] | None = None
    error: Fault | None = None


class Tool(msgspec.Struct, frozen=True):
    id: Line
    label: Line = ""


class Customer(msgspec.Struct, frozen=True):
    """The `end_user` of an integration; `origin_id` is what the connection was made with."""

    organization_name: Line = ""
    origin_id: Line | None = None


class Capability(msgspec.Struct, frozen=True):
    """A model that can be read (`lms_users`), one of its `fields`, or an action that can be taken."""

    id: Line
    is_available: bool = False
    fields: tuple[Capability, ...] = ()


class Integration(msgspec.Struct, frozen=True):
    """`GET /integrations/{id}`. A non-null `data_expired_at`: the configuration changed since the last good sync."""

    id: Id
    status: Word
    setup_status: Word | None = None
    tool: Tool | None = None
    end_user: Customer | None = None
    data_expired_at: Time | None = None
    read_models: tuple[Capability, ...] = ()
    write_actions: tuple[Capability, ...] = ()
