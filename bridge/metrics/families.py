"""The bridge's own kinds of metric families."""

from __future__ import annotations

from prometheus_client.core import GaugeMetricFamily


def gauge(name: str, help: str, value: float | None = None, labels: list[str] | None = None) -> GaugeMetricFamily:
    """A gauge, named with the bridge's prefix."""
    return GaugeMetricFamily(f"kombo_bridge_{name}", help, value=value, labels=labels)
