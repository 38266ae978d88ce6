"""What forwarding counts, over all workers of this machine since the service was started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from bridge.metrics.families import counter, gauge, histogram
from bridge.proxy import recorder as slots
from bridge.proxy.recorder import BUCKETS, CODES, FAILURES, OUTCOMES, STATUSES, WHOSE
from bridge.tallies import Tallies


def measured(tallies: Tallies) -> Iterator[Metric]:
    """Of `recorder.LAYOUT`."""
    counts, sums = tallies.totals()
    yield from _requests(counts)
    yield from _durations(counts, sums)
    yield from _platform(counts)
    yield from _connections(counts)
    yield counter("sent_bytes", "Bytes of answers and through tunnels to clients, heads included.", counts[slots.SENT])
    yield counter(
        "received_bytes", "Bytes of requests' bodies and through tunnels from clients.", counts[slots.RECEIVED]
    )
    yield gauge("workers", "Processes that serve.", counts[slots.WORKERS])
    yield counter("audit_lines_lost", "Lines that the audit log's file did not take.", counts[slots.AUDIT_LOST])
    yield counter("request_log_dropped", "Requests' log lines that there was no room for.", counts[slots.DROPPED])


def _requests(counts: Sequence[int]) -> Iterator[Metric]:
    requests = counter(
        "requests",
        "Requests that have ended, by whose they were (bridge: it answered itself) and the answer's status (none: it "
        "was not begun; 1xx: a WebSocket).",
        labels=["whose", "status"],
    )
    slot = iter(counts[slots.REQUESTS :])
    for whose in WHOSE:
        for status in STATUSES:
            requests.add_metric([whose, status], next(slot))
    yield requests
    yield _each(
        "requests_unfinished",
        "Requests whose answer was not complete, and why; tunnels among them.",
        "outcome",
        OUTCOMES,
        counts[slots.UNFINISHED :],
    )
    yield _each(
        "requests_refused",
        "Requests that the bridge refused, by the code of the refusal.",
        "code",
        CODES,
        counts[slots.REFUSED :],
    )


def _durations(counts: Sequence[int], sums: Sequence[float]) -> Iterator[Metric]:
    durations = histogram(
        "request_duration_seconds",
        "From the first byte of a request to the last of its answer; tunnels are not in it.",
        labels=["whose"],
    )
    for place, whose in enumerate(WHOSE):
        _observe(
            durations, [whose], counts, slots.DURATION + place * (len(BUCKETS) + 1), sums[slots.DURATION_SUM + place]
        )
    yield durations
    first_byte = histogram(
        "upstream_first_byte_seconds", "From when a request had been sent to the platform until it began its answer."
    )
    _observe(first_byte, [], counts, slots.FIRST_BYTE, sums[slots.FIRST_BYTE_SUM])
    yield first_byte


def _platform(counts: Sequence[int]) -> Iterator[Metric]:
    yield _each("upstream_failures", "What was wrong with the platform.", "kind", FAILURES, counts[slots.FAILED :])
    yield counter(
        "upstream_retries", "Requests sent once more, as a kept connection had been closed.", counts[slots.RETRIES]
    )
    connections = gauge("upstream_connections", "Connections to the platform, in use or kept.", labels=["state"])
    connections.add_metric(["busy"], counts[slots.UPSTREAM] - counts[slots.UPSTREAM_IDLE])
    connections.add_metric(["idle"], counts[slots.UPSTREAM_IDLE])
    yield connections


def _connections(counts: Sequence[int]) -> Iterator[Metric]:
    yield gauge("client_connections", "Connections of clients.", counts[slots.CLIENTS])
    yield gauge("tunnels", "WebSockets that are open.", counts[slots.TUNNELS])
    yield counter("client_connections_refused", "Connections of clients beyond the limit.", counts[slots.TURNED_AWAY])


def _each(name: str, help: str, label: str, values: Sequence[str], counts: Sequence[int]) -> CounterMetricFamily:
    family = counter(name, help, labels=[label])
    for value, count in zip(values, counts, strict=False):
        family.add_metric([value], count)
    return family


def _observe(family: HistogramMetricFamily, labels: list[str], counts: Sequence[int], slot: int, total: float) -> None:
    """Cumulative, as the exposition format has them."""
    bounds = [*map(str, BUCKETS), "+Inf"]
    within = accumulate(counts[slot : slot + len(bounds)])
    family.add_metric(labels, list(zip(bounds, map(float, within), strict=True)), total)
