"""What the bridge measures of itself, in Prometheus's text format; a module for each room that has something to say."""

from bridge.metrics.metrics import CONTENT_TYPE, Metrics

__all__ = ["CONTENT_TYPE", "Metrics"]
