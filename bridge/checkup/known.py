"""What the state says of the tenants that are looked at, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bridge.checkup.snapshot import WEEK_DAYS, Snapshot, day_of, take
from bridge.store import courses, funnel, launches, misses
from bridge.store.misses import Kind

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Known:
    """`week` counts by tenant and what was counted in the funnel, `misses` by tenant and what became of them since.

    `pushed` are the integrations into which courses were pushed, `last_good` when each tenant's latest launch began
    that the platform answered, in milliseconds since 1970.
    """

    snapshot: Snapshot
    last_good: Mapping[str, int] = field(default_factory=dict)
    week: Mapping[tuple[str, str], int] = field(default_factory=dict)
    misses: Mapping[tuple[str, Kind], int] = field(default_factory=dict)
    pushed: frozenset[str] = frozenset()


def known(connection: Connection, slugs: Collection[str], now: int) -> Known:
    days = [day_of(now, ago) for ago in range(WEEK_DAYS)]
    return Known(
        take(connection, now),
        last_good=launches.last_good_of(connection, slugs),
        week=funnel.of_days(connection, days),
        misses=misses.counts(connection, now - WEEK_DAYS * DAY_MS),
        pushed=courses.pushed_into(connection),
    )
