"""What a run of the bench is told: its size, and what of it."""

from __future__ import annotations

from dataclasses import dataclass

PARTS = ("requests", "bulk", "latency", "streams", "workers")


@dataclass(frozen=True)
class Options:
    """The defaults are those of the table in docs/performance.md."""

    rounds: int = 7
    seconds: int = 2
    connections: int = 32
    rate: int = 1000
    streams: int = 10_000
    quiet: int = 10
    bulk_mib: int = 1024
    warm: bool = True
    parts: tuple[str, ...] = PARTS


QUICK = {"rounds": 1, "seconds": 1, "streams": 200, "quiet": 1, "bulk_mib": 64, "warm": False}
"""Enough to see that everything works; its figures are worth nothing."""
