"""How much may be asked of Kombo live: a few questions at once, and so many a minute.

Kombo limits all requests of an environment together and publishes no number. Without a bound here, one customer's
thousand learners behind one unassigned course would use up what the syncs of all customers need, and one learner who
clicks through a whole catalogue what the others of the tenant need.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bridge.errors import KomboUnavailable


@dataclass(frozen=True, slots=True)
class Limits:
    """In each process: how many questions are asked at once, how many a minute, and how many after a quiet while."""

    whose: str
    at_once: int
    a_minute: int
    burst: int


OF_A_TENANT = Limits("tenant", at_once=8, a_minute=120, burst=60)
"""Two a second: new hires and new assignments between two syncs, many times over. And a class of thirty that opens a
course just assigned to it, each asked about twice."""

OF_A_LEARNER = Limits("learner", at_once=4, a_minute=12, burst=12)
"""More courses than anybody opens in a minute, and one that stands for as many as are ever asked about together
(`bridge.store.lookups.MANY_COURSES`)."""


class Budget:
    """A token bucket: full at first, refilled steadily."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.at_once)
        self._left = float(limits.burst)
        self._filled = time.monotonic()

    @contextlib.asynccontextmanager
    async def spend(self, questions: int) -> AsyncIterator[None]:
        """A place among the few that ask at once.

        Raises `KomboUnavailable` where the minute's questions are used up: who asks beyond them is answered from what
        is known, as if Kombo were down. Waits for its turn as long as the caller lets it.
        """
        limits, moment = self._limits, time.monotonic()
        self._left = min(self._left + (moment - self._filled) * limits.a_minute / 60, float(limits.burst))
        self._filled = moment
        if self._left < questions:
            raise KomboUnavailable(f"this {limits.whose}'s live questions of the last minute are used up")
        self._left -= questions
        async with self._turns:
            yield
