"""One timer a process for all deadlines.

Extending a deadline then costs an assignment instead of a cancelled and a new timer, which a busy connection would pay
for with every packet. A deadline is noticed up to one tick late.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import structlog

NEVER = float("inf")

log = structlog.get_logger()


class Watched(Protocol):
    """Has a deadline on the clock of `time.monotonic`."""

    deadline: float

    def expire(self, now: float) -> None: ...


class Deadlines:
    """Calls `expire` on what it watches, at every tick until the deadline has been moved or the thing discarded."""

    def __init__(self, tick: float) -> None:
        self._tick = tick
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched) -> None:
        self._watched.add(watched)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._look)

    def discard(self, watched: Watched) -> None:
        """Forget it. The timer runs on until it finds nothing left to watch."""
        self._watched.discard(watched)

    def _look(self) -> None:
        self._timer = None
        if self._watched:
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._look)
        now = time.monotonic()
        for watched in [each for each in self._watched if each.deadline <= now]:
            try:
                watched.expire(now)
            except Exception:  # one that fails must not keep the others alive
                log.exception("deadline_failed")
                watched.deadline = NEVER
