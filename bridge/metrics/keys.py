"""How old our own keys are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import Metric

from bridge.metrics.families import gauge
from bridge.store.engine import moment_ms
from bridge.store.keys import KeyRow


def ages(keys: Iterable[KeyRow], now: datetime) -> Iterator[Metric]:
    """Of all keys that are there; which of them signs, `kombo-bridge keys list` says."""
    age = gauge(
        "key_age_seconds",
        "Since a key of ours was made: for the signed header or for SAML; tenant is empty for the deployment's.",
        labels=["purpose", "tenant", "key"],
    )
    for key in keys:
        age.add_metric([key.kind.purpose, key.kind.scope, key.id], (moment_ms(now) - key.created_at) / 1000)
    yield age
