"""The writes to Kombo: what waits, what gave up, and what was done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from sqlalchemy import Connection

from bridge.metrics.families import gauge
from bridge.settings.model import Configuration
from bridge.store import outbox
from bridge.store.engine import moment_ms


def measured(connection: Connection, configuration: Configuration, now: datetime) -> Iterator[Metric]:
    """What the state says of the outbox. A tenant that is no more counts as long as entries of it wait."""
    waiting = gauge("outbox_waiting", "Writes to Kombo that wait.", labels=["tenant"])
    dead = gauge("outbox_dead", "Writes to Kombo that gave up: see `kombo-bridge outbox`.", labels=["tenant"])
    oldest = gauge(
        "outbox_oldest_waiting_seconds", "Since the oldest write that waits was accepted; 0: none.", labels=["tenant"]
    )
    counts = {(count.tenant, count.state): count for count in outbox.counts(connection)}
    for tenant in sorted(configuration.tenants.keys() | {tenant for tenant, _ in counts}):
        waits, gave_up = counts.get((tenant, "waiting")), counts.get((tenant, "dead"))
        waiting.add_metric([tenant], waits.entries if waits else 0)
        dead.add_metric([tenant], gave_up.entries if gave_up else 0)
        oldest.add_metric([tenant], max((moment_ms(now) - waits.since) / 1000, 0.0) if waits else 0.0)
    done = CounterMetricFamily(
        "kombo_bridge_outbox_done", "Writes to Kombo that were done, or found done.", labels=["tenant", "kind"]
    )
    for tenant, kind, number in outbox.totals(connection):
        done.add_metric([tenant, kind], number)
    return iter((waiting, dead, oldest, done))
