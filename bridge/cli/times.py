"""Moments and durations as commands write them."""

from __future__ import annotations

from bridge.moments import length, moment

__all__ = ["length", "moment"]
