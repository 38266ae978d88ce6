"""Moments and durations, as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def moment(milliseconds: int) -> str:
    """A moment of the store, in UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def length(milliseconds: int) -> str:
    """About how long, in the largest unit of which it is at least two."""
    seconds = max(milliseconds, 0) // 1000
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def span(of: timedelta) -> str:
    """As `length`, the way a sentence has it; of a negative one as of a positive."""
    seconds = round(abs(of).total_seconds())
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
