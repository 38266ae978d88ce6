"""What forwarding counts, as Prometheus reads it."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from bridge.metrics.forwarding import measured
from bridge.proxy.recorder import BUCKETS, LAYOUT, UPSTREAM_IDLE
from bridge.tallies import Tallies


class Counted:
    """A collector of what one worker has counted."""

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies

    def collect(self):
        return measured(self._tallies)


@pytest.fixture
def samples() -> dict[str, dict[tuple[str, ...], float]]:
    """By metric, and in each by the labels' values; each slot holds a number of its own."""
    tallies = Tallies(LAYOUT)
    for slot in range(LAYOUT.counts):
        tallies.counts[slot] = 1000 + slot
    for slot in range(LAYOUT.sums):
        tallies.sums[slot] = slot + 0.5
    registry = CollectorRegistry()
    registry.register(Counted(tallies))
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.documentation
        for sample in family.samples:
            of = found.setdefault(sample.name.removeprefix("kombo_bridge_"), {})
            assert tuple(sample.labels.values()) not in of
            of[tuple(sample.labels.values())] = sample.value
    return found


def test_every_slot_is_said_once(samples: dict[str, dict[tuple[str, ...], float]]) -> None:
    """Buckets are cumulative, and busy connections are those that are not idle; undone, each number stands there."""
    said: list[float] = []
    for name, of in samples.items():
        values = list(of.values())
        if name.endswith("_bucket"):
            size = len(BUCKETS) + 1
            for start in range(0, len(values), size):
                some = values[start : start + size]
                assert some == sorted(some)
                said += [some[0], *(b - a for a, b in pairwise(some))]
        elif name == "upstream_connections":
            assert of == {("busy",): -1, ("idle",): 1000 + UPSTREAM_IDLE}
            said += [of["idle",], of["idle",] - 1]
        elif not name.endswith(("_count", "_sum")):
            said += values
    assert sorted(said) == [1000 + slot for slot in range(LAYOUT.counts)]
    sums = [value for name, of in samples.items() if name.endswith("_sum") for value in of.values()]
    assert sorted(sums) == [slot + 0.5 for slot in range(LAYOUT.sums)]


def test_a_histogram_is_cumulative(samples: dict[str, dict[tuple[str, ...], float]]) -> None:
    buckets = samples["upstream_first_byte_seconds_bucket"]
    assert [bound for (bound,) in buckets] == [*map(str, BUCKETS), "+Inf"]
    first = buckets[("0.001",)]
    assert list(buckets.values()) == list(accumulate(first + step for step in range(len(buckets))))
    assert samples["upstream_first_byte_seconds_count"][()] == buckets[("+Inf",)]


def test_names_hold_still(samples: dict[str, dict[tuple[str, ...], float]]) -> None:
    """Dashboards and alerts are made of them."""
    assert set(samples) == {
        "requests_total",
        "requests_unfinished_total",
        "requests_refused_total",
        "request_duration_seconds_bucket",
        "request_duration_seconds_count",
        "request_duration_seconds_sum",
        "audit_lines_lost_total",
        "request_log_dropped_total",
        "upstream_first_byte_seconds_bucket",
        "upstream_first_byte_seconds_count",
        "upstream_first_byte_seconds_sum",
        "upstream_failures_total",
        "upstream_retries_total",
        "upstream_connections",
        "client_connections",
        "client_connections_refused_total",
        "tunnels",
        "workers",
        "sent_bytes_total",
        "received_bytes_total",
    }
