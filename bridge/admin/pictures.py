"""Where things lie in the pictures, in percent of their width and height.

Ages and delays reach from seconds to days, so their scales are logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.checkup.snapshot import Snapshot
from bridge.directory.freshness import MISSED_SYNCS, Freshness, freshness
from bridge.gate.misses import FEWEST, quantile
from bridge.settings.model import Tenant
from bridge.store.engine import length_ms
from bridge.store.misses import Miss
from bridge.store.rows import MODELS
from bridge.store.syncs import Progress

MINUTE_MS = 60_000
DAY_MS = 86_400_000
LONGEST_DELAY_MS = 2 * DAY_MS


@dataclass(frozen=True, slots=True)
class Age:
    """How old something is: `at` on the scale; None of what was never read."""

    name: str
    ms: int | None
    at: float
    fresh: Freshness
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Ages:
    """The scale ends beyond `stale_for`; the marks lie on it."""

    rows: Sequence[Age]
    every_ms: int
    fresh_ms: int
    stale_ms: int
    every_at: float
    fresh_at: float
    stale_at: float


@dataclass(frozen=True, slots=True)
class Delays:
    """Each sync delay by when the learner was refused and how long it took; `half` and `most` are quantiles in ms."""

    points: Sequence[tuple[float, float]]
    half_ms: int
    most_ms: int
    half_at: float
    most_at: float
    days: int

    @property
    def few(self) -> bool:
        return len(self.points) < FEWEST


def ages(tenant: Tenant, snapshot: Snapshot) -> Ages:
    """Of each model, and of what Kombo itself has."""
    every, stale = length_ms(tenant.kombo.sync_every), length_ms(tenant.kombo.stale_for)
    fresh = MISSED_SYNCS * every
    end = max(stale, fresh) * 2
    passes, known = snapshot.passes.get(tenant.integration_id, {}), snapshot.ages(tenant.integration_id)

    def age(name: str, moment: int | None, progress: Progress | None = None) -> Age:
        ms = None if not moment else max(snapshot.now - moment, 0)
        return Age(name, ms, _on_scale(end if ms is None else ms, end), freshness(tenant, moment or 0), progress)

    rows = [age(model, known.read_at.get(model), passes.get(model)) for model in MODELS]
    rows.append(age("Kombo itself", known.good_at))
    return Ages(rows, every, fresh, stale, _on_scale(every, end), _on_scale(fresh, end), _on_scale(stale, end))


def delays(misses: Sequence[Miss], now: int, days: int) -> Delays:
    """Of those that were sync delays, in the last so many days."""
    since = now - days * DAY_MS
    late = [miss for miss in misses if miss.lag_ms is not None and miss.first_at >= since]
    lags = sorted(miss.lag_ms or 0 for miss in late)
    half, most = quantile(lags, 0.5), quantile(lags, 0.9)
    return Delays(
        [(round(100 * (miss.first_at - since) / (now - since), 2), _height(miss.lag_ms or 0)) for miss in late],
        half,
        most,
        _height(half),
        _height(most),
        days,
    )


def _height(lag_ms: int) -> float:
    """From the top of a picture."""
    return round(100 - _on_scale(lag_ms, LONGEST_DELAY_MS), 2)


def _on_scale(ms: int, end: int) -> float:
    return round(100 * min(math.log1p(max(ms, 0) / MINUTE_MS) / math.log1p(end / MINUTE_MS), 1), 2)
