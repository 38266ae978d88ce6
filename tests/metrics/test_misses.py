"""What `/metrics` says of refusals for enrollment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import Metric
from sqlalchemy import insert

from bridge.metrics import misses
from bridge.store import tables
from bridge.store.engine import Store, moment_ms
from tests.support.deployment import Deployment

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def test_refusals_and_their_delays(either_store: Store, tmp_path: Path) -> None:
    configuration = Deployment(tmp_path).load()
    rows = [
        row(number, *each)
        for number, each in enumerate(
            [
                ("acme", "open", 1, None),
                ("acme", "open", 31, None),
                ("acme", "unauthorized", 3, None),
                ("acme", "sync_delay", 3, 30),
                ("acme", "sync_delay", 3, 60),
                ("acme", "sync_delay", 3, 4000),
                ("acme", "sync_delay", 31, 7),
                ("removed", "sync_delay", 3, 60),
            ]
        )
    ]
    await either_store.write(lambda c: c.execute(insert(tables.misses), rows))
    found = await either_store.read(lambda c: samples(list(misses.measured(c, configuration, NOW))))
    assert found["misses", "acme", "open"] == 1
    assert found["misses", "acme", "unauthorized"] == 1
    assert found["misses", "acme", "sync_delay"] == 3
    assert found["misses", "globex", "open"] == 0
    assert found["sync_delay_usual_seconds", "acme", "0.5"] == 60
    assert found["sync_delay_usual_seconds", "acme", "0.9"] == 4000
    buckets = {key[2]: value for key, value in found.items() if key[0] == "sync_delay_seconds_bucket"}
    assert (buckets["60.0"], buckets["3600.0"], buckets["7200.0"], buckets["+Inf"]) == (2, 2, 3, 3)
    assert found["sync_delay_seconds_count", "acme"] == 3
    assert found["sync_delay_seconds_sum", "acme"] == 4090
    assert not [key for key in found if "removed" in key]


def row(number: int, tenant: str, kind: str, days: int, seconds: int | None) -> dict[str, object]:
    moment = moment_ms(NOW - timedelta(days=days))
    return {
        "id": str(number),
        "tenant": tenant,
        "integration_id": "i",
        "user_id": f"u{number}",
        "course": "safety",
        "reference": "a-b-c",
        "first_at": moment,
        "last_at": moment,
        "times": 1,
        "kind": kind,
        "settled_at": None if kind == "open" else moment,
        "lag_ms": None if seconds is None else seconds * 1000,
    }


def samples(metrics: list[Metric]) -> dict[tuple[str, ...], float]:
    """By name and the labels' values."""
    return {
        (sample.name.removeprefix("kombo_bridge_"), *sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }
