"""The launch funnel, who matched by what, what the gate said, and refusals: since the state was made, over all workers.

A learner is counted at a step once for each launch. The labels are the tenants of the settings and the words that the
code knows, so that nobody can make more series of them by asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import get_args

from prometheus_client import Metric
from sqlalchemy import Connection

from bridge.errors import Code
from bridge.gate.misses import RECENT
from bridge.metrics.families import counter, gauge
from bridge.settings.model import Configuration, Tier
from bridge.store import drifts, funnel, refusals
from bridge.store.drifts import Kind
from bridge.store.engine import length_ms, moment_ms

TIERS: tuple[str, ...] = get_args(Tier)
VERDICTS = ("library", "fresh", "stale")
CODES = frozenset(map(str, Code))
KINDS: tuple[Kind, ...] = get_args(Kind)
NOBODYS = ""
"""The tenant of a refusal before any tenant is known."""

Counted = Mapping[tuple[str, str], int]


def measured(connection: Connection, configuration: Configuration, now: datetime) -> Iterator[Metric]:
    """What the state says of launches."""
    tenants, counted = configuration.tenants, funnel.ever(connection)
    yield _each("launches", "Launches by how far they got.", "step", tenants, funnel.STEPS, counted)
    yield _each("matches", "Learners who were recognised, by what.", "tier", tenants, TIERS, counted, funnel.BY_TIER)
    yield _each(
        "gate_opened",
        "Launches that the gate let in to a course, by what that rests on.",
        "verdict",
        tenants,
        VERDICTS,
        counted,
        funnel.BY_VERDICT,
    )
    yield _refusals(configuration, counted)
    yield from _states(connection, configuration, now)


def _each(
    name: str, help: str, label: str, tenants: Iterable[str], values: Iterable[str], counted: Counted, prefix: str = ""
) -> Metric:
    family = counter(name, help, labels=["tenant", label])
    for slug in tenants:
        for value in values:
            family.add_metric([slug, value], counted.get((slug, f"{prefix}{value}"), 0))
    return family


def _refusals(configuration: Configuration, counted: Counted) -> Metric:
    """Only codes that have been counted: of twenty for each tenant, most never are."""
    family = counter("refusals", "Refusals that somebody was told, by code.", labels=["tenant", "code"])
    for (slug, what), many in sorted(counted.items()):
        if what in CODES and (slug in configuration.tenants or slug in configuration.broken or slug == NOBODYS):
            family.add_metric([slug, what], many)
    return family


def _states(connection: Connection, configuration: Configuration, now: datetime) -> Iterator[Metric]:
    good = gauge(
        "launch_last_good_timestamp_seconds",
        "When the latest launch began that the platform answered, of those that are kept.",
        labels=["tenant"],
    )
    ring = gauge("refusals_kept", "Refusals in the tenant's ring, of `launches.refusals`.", labels=["tenant"])
    drifted = gauge(
        "addresses_drifted",
        "What was noticed in the last 30 days: people of whom the IdP says another address, addresses that two have.",
        labels=["tenant", "kind"],
    )
    last, kept = funnel.last_forwarded(connection), refusals.kept(connection)
    noticed = drifts.counts(connection, moment_ms(now) - length_ms(RECENT))
    for slug in configuration.tenants:
        if slug in last:
            good.add_metric([slug], last[slug] / 1000)
        ring.add_metric([slug], kept.get(slug, 0))
        for kind in KINDS:
            drifted.add_metric([slug, kind], noticed.get((slug, kind), 0))
    return iter((good, ring, drifted))
