"""Launches as rows: one for each that got as far as a verified answer, with every step's outcome.

What happened is readable as it stands; what the IdP said of a person is sealed under the deployment's `secrets`, and
goes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, true, update

from bridge.store import tables

SIGNED_IN = "signed_in"
"""The outcome of a launch whose learner has signed in and not asked for a page yet."""
FORWARDED = "forwarded"
"""The outcome of one that the platform has answered."""

ROW = tables.launches.c


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch. Moments are milliseconds since 1970; `began_at` is when its login began, or the answer came unasked.

    `outcome` is a refusal's code, `signed_in` or `forwarded`; `http_status` what the platform answered with. `steps` is
    JSON, of `bridge.launches.trail`; `seen` what the IdP said of the person, sealed, and None where it has been
    forgotten. `course` is an origin id, `path` where the learner was going, without its query.
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
    """How a launch that had got as far as a session went on; `steps` are the rest of them, as JSON without brackets."""

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
    """Which launches: all that fit every condition that is given. Moments in milliseconds; `until` is not within."""

    tenant: str | None = None
    outcome: str | None = None
    since: int | None = None
    until: int | None = None

    def condition(self) -> ColumnElement[bool]:
        fits: ColumnElement[bool] = true()
        if self.tenant is not None:
            fits &= ROW.tenant == self.tenant
        if self.outcome is not None:
            fits &= ROW.outcome == self.outcome
        if self.since is not None:
            fits &= ROW.began_at >= self.since
        if self.until is not None:
            fits &= ROW.began_at < self.until
        return fits


def add(connection: Connection, launch: Launch) -> None:
    connection.execute(insert(tables.launches), asdict(launch))


def finish(connection: Connection, finished: Finish) -> None:
    """Say how a launch went on; the first to say so counts."""
    values = {name: value for name, value in asdict(finished).items() if name not in ("id", "steps")}
    values["steps"] = func.substr(ROW.steps, 1, func.length(ROW.steps) - 1) + f", {finished.steps}]"
    own = (ROW.id == finished.id) & ROW.finished_at.is_(None)
    connection.execute(update(tables.launches).where(own).values(values))
    connection.execute(update(tables.sessions).where(tables.sessions.c.launch == finished.id).values(launch=None))


def recent(connection: Connection, which: Filter, limit: int) -> Sequence[Launch]:
    """The latest first."""
    return _launches(connection, which.condition(), limit)


def of_reference(connection: Connection, reference: str) -> Sequence[Launch]:
    """Those that were given a reference, the latest first: after millions of launches it may be more than one."""
    return _launches(connection, ROW.reference == reference, 10)


def last_good(connection: Connection) -> Mapping[str, int]:
    """By tenant: when the latest launch began that the platform answered."""
    rows = connection.execute(
        select(ROW.tenant, func.max(ROW.began_at).label("at")).where(ROW.outcome == FORWARDED).group_by(ROW.tenant)
    )
    return {row.tenant: row.at for row in rows}


def outcomes(connection: Connection, since: int) -> Mapping[tuple[str, str], int]:
    """By tenant and outcome: how many launches began since then."""
    rows = connection.execute(
        select(ROW.tenant, ROW.outcome, func.count().label("many"))
        .where(ROW.began_at >= since)
        .group_by(ROW.tenant, ROW.outcome)
    )
    return {(row.tenant, row.outcome): row.many for row in rows}


def forget_person(connection: Connection, tenant: str, user_id: str) -> int:
    """Delete every launch of one person; how many they were."""
    return connection.execute(delete(tables.launches).where(ROW.tenant == tenant, ROW.user_id == user_id)).rowcount


def sweep(connection: Connection, before: int, seen_before: int) -> None:
    """Delete the launches that began before a moment, and of those before another what was seen."""
    connection.execute(delete(tables.launches).where(ROW.began_at < before))
    old = (ROW.began_at < seen_before) & ROW.seen.is_not(None)
    connection.execute(update(tables.launches).where(old).values(seen=None))


def _launches(connection: Connection, condition: ColumnElement[bool], limit: int) -> Sequence[Launch]:
    rows: Any = connection.execute(
        select(tables.launches).where(condition).order_by(ROW.began_at.desc(), ROW.id).limit(limit)
    )
    return [Launch(**row._mapping) for row in rows]
