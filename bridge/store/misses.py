"""Refusals for enrollment as rows: open until the progression appears, or until it should have.

An open miss is called by whose it is (`_name`), so that there is one; what has become of it gives it a name of its own,
so that a later refusal is another miss.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, delete, func, select, true, tuple_, update

from bridge.digests import digest_of
from bridge.store import tables
from bridge.store.engine import insert_new

Kind = Literal["open", "sync_delay", "unauthorized"]
LAGS = 200
"""How many of a tenant's latest sync delays say how long one usually takes."""

ROW = tables.misses.c


@dataclass(frozen=True, slots=True)
class Miss:
    """One learner's refusals for one course, `times` of them, counted once a minute; moments in milliseconds.

    `reference` is that of the refusal counted last. `lag_ms` is known of a sync delay: how long after the refusal,
    or after the enrollment where that came later, the progression was visible.
    """

    id: str
    tenant: str
    integration_id: str
    user_id: str
    course: str
    reference: str
    first_at: int
    last_at: int
    times: int
    kind: Kind
    settled_at: int | None
    lag_ms: int | None


def note(
    connection: Connection, tenant: str, integration_id: str, user_id: str, course: str, reference: str, moment: int
) -> None:
    """Remember a refusal: a new open miss, or once more the one that there is."""
    name = _name(tenant, integration_id, user_id, course)
    row = {
        "id": name,
        "tenant": tenant,
        "integration_id": integration_id,
        "user_id": user_id,
        "course": course,
        "reference": reference,
        "first_at": moment,
        "last_at": moment,
        "times": 1,
        "kind": "open",
    }
    if not insert_new(connection, tables.misses, row):
        again = {"last_at": moment, "times": ROW.times + 1, "reference": reference}
        connection.execute(update(tables.misses).where(ROW.id == name).values(again))


def open_of(connection: Connection, tenant: str, integration_id: str, user_id: str, course: str) -> Miss | None:
    """The open miss of one learner and course."""
    found = _misses(connection, ROW.id == _name(tenant, integration_id, user_id, course), 1)
    return found[0] if found else None


def still_open(connection: Connection, integration_id: str, after: Miss | None, limit: int) -> Sequence[Miss]:
    """The next of an integration's open misses, by learner; begins anew without `after`."""
    key = (ROW.user_id, ROW.id)
    rest = tuple_(*key) > (after.user_id, after.id) if after else true()
    return _misses(connection, (ROW.integration_id == integration_id) & (ROW.kind == "open") & rest, limit, *key)


def settle(connection: Connection, miss: Miss, kind: Kind, moment: int, lag_ms: int | None = None) -> bool:
    """Say what an open miss was; False where somebody else has."""
    settled = {"id": secrets.token_hex(16), "kind": kind, "settled_at": moment, "lag_ms": lag_ms}
    return connection.execute(update(tables.misses).where(ROW.id == miss.id).values(settled)).rowcount == 1


def forget_person(connection: Connection, tenant: str, user_id: str) -> int:
    """Delete every miss of one person; how many they were."""
    return connection.execute(delete(tables.misses).where(ROW.tenant == tenant, ROW.user_id == user_id)).rowcount


def sweep(connection: Connection, names: Sequence[str]) -> None:
    connection.execute(delete(tables.misses).where(ROW.id.in_(names)))


def older_than(connection: Connection, moment: int, limit: int) -> Sequence[str]:
    """Names of some whose last refusal was before then."""
    return connection.execute(select(ROW.id).where(ROW.last_at < moment).limit(limit)).scalars().all()


def recent(connection: Connection, tenant: str | None, limit: int) -> Sequence[Miss]:
    """The latest first, of one tenant or all."""
    return _misses(connection, true() if tenant is None else ROW.tenant == tenant, limit, ROW.first_at.desc(), ROW.id)


def of_person(connection: Connection, tenant: str, user_id: str, course: str, limit: int) -> Sequence[Miss]:
    """The latest first, of one learner and course."""
    whose = (ROW.tenant == tenant) & (ROW.user_id == user_id) & (ROW.course == course)
    return _misses(connection, whose, limit, ROW.first_at.desc(), ROW.id)


def lags(connection: Connection, tenant: str, since: int) -> Sequence[int]:
    """How long the tenant's latest sync delays took, in milliseconds, shortest first."""
    rows = connection.execute(
        select(ROW.lag_ms)
        .where(ROW.tenant == tenant, ROW.first_at >= since, ROW.kind == "sync_delay")
        .order_by(ROW.first_at.desc())
        .limit(LAGS)
    )
    return sorted(rows.scalars())


def every_lag(connection: Connection, since: int) -> Mapping[str, Sequence[int]]:
    """The same of every tenant, however many they are, with those that were settled since then."""
    found: dict[str, list[int]] = {}
    rows = connection.execute(
        select(ROW.tenant, ROW.lag_ms).where(ROW.kind == "sync_delay", ROW.settled_at >= since).order_by(ROW.lag_ms)
    )
    for row in rows:
        found.setdefault(row.tenant, []).append(row.lag_ms)
    return found


def counts(connection: Connection, since: int) -> Mapping[tuple[str, Kind], int]:
    """By tenant and kind: how many were refused since then."""
    rows = connection.execute(
        select(ROW.tenant, ROW.kind, func.count().label("many"))
        .where(ROW.last_at >= since)
        .group_by(ROW.tenant, ROW.kind)
    )
    return {(row.tenant, row.kind): row.many for row in rows}


def _misses(
    connection: Connection, condition: ColumnElement[bool], limit: int, *order: ColumnElement[object]
) -> Sequence[Miss]:
    rows = connection.execute(select(tables.misses).where(condition).order_by(*order).limit(limit))
    return [Miss(**row._mapping) for row in rows]


def _name(tenant: str, integration_id: str, user_id: str, course: str) -> str:
    """By tenant as well: two of them may share an integration, and neither's references are the other's to read."""
    return digest_of(tenant, integration_id, user_id, course)[:32]
