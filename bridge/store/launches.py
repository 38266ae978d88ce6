"""Launches as rows: one for each that got as far as a verified answer, with every step's outcome.

What happened is readable as it stands; what the IdP said of a person is sealed under the deployment's `secrets`, and
goes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, delete, func, select, true, update

from bridge.store import funnel, tables
from bridge.store.engine import delete_some, insert_new

SIGNED_IN = "signed_in"
"""The outcome of a launch whose learner has signed in and not asked for a page yet."""
FORWARDED = funnel.FORWARDED
"""The outcome of one that the platform has answered."""
FAILED = "failed"
"""No outcome, but in a `Filter` any refusal's code."""
MOST_STEPS = 32_768
"""Characters of steps beyond which only the last is still added: a page looks again by itself, for hours."""

ROW = tables.launches.c


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch. Moments are milliseconds since 1970; `began_at` is when its login began, or the answer came unasked.

    `outcome` is a refusal's code, `signed_in` or `forwarded`; `http_status` what the platform answered with, or the
    bridge in its place. Where a learner was refused a page and let in later, `steps` has both. `steps` is JSON, of
    `bridge.launches.trail`; `seen` what the IdP said of the person, sealed, and None where it has been forgotten.
    `course` is an origin id, `path` where the learner was going, without its query.
    """

    id: str
    reference: str
    tenant: str
    integration_id: str
    provider: str
    found: str
    began_at: int
    outcome: str
    steps: str
    path: str
    finished_at: int | None = None
    reason: str | None = None
    check: str | None = None
    tier: str | None = None
    user_id: str | None = None
    course: str | None = None
    enrollment: str | None = None
    gate: str | None = None
    http_status: int | None = None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """How a launch that had got as far as a session went on; `steps` are further ones, as JSON without brackets."""

    id: str
    finished_at: int
    outcome: str
    steps: str
    reason: str | None = None
    course: str | None = None
    enrollment: str | None = None
    gate: str | None = None
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which launches: all that fit every condition that is given. Moments in milliseconds; `until` is not within.

    `outcome` is one of a `Launch`, or `FAILED`.
    """

    tenant: str | None = None
    outcome: str | None = None
    since: int | None = None
    until: int | None = None

    def condition(self, tenant: Column[str], outcome: Column[str], moment: Column[int]) -> ColumnElement[bool]:
        """The same of a table, by its columns."""
        fits: ColumnElement[bool] = true()
        if self.tenant is not None:
            fits &= tenant == self.tenant
        if self.outcome == FAILED:
            fits &= outcome.not_in((SIGNED_IN, FORWARDED))
        elif self.outcome is not None:
            fits &= outcome == self.outcome
        if self.since is not None:
            fits &= moment >= self.since
        if self.until is not None:
            fits &= moment < self.until
        return fits


def add(connection: Connection, launch: Launch) -> bool:
    """False where it is there already, as whoever wrote it has not heard so."""
    return insert_new(connection, tables.launches, asdict(launch))


def finish(connection: Connection, finished: Finish) -> Sequence[str]:
    """Say how a launch went on; what is new of that, for the funnel.

    A refusal is not the end of it: whoever comes back for the same page may be let in, or be refused otherwise. That
    the platform has answered is.
    """
    launch = connection.execute(select(tables.launches).where(ROW.id == finished.id).with_for_update()).one_or_none()
    if launch is None or launch.outcome == FORWARDED:
        _told(connection, finished.id, None)
        return ()
    if launch.outcome != SIGNED_IN and (launch.course != finished.course or launch.outcome == finished.outcome):
        return ()
    values = {name: value for name, value in asdict(finished).items() if name not in ("id", "steps")}
    if len(launch.steps) < MOST_STEPS or finished.outcome == FORWARDED:
        values["steps"] = f"{launch.steps[:-1]}, {finished.steps}]"
    connection.execute(update(tables.launches).where(ROW.id == finished.id).values(values))
    _told(connection, finished.id, None if finished.outcome == FORWARDED else finished.course or "")
    gate = ["gate", f"{funnel.BY_VERDICT}{finished.gate}"] if finished.gate and not launch.gate else []
    return (*gate, finished.outcome)


def recent(connection: Connection, which: Filter, limit: int) -> Sequence[Launch]:
    """The latest first."""
    return _launches(connection, which.condition(ROW.tenant, ROW.outcome, ROW.began_at), limit)


def of_reference(connection: Connection, reference: str) -> Sequence[Launch]:
    """Those that were given a reference, the latest first: after millions of launches it may be more than one."""
    return _launches(connection, ROW.reference == reference, 10)


def last_good_of(connection: Connection, tenants: Iterable[str]) -> Mapping[str, int]:
    """By tenant: when its latest launch began that the platform answered.

    Of a few tenants, each by one look into an index, however many launches there are.
    """
    found = {}
    for tenant in tenants:
        latest = select(func.max(ROW.began_at)).where(ROW.outcome == FORWARDED, ROW.tenant == tenant)
        if (at := connection.execute(latest).scalar()) is not None:
            found[tenant] = at
    return found


def forget_person(connection: Connection, tenant: str, user_id: str) -> int:
    """Delete every launch of one person; how many they were."""
    return connection.execute(delete(tables.launches).where(ROW.tenant == tenant, ROW.user_id == user_id)).rowcount


def sweep(connection: Connection, before: int, limit: int) -> int:
    """Delete launches that began before a moment, at most `limit`; how many they were."""
    return delete_some(connection, tables.launches, ROW.began_at < before, limit)


def sweep_seen(connection: Connection, before: int, limit: int) -> int:
    """Forget what was seen of launches that began before a moment, at most `limit`; of how many."""
    old = select(ROW.id).where(ROW.began_at < before, ROW.seen.is_not(None)).limit(limit)
    return connection.execute(update(tables.launches).where(ROW.id.in_(old)).values(seen=None)).rowcount


def _told(connection: Connection, id: str, awaits: str | None) -> None:
    """What the launch's session knows of it: which page it still waits for; with None, that it is over."""
    values = {"launch": None, "awaits": None} if awaits is None else {"awaits": awaits}
    connection.execute(update(tables.sessions).where(tables.sessions.c.launch == id).values(values))


def _launches(connection: Connection, condition: ColumnElement[bool], limit: int) -> Sequence[Launch]:
    rows: Any = connection.execute(
        select(tables.launches).where(condition).order_by(ROW.began_at.desc(), ROW.id).limit(limit)
    )
    return [Launch(**row._mapping) for row in rows]
