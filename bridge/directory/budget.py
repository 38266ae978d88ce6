"""How much a tenant may ask Kombo live: a few questions at once, and so many a minute.

Kombo limits all requests of an environment together and publishes no number. Without a bound here, one customer's
thousand learners behind one unassigned course would use up what the syncs of all customers need.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from bridge.errors import KomboUnavailable

AT_ONCE = 8
A_MINUTE = 120
"""Two a second in each process: a tenant's new hires and new assignments between two syncs, many times over."""
BURST = 60
"""A class of thirty that opens a course just assigned to it, each asked about twice."""


class Budget:
    """One tenant's. A token bucket: full at first, refilled steadily."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._left = float(BURST)
        self._filled = time.monotonic()

    @contextlib.asynccontextmanager
    async def spend(self, questions: int) -> AsyncIterator[None]:
        """A place among the few that ask at once.

        Raises `KomboUnavailable` where the minute's questions are used up: who asks beyond them is answered from what
        is known, as if Kombo were down. Waits for its turn as long as the caller lets it.
        """
        moment = time.monotonic()
        self._left = min(self._left + (moment - self._filled) * A_MINUTE / 60, float(BURST))
        self._filled = moment
        if self._left < questions:
            raise KomboUnavailable("this tenant's live questions of the last minute are used up")
        self._left -= questions
        async with self._turns:
            yield
