"""How many got how far, by tenant and day (UTC), and since the beginning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select, true

from bridge.store import tables
from bridge.store.engine import delete_some, upsert

FORWARDED = "forwarded"
STEPS = ("asked", "signed_in", "matched", "gate", FORWARDED)
"""Sent to the IdP, came back with a verified answer, is known to Kombo, may see the course, was answered by the
platform. A launch of no course has no gate; one that the IdP began was not asked."""
EVER = ""
"""The day of what is counted since the beginning, and never falls."""

BY_TIER = "matched by "
"""What precedes the identifier's tier, in what is counted of those who matched beside all of them (`matched`)."""
BY_VERDICT = "gate "
"""What precedes the gate's verdict (`library`, `fresh`, `stale`), beside all whom it let in (`gate`)."""

ROW = tables.funnel.c
Counts = Mapping[tuple[str, str, str], int]
"""By tenant, day (`2026-11-22`, or `EVER`) and what was counted."""


def count(connection: Connection, further: Counts) -> None:
    """Add to what has been counted, for the days and since the beginning."""
    ever: dict[tuple[str, str, str], int] = {}
    for (tenant, _, what), many in further.items():
        ever[tenant, EVER, what] = ever.get((tenant, EVER, what), 0) + many
    rows = [
        {"tenant": tenant, "day": day, "what": what, "many": many}
        for (tenant, day, what), many in sorted((*further.items(), *ever.items()))
    ]
    upsert(connection, tables.funnel, rows, merged=lambda fresh: {"many": ROW.many + fresh.many})


def of_tenant(connection: Connection, tenant: str, day: str) -> Mapping[tuple[str, str], int]:
    """By day and what was counted, of one tenant: the days from this one on."""
    rows = connection.execute(select(*ROW).where(ROW.tenant == tenant, ROW.day >= day))
    return {(row.day, row.what): row.many for row in rows}


def of_days(connection: Connection, days: Sequence[str], whats: Sequence[str] = ()) -> Mapping[tuple[str, str], int]:
    """By tenant and what was counted: the sum of these days, of everything or of `whats`."""
    which = ROW.day.in_(days) & (ROW.what.in_(whats) if whats else true())
    summed = select(ROW.tenant, ROW.what, func.sum(ROW.many).label("many")).where(which)
    rows = connection.execute(summed.group_by(ROW.tenant, ROW.what))
    return {(row.tenant, row.what): int(row.many) for row in rows}


def ever(connection: Connection) -> Mapping[tuple[str, str], int]:
    """By tenant and what was counted."""
    rows = connection.execute(select(*ROW).where(ROW.day == EVER))
    return {(row.tenant, row.what): row.many for row in rows}


def last_forwarded(connection: Connection) -> Mapping[str, int]:
    """By tenant: when the latest launch began, of those that are kept, which the platform answered."""
    launch = tables.launches.c
    latest = select(func.max(launch.began_at)).where(launch.outcome == FORWARDED, launch.tenant == ROW.tenant)
    at = latest.correlate(tables.funnel).scalar_subquery().label("at")
    rows = connection.execute(select(ROW.tenant, at).where(ROW.day == EVER, ROW.what == FORWARDED))
    return {row.tenant: row.at for row in rows if row.at is not None}


def sweep(connection: Connection, before: str, limit: int) -> int:
    """Delete counts of the days before this one, at most `limit`; how many they were."""
    return delete_some(connection, tables.funnel, (ROW.day < before) & (ROW.day != EVER), limit)
