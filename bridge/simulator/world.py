"""One Kombo environment: its key, its integrations, and everything that a test or the demo may turn while it runs."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from bridge.simulator.records import Course, Progression, Record, Revision, User, kombo_id
from bridge.simulator.table import Table

R = TypeVar("R", bound=Record)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time in Kombo's precision."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass
class Task:
    """A bulk push. It is `done` at a moment, and `data` or `error` say then how it went."""

    id: str
    items: list[dict[str, Any]]
    created_at: datetime
    done_at: datetime
    completed_at: datetime | None = None
    data: list[dict[str, Any]] | None = None
    error: dict[str, Any] | None = None


@dataclass
class Integration:
    """One customer's LMS and Kombo's copy of it.

    With `lag`, a change shows only after the next sync, as in life; without, at once. `refusal` (HTTP status and code)
    is what every LMS call gets, such as `(403, "INTEGRATION.PERMISSION_MISSING")`. `unsupported` names filters that the
    connector does not know.
    """

    id: str
    organization: str
    origin_id: str | None = None
    clock: Clock = utc_now
    status: str = "ACTIVE"
    setup_status: str = "COMPLETED"
    data_expired_at: datetime | None = None
    lag: bool = False
    refusal: tuple[int, str] | None = None
    unsupported: frozenset[str] = frozenset()
    in_flight: int = 0
    tasks: dict[str, Task] = field(default_factory=dict)
    users: Table[User] = field(default_factory=lambda: Table(User))
    courses: Table[Course] = field(default_factory=lambda: Table(Course))
    revisions: Table[Revision] = field(default_factory=lambda: Table(Revision))
    progressions: Table[Progression] = field(default_factory=lambda: Table(Progression))

    @property
    def tool(self) -> str:
        return self.id.partition(":")[0]

    @property
    def tables(self) -> dict[str, Table[Any]]:
        return {
            "users": self.users,
            "courses": self.courses,
            "revisions": self.revisions,
            "progressions": self.progressions,
        }

    def put(self, record: R) -> R:
        """Add or replace a record on the LMS side."""
        table = next(table for table in self.tables.values() if table.kind is type(record))
        table.lms[record.id] = record
        self._show(table, record.id)
        return record

    def patch(self, table: Table[R], id: str, **changes: Any) -> R:
        """Change some fields of a record on the LMS side."""
        table.lms[id] = msgspec.structs.replace(table.lms[id], **changes)
        self._show(table, id)
        return table.lms[id]

    def remove(self, table: Table[R], id: str) -> None:
        """Take a record out of the LMS; Kombo marks it deleted when it notices."""
        del table.lms[id]
        self._show(table, id)

    def sync(self, *, full: bool = True) -> None:
        """Let Kombo read the LMS."""
        now = self.clock()
        for table in self.tables.values():
            table.sync(now, full=full)

    def enroll(self, user_id: str, revision_id: str, **details: Any) -> Progression:
        """A new progression, whoever caused it; its remote id is made of the user's, the revision's and a number."""
        user, revision = self.users.lms[user_id], self.revisions.lms[revision_id]
        for number in itertools.count(1):
            remote_id = f"{user.remote_id}:{revision.remote_id}:{number}"
            id = kombo_id(remote_id, self.id)
            if id not in self.progressions.lms and id not in self.progressions.seen:
                break
        details = {"enrolled_at": self.clock(), **details}
        return self.put(
            Progression(id=id, remote_id=remote_id, user_id=user_id, course_revision_id=revision_id, **details)
        )

    def _show(self, table: Table[Any], id: str) -> None:
        if not self.lag:
            table.refresh(id, self.clock())


@dataclass(frozen=True, slots=True)
class Logged:
    """One request to the API, without its headers: they carry the key."""

    at: datetime
    method: str
    path: str
    query: str
    integration: str | None


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion that reached the LMS, so that tests can count them."""

    integration: str
    progression: str
    completed_at: datetime
    score: int | None


@dataclass
class World:
    """`action_delay` is how long a write takes, `task_delay` how long a bulk task stays pending, in seconds.

    `failing_items` gives, by origin id, the error code with which a pushed course fails; `failing_task` the one with
    which a whole task fails.
    """

    api_key: str
    environment_id: str
    integrations: dict[str, Integration] = field(default_factory=dict)
    clock: Clock = utc_now
    down: bool = False
    action_delay: float = 0.0
    task_delay: float = 1.0
    failing_items: dict[str, str] = field(default_factory=dict)
    failing_task: str | None = None
    requests: deque[Logged] = field(default_factory=lambda: deque(maxlen=10_000))
    completions: list[Completion] = field(default_factory=list)

    def add(self, integration: Integration) -> Integration:
        integration.clock = self.clock
        self.integrations[integration.id] = integration
        return integration

    def set_clock(self, clock: Clock) -> None:
        """For the environment and every integration in it."""
        self.clock = clock
        for integration in self.integrations.values():
            integration.clock = clock
