"""One tenant: its funnel by day, its refusals and latest launches, how late its data is, which addresses moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection

from bridge.admin import pictures
from bridge.admin.glances import CODES, Glance, ends_of, glance_of, refusals
from bridge.admin.launches import Shown, shown
from bridge.checkup.snapshot import Snapshot, day_of, take
from bridge.gate.misses import RECENT
from bridge.launches import history
from bridge.settings.model import Configuration
from bridge.store import drifts, funnel, launches, misses
from bridge.store.drifts import Drift
from bridge.store.launches import Filter
from bridge.store.misses import LAGS, Kind, Miss

DAYS = 14
STEPS = ("asked", "signed_in", "matched", "gate", "forwarded")
LAUNCHES = 25
DRIFTS = 12


@dataclass(frozen=True, slots=True)
class Kept:
    """What the state has of one tenant, beside what it has of all."""

    snapshot: Snapshot
    funnel: Mapping[tuple[str, str], int]
    launches: Sequence[history.Record]
    last_good: int | None
    misses: Sequence[Miss]
    drifts: Sequence[Drift]


def keep(connection: Connection, slug: str, now: int) -> Kept:
    """All of it in one transaction; no list is longer than what is shown of it."""
    return Kept(
        take(connection, now),
        funnel.of_tenant(connection, slug, day_of(now, DAYS - 1)),
        history.recent(connection, Filter(tenant=slug), LAUNCHES),
        launches.last_good_of(connection, [slug]).get(slug),
        misses.recent(connection, slug, LAGS),
        drifts.recent(connection, slug, DRIFTS),
    )


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the funnel; `counts` are those of `STEPS`, `refused` all refusals."""

    day: str
    counts: tuple[int, ...]
    refused: int


@dataclass(frozen=True)
class Story:
    """One tenant's page. `glance` is its line among all."""

    glance: Glance
    kept: Kept

    @classmethod
    def of(cls, configuration: Configuration, slug: str, kept: Kept) -> Story:
        ends = ends_of(configuration, kept.snapshot)
        return cls(glance_of(configuration, slug, kept.snapshot, ends), kept)

    @cached_property
    def ages(self) -> pictures.Ages | None:
        return pictures.ages(self.glance.tenant, self.kept.snapshot) if self.glance.tenant else None

    @cached_property
    def delays(self) -> pictures.Delays:
        return pictures.delays(self.kept.misses, self.kept.snapshot.now, RECENT.days)

    @cached_property
    def missed(self) -> Mapping[Kind, int]:
        """Of the latest refusals for want of an enrollment: how many became what."""
        return Counter(miss.kind for miss in self.kept.misses)

    @cached_property
    def days(self) -> Sequence[Day]:
        """The latest first."""
        return [self._day(day_of(self.kept.snapshot.now, ago)) for ago in range(DAYS)]

    @cached_property
    def total(self) -> Day:
        counts = (sum(each) for each in zip(*(day.counts for day in self.days), strict=True))
        return Day("", tuple(counts), sum(day.refused for day in self.days))

    @cached_property
    def most(self) -> int:
        """What the widest bar stands for."""
        return max((max(*day.counts, day.refused) for day in self.days), default=0) or 1

    @cached_property
    def refused(self) -> Sequence[tuple[str, int, int]]:
        """By code: how often today, and in all of these days; the most first."""
        today, summed = day_of(self.kept.snapshot.now), dict[tuple[str, str], int]()
        for (_, what), many in self.kept.funnel.items():
            summed["", what] = summed.get(("", what), 0) + many
        return [(code, self.kept.funnel.get((today, code), 0), many) for code, many in refusals(summed).get("", ())]

    @cached_property
    def launches(self) -> Sequence[Shown]:
        return [shown(record) for record in self.kept.launches]

    def _day(self, day: str) -> Day:
        counted = self.kept.funnel
        refused = sum(counted.get((day, code), 0) for code in CODES)
        return Day(day, tuple(counted.get((day, step), 0) for step in STEPS), refused)
