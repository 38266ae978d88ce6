"""Refusals for enrollment, and how long a new enrollment takes to reach the bridge."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from sqlalchemy import Connection

from bridge.gate.misses import RECENT, quantile
from bridge.metrics.families import gauge
from bridge.settings.model import Configuration
from bridge.store import misses
from bridge.store.engine import length_ms, moment_ms

BUCKETS = tuple(60 * minutes for minutes in (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880))
"""Seconds; Kombo's own cadence is three hours and ten, whatever ours is."""
KINDS: tuple[misses.Kind, ...] = ("open", "sync_delay", "unauthorized")


def measured(connection: Connection, configuration: Configuration, now: datetime) -> Iterator[Metric]:
    """Of the last thirty days, so that what is said follows how a customer's syncs run now."""
    since = moment_ms(now) - length_ms(RECENT)
    refused = gauge(
        "misses",
        "Learners refused a course in the last 30 days: open, found to be sync delay, or unauthorized.",
        labels=["tenant", "kind"],
    )
    counts = misses.counts(connection, since)
    for slug in configuration.tenants:
        for kind in KINDS:
            refused.add_metric([slug, kind], counts.get((slug, kind), 0))
    usual = gauge(
        "sync_delay_usual_seconds",
        "Within what time so large a share of the last 30 days' refused learners had their enrollment.",
        labels=["tenant", "quantile"],
    )
    delays = HistogramMetricFamily(
        "kombo_bridge_sync_delay_seconds",
        "From the refusal, or from the enrollment if it came later, until it was visible; of the last 30 days.",
        labels=["tenant"],
    )
    for slug, lags in misses.every_lag(connection, since).items():
        if slug in configuration.tenants:
            for share in (0.5, 0.9):
                usual.add_metric([slug, str(share)], quantile(lags, share) / 1000)
            delays.add_metric([slug], _buckets(lags), sum(lags) / 1000)
    return iter((refused, usual, delays))


def _buckets(ascending: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative, as the exposition format has them."""
    within = [(str(float(bound)), float(bisect_right(ascending, bound * 1000))) for bound in BUCKETS]
    return [*within, ("+Inf", float(len(ascending)))]
