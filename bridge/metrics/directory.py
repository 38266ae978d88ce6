"""How fresh the local copy is, and how Kombo's own is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client import Metric
from sqlalchemy import Connection

from bridge.metrics.families import gauge
from bridge.settings.model import Configuration
from bridge.store import integrations, syncs
from bridge.store.engine import moment_ms
from bridge.store.integrations import Standing
from bridge.store.rows import Model
from bridge.store.syncs import Progress


def measured(connection: Connection, configuration: Configuration, now: datetime) -> Iterator[Metric]:
    """Of every tenant's integration, as the state has it."""
    moment = moment_ms(now)
    yield from _passes(configuration, syncs.every(connection), moment)
    yield from _standings(configuration, integrations.every(connection), moment)


def _passes(
    configuration: Configuration, known: Mapping[str, Mapping[Model, Progress]], moment: int
) -> Iterator[Metric]:
    labels = ["tenant", "model"]
    age = gauge("directory_age_seconds", "Since when the model is known completely: the age of that.", labels=labels)
    rows = gauge("sync_rows", "Rows that the pass under way has read so far.", labels=labels)
    failures = gauge("sync_failures", "How often in a row a pass has failed.", labels=labels)
    unreadable = gauge("sync_unreadable", "Rows of the latest pass that could not be read.", labels=labels)
    for slug, tenant in configuration.tenants.items():
        for model, progress in sorted(known.get(tenant.integration_id, {}).items()):
            of = [slug, model]
            if progress.as_of is not None:
                age.add_metric(of, (moment - progress.as_of) / 1000)
            if progress.mode is not None:
                rows.add_metric(of, progress.rows or 0)
            failures.add_metric(of, progress.failures or 0)
            unreadable.add_metric(of, progress.unreadable or 0)
    return iter((age, rows, failures, unreadable))


def _standings(configuration: Configuration, known: Mapping[str, Standing], moment: int) -> Iterator[Metric]:
    held = gauge("sync_held_people", "People whom the fuse keeps as they were, until confirmed.", labels=["tenant"])
    age = gauge(
        "kombo_data_age_seconds", "Since Kombo's own last good sync of the integration began.", labels=["tenant"]
    )
    active = gauge("integration_active", "Whether Kombo says that the integration is ACTIVE.", labels=["tenant"])
    for slug, tenant in configuration.tenants.items():
        standing = known.get(tenant.integration_id)
        held.add_metric([slug], (standing.held or 0) if standing else 0)
        if standing and standing.good_at is not None:
            age.add_metric([slug], (moment - standing.good_at) / 1000)
        if standing and standing.status is not None:
            active.add_metric([slug], float(standing.status == "ACTIVE"))
    return iter((held, age, active))
