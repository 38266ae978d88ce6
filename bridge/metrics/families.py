"""The bridge's own kinds of metric families."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


def gauge(name: str, help: str, value: float | None = None, labels: list[str] | None = None) -> GaugeMetricFamily:
    """A gauge, named with the bridge's prefix."""
    return GaugeMetricFamily(f"kombo_bridge_{name}", help, value=value, labels=labels)


def counter(name: str, help: str, value: float | None = None, labels: list[str] | None = None) -> CounterMetricFamily:
    """A counter, named with the bridge's prefix; `_total` is added to its name."""
    return CounterMetricFamily(f"kombo_bridge_{name}", help, value=value, labels=labels)


def histogram(name: str, help: str, labels: list[str] | None = None) -> HistogramMetricFamily:
    """A histogram, named with the bridge's prefix."""
    return HistogramMetricFamily(f"kombo_bridge_{name}", help, labels=labels)
