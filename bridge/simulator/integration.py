"""One customer's LMS, and Kombo's copy of it."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import msgspec

from bridge.simulator.answers import when
from bridge.simulator.fields import CustomField, IntegrationField
from bridge.simulator.records import Course, Progression, Provider, Record, Revision, Skill, User, kombo_id
from bridge.simulator.table import Table

R = TypeVar("R", bound=Record)
Clock = Callable[[], datetime]
SyncType = Literal["FULL", "DELTA"]
Outcome = Literal["SUCCEEDED", "PARTIALLY_FAILED", "FAILED", "AUTHENTICATION_FAILED", "CANCELLED", "TIMED_OUT"]
Status = Literal["ACTIVE", "INVALID", "INACTIVE"]
SetupStatus = Literal["INCOMPLETE", "FINAL_SYNC_PENDING", "COMPLETED"]
QaStatus = Literal["PENDING", "FAILED", "PASSED"]

PATIENCE = timedelta(days=3)
"""How long authentication has to fail at every sync before Kombo calls an integration INVALID."""

WEBHOOK_NAMES = {
    "users": "lms_users",
    "providers": "lms_course_providers",
    "skills": "lms_skills",
    "courses": "lms_courses",
    "revisions": "lms_course_revisions",
    "progressions": "lms_course_progressions",
}


def utc_now() -> datetime:
    """The time in Kombo's precision."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass
class Task:
    """A bulk push; once it is `completed_at`, `data` or `error` say how it went."""

    id: str
    items: list[dict[str, Any]]
    created_at: datetime
    completed_at: datetime | None = None
    data: list[dict[str, Any]] | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Sync:
    """Kombo reading the LMS."""

    id: str
    type: SyncType
    started_at: datetime
    ends_at: datetime


def _users() -> Table[User]:
    return Table(User, {"work_email": lambda user: user.work_email and user.work_email.lower()})


def _courses() -> Table[Course]:
    return Table(Course, {"origin_id": lambda course: course.origin_id})


def _revisions() -> Table[Revision]:
    return Table(Revision, {"course_id": lambda revision: revision.course_id})


def _progressions() -> Table[Progression]:
    return Table(
        Progression,
        {"user_id": lambda one: one.user_id, "course_revision_id": lambda one: one.course_revision_id},
    )


