"""What is to be written of launches, until it is: never more than fits, however many are refused."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from bridge.store import funnel, launches, refusals
from bridge.store.launches import Finish, Launch
from bridge.store.refusals import Refused

ROOM = 2000
"""Rows of each kind that wait while the state cannot be written; the latest."""
REFUSED_EACH = 25
"""Of a tenant's refusals, the latest since the last writing."""
REFUSED_AT_ONCE = 500
"""In all; where more wait, of each tenant fewer are written."""
TENANTS_AT_ONCE = 200


@dataclass(slots=True)
class Waiting:
    """Gathered in one process. `finished` has each with its tenant's slug."""

    launches: deque[Launch] = field(default_factory=lambda: deque(maxlen=ROOM))
    finished: deque[tuple[str, Finish]] = field(default_factory=lambda: deque(maxlen=ROOM))
    refused: dict[str, deque[Refused]] = field(default_factory=dict)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.launches or self.finished or self.refused or self.counts)

    def count(self, slug: str, what: str) -> None:
        """One more, today."""
        self.counts[slug, _today(), what] += 1

    def ring(self, refused: Refused) -> None:
        ring = self.refused.get(refused.tenant)
        if ring is None:
            if len(self.refused) >= TENANTS_AT_ONCE:
                return
            ring = self.refused[refused.tenant] = deque(maxlen=REFUSED_EACH)
        ring.append(refused)

    def add(self, later: Waiting) -> None:
        """What has come to wait since."""
        self.launches.extend(later.launches)
        self.finished.extend(later.finished)
        self.counts.update(later.counts)
        for refused in later.refused.values():
            for each in refused:
                self.ring(each)

    def write(self, connection: Connection, size: int) -> None:
        """All of it; `size` is that of a tenant's ring. Nothing here changes: it may have to be done again."""
        counts = Counter(self.counts)
        for launch in self.launches:
            launches.add(connection, launch)
        for slug, finish in self.finished:
            counts.update((slug, _today(), what) for what in launches.finish(connection, finish))
        for slug, refused in self._latest_refused():
            refusals.note(connection, slug, refused, size)
        funnel.count(connection, counts)

    def _latest_refused(self) -> Iterator[tuple[str, list[Refused]]]:
        """By tenant, in the order in which everybody locks them."""
        each = max(1, REFUSED_AT_ONCE // max(1, len(self.refused)))
        return ((slug, list(refused)[-each:]) for slug, refused in sorted(self.refused.items()))


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
