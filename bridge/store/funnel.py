"""How many got how far, by tenant and day (UTC), and since the beginning."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from bridge.store import tables
from bridge.store.engine import upsert

EVER = ""
"""The day of what is counted since the beginning, and never falls."""

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


def since(connection: Connection, day: str) -> Counts:
    """The days from this one on."""
    rows = connection.execute(select(*ROW).where(ROW.day >= day, ROW.day != EVER))
    return {(row.tenant, row.day, row.what): row.many for row in rows}


def ever(connection: Connection) -> Mapping[tuple[str, str], int]:
    """By tenant and what was counted."""
    rows = connection.execute(select(*ROW).where(ROW.day == EVER))
    return {(row.tenant, row.what): row.many for row in rows}


def sweep(connection: Connection, before: str) -> None:
    """Forget the days before this one."""
    connection.execute(delete(tables.funnel).where(ROW.day < before, ROW.day != EVER))