@dataclass
class Integration:
    """One customer's LMS and Kombo's copy of it.

    With `lag`, a change in the LMS shows only after the next sync, as in life; without, at once, as if each were a sync
    of its own. `writes_lag` says the same of what is written through the API (None: like `lag`), for when a write shows
    is documented nowhere. `changed_at_behind` is by how many seconds `changed_at` lies before the moment at which a row
    begins to show. `outcome` is how syncs end.

    `refusal` (HTTP status and code) is what every LMS call gets, such as `(403, "INTEGRATION.PERMISSION_MISSING")`.
    Whether an integration that is not ACTIVE still answers reads is documented nowhere: it does, with what Kombo has,
    unless `refuse_reads`. `unsupported` names filters that the connector does not know. `course_updates` says whether
    the tool lets pushed courses be changed.
    """

    id: str
    organization: str
    origin_id: str | None = None
    creator_email: str | None = None
    clock: Clock = utc_now
    emit: Callable[[str, dict[str, Any]], None] = lambda kind, data: None
    status: Status = "ACTIVE"
    setup_status: SetupStatus = "COMPLETED"
    qa_status: QaStatus = "PASSED"
    data_expired_at: datetime | None = None
    lag: bool = False
    writes_lag: bool | None = None
    changed_at_behind: float = 0.0
    delta_supported: bool = True
    outcome: Outcome = "SUCCEEDED"
    refusal: tuple[int, str] | None = None
    refuse_reads: bool = False
    unsupported: frozenset[str] = frozenset()
    disabled_actions: frozenset[str] = frozenset()
    nested_changes_count: bool = False
    course_updates: bool = True
    concurrency_limit: int = 30
    in_flight: int = 0
    tasks: dict[str, Task] = field(default_factory=dict)
    running: Sync | None = None
    synced_at: datetime | None = None
    synced: SyncType = "DELTA"
    failing_since: datetime | None = None
    changed: set[str] = field(default_factory=set)
    users: Table[User] = field(default_factory=_users)
    providers: Table[Provider] = field(default_factory=lambda: Table(Provider, {}))
    skills: Table[Skill] = field(default_factory=lambda: Table(Skill, {}))
    courses: Table[Course] = field(default_factory=_courses)
    revisions: Table[Revision] = field(default_factory=_revisions)
    progressions: Table[Progression] = field(default_factory=_progressions)
    integration_fields: list[IntegrationField] = field(default_factory=list)
    custom_fields: list[CustomField] = field(default_factory=list)

    @property
    def tool(self) -> str:
        return self.id.partition(":")[0]

    @property
    def end_user(self) -> dict[str, Any]:
        return {
            "organization_name": self.organization,
            "creator_email": self.creator_email,
            "origin_id": self.origin_id,
        }

    @property
    def tables(self) -> dict[str, Table[Any]]:
        return {name: getattr(self, name) for name in WEBHOOK_NAMES}

    def put(self, record: R, *, ours: bool = False) -> R:
        """Add or replace a record on the LMS side; `ours` where it was written through the API."""
        name = next(name for name, table in self.tables.items() if table.kind is type(record))
        if isinstance(record, Revision):
            before = self.revisions.lms.get(record.id)
            if (before.skills if before else None) != record.skills:
                self.changed.add("lms_join_revisions_skills")
        self.tables[name].lms[record.id] = record
        self._show(name, record.id, ours)
        return record

    def patch(self, table: Table[R], id: str, *, ours: bool = False, **changes: Any) -> R:
        """Change some fields of a record on the LMS side."""
        return self.put(msgspec.structs.replace(table.lms[id], **changes), ours=ours)

    def remove(self, table: Table[R], id: str) -> None:
        """Take a record out of the LMS; Kombo marks it deleted when it notices."""
        del table.lms[id]
        self._show(next(name for name, each in self.tables.items() if each is table), id, ours=False)

    def enroll(self, user_id: str, revision_id: str, *, ours: bool = False, **details: Any) -> Progression:
        """A new progression, whoever caused it; its remote id is made of the user's, the revision's and a number."""
        user, revision = self.users.lms[user_id], self.revisions.lms[revision_id]
        for number in itertools.count(1):
            remote_id = f"{user.remote_id}:{revision.remote_id}:{number}"
            id = kombo_id(remote_id, self.id)
            if id not in self.progressions.lms and id not in self.progressions.seen:
                break
        record = Progression(
            id=id,
            remote_id=remote_id,
            user_id=user_id,
            course_revision_id=revision_id,
            **{"enrolled_at": self.clock(), **details},
        )
        return self.put(record, ours=ours)

    def rescope(self, model: str, *, enabled: bool | None = None, without: Collection[str] | None = None) -> None:
        """Change what the scope configuration lets Kombo read; it shows after the next sync."""
        table = self.tables[model]
        changes: dict[str, Any] = {} if enabled is None else {"enabled": enabled}
        changes |= {} if without is None else {"without": frozenset(without)}
        table.scope = replace(table.scope, **changes)
        self.data_expired_at = self.clock()

    def change(
        self, *, status: Status | None = None, setup: SetupStatus | None = None, qa: QaStatus | None = None
    ) -> None:
        """Change its state, and tell. Syncing stops where it is not ACTIVE any more."""
        before = self.status, self.setup_status, self.qa_status
        self.status, self.setup_status = status or self.status, setup or self.setup_status
        self.qa_status = qa or self.qa_status
        if (self.status, self.setup_status, self.qa_status) == before:
            return
        if self.status == "ACTIVE":
            self.failing_since = None
        elif self.running:
            self.finish("CANCELLED")
        self.emit(
            "integration-state-changed",
            {
                **self._named,
                "end_user": self.end_user,
                "qa_status": self.qa_status,
                "setup_status": self.setup_status,
                "state": self.status,
                "updated_at": when(self.clock()),
            },
        )

    def sync(self, *, full: bool = True, outcome: Outcome | None = None) -> None:
        """Let Kombo read the LMS, at once, and end any sync that is running before."""
        self.finish()
        now = self.clock()
        self.running = Sync(_sync_id(), "FULL" if full else "DELTA", now, now)
        self.finish(outcome)

    def begin(self, type: SyncType, seconds: float = 0.0) -> Sync:
        """Start a sync, unless one is running already: there is one at a time. Of no length, it is over at once."""
        if self.running:
            return self.running
        now = self.clock()
        type = type if self.delta_supported else "FULL"
        sync = Sync(_sync_id(), type, now, now + timedelta(seconds=seconds))
        self.running = sync
        if not seconds:
            self.finish()
        return sync

    def finish(self, outcome: Outcome | None = None) -> None:
        """End the running sync. Only now does Kombo's copy change, where it could read."""
        sync, now = self.running, self.clock()
        if sync is None:
            return
        stopped: dict[Status, Outcome] = {"INVALID": "AUTHENTICATION_FAILED", "INACTIVE": "CANCELLED"}
        outcome = outcome or stopped.get(self.status, self.outcome)
        self.running, self.synced_at, self.synced = None, now, sync.type
        if outcome in ("SUCCEEDED", "PARTIALLY_FAILED"):
            self._read(full=sync.type == "FULL", partly=outcome == "PARTIALLY_FAILED")
        self.tell_changes()
        seconds = int((now - sync.started_at).total_seconds())
        self.emit(
            "sync-finished",
            {
                "sync_id": sync.id,
                "sync_state": outcome,
                "sync_started_at": when(sync.started_at),
                "sync_ended_at": when(now),
                "sync_duration_seconds": seconds,
                **self._named,
                "end_user": self.end_user,
                "log_url": f"https://app.kombo.example/logs/{sync.id}",
            },
        )
        self._judge(outcome, now)

    def tell_changes(self) -> None:
        """Say which models have changed since this was last said."""
        if self.changed:
            self.emit(
                "data-changed", {**self._named, "changed_models": [{"name": name} for name in sorted(self.changed)]}
            )
            self.changed.clear()

    @property
    def _named(self) -> dict[str, Any]:
        return {"integration_id": self.id, "integration_tool": self.tool, "integration_category": "LMS"}

    def _read(self, *, full: bool, partly: bool) -> None:
        """What a sync that failed in part has read is documented nowhere; here everything but the progressions."""
        for name, table in self.tables.items():
            if not (partly and name == "progressions") and table.sync(self._noticed, full=full):
                self.changed.add(WEBHOOK_NAMES[name])
        if not partly:
            self.data_expired_at = None

    def _judge(self, outcome: Outcome, now: datetime) -> None:
        if outcome == "AUTHENTICATION_FAILED":
            self.failing_since = self.failing_since or now
            if now - self.failing_since >= PATIENCE and self.status == "ACTIVE":
                self.change(status="INVALID")
        elif outcome in ("SUCCEEDED", "PARTIALLY_FAILED"):
            self.failing_since = None
            if self.setup_status == "FINAL_SYNC_PENDING":
                self.change(setup="COMPLETED")

    @property
    def _noticed(self) -> datetime:
        return self.clock() - timedelta(seconds=self.changed_at_behind)

    def _show(self, name: str, id: str, ours: bool) -> None:
        lag = self.lag if self.writes_lag is None or not ours else self.writes_lag
        if not lag and self.tables[name].refresh(id, self._noticed):
            self.changed.add(WEBHOOK_NAMES[name])


def _sync_id() -> str:
    return kombo_id("sync", secrets.token_hex())
