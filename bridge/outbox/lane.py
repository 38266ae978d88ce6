"""One integration's writes: in order, a few at a time, by one process at a time, slower while Kombo is in trouble."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from bridge.directory.turns import LeaseLost, turn
from bridge.errors import BridgeError, StateError
from bridge.kombo.client import KomboClient
from bridge.outbox.delivery import Delivery, Permit
from bridge.outbox.pace import Pace
from bridge.outbox.verdicts import Fate, Verdict
from bridge.store import outbox as rows
from bridge.store.engine import Store, now_ms
from bridge.store.outbox import Entry

log = structlog.get_logger()


class Lane:
    """`client` gives the integration's client, or None while no tenant has it. `turns` is shared by all lanes.

    The pause after a trouble is kept here and on the monotonic clock: one integration's Kombo is in trouble as a whole,
    and no clock that is set can make the pause longer.
    """

    def __init__(
        self,
        store: Store,
        integration_id: str,
        client: Callable[[str], KomboClient | None],
        holder: str,
        turns: asyncio.Semaphore,
        pace: Pace,
    ) -> None:
        self._store = store
        self._integration_id = integration_id
        self._client = client
        self._holder = holder
        self._turns = turns
        self._pace = pace
        self._name = f"outbox {integration_id}"
        self._running: dict[int, asyncio.Task[None]] = {}
        self._width = pace.in_flight
        self._troubles = 0
        self._resume_at = 0.0
        self._lost = False

    @property
    def paused(self) -> bool:
        """Whether there is nothing to do before a moment that only this lane knows."""
        return self._resume_at > time.monotonic()

    async def run(self) -> None:
        """Carry everything that is due, if no other process does."""
        try:
            async with turn(self._store, self._name, self._holder, round(self._pace.lease * 1000)) as permit:
                if permit:
                    await self._drain(permit)
                else:
                    self._resume_at = time.monotonic() + self._pace.lease / 3
        except BridgeError as error:
            self._note(Verdict(Fate.PASSES, message=str(error)))
        except Exception:
            log.exception("outbox_failed", integration=self._integration_id)
            self._note(Verdict(Fate.PASSES))

    async def _drain(self, permit: Permit) -> None:
        self._lost = False
        try:
            while not self._lost and await self._step(permit):
                pass
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            self._running.clear()

    async def _step(self, permit: Permit) -> bool:
        """Start what may be started, and wait for something to end; False once nothing is left to do."""
        free = 0 if self.paused else self._width - len(self._running)
        client = self._client(self._integration_id)
        if free > 0 and client:
            delivery = Delivery(self._store, client, permit, self._pace)
            for entry in await self._due(free):
                self._running[entry.number] = asyncio.ensure_future(self._carry(delivery, entry))
        if not self._running:
            return False
        await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED, timeout=self._pace.tick)
        self._running = {number: task for number, task in self._running.items() if not task.done()}
        return True

    async def _due(self, limit: int) -> list[Entry]:
        """What comes next; nothing where the state cannot be read, for what is under way goes on."""
        longest, beside = round(self._pace.longest_rest * 1000), list(self._running)
        try:
            return await self._store.read(
                lambda c: rows.due(c, self._integration_id, now_ms(), longest, limit=limit, beside=beside)
            )
        except StateError as error:
            self._note(Verdict(Fate.PASSES, message=str(error)))
            return []

    async def _carry(self, delivery: Delivery, entry: Entry) -> None:
        try:
            async with self._turns:
                self._note(await delivery.carry(entry))
        except LeaseLost:
            self._lost = True
        except StateError as error:
            self._note(Verdict(Fate.PASSES, message=str(error)))

    def _note(self, verdict: Verdict | None) -> None:
        """After a trouble one entry alone tries Kombo, and each success lets twice as many follow."""
        if verdict is None or verdict.fate is not Fate.PASSES:
            self._troubles = 0
            self._width = min(self._width * 2, self._pace.in_flight)
            return
        if not self.paused:  # of several in flight at once, the first one tells
            self._troubles += 1
            self._width = 1
            self._resume_at = time.monotonic() + self._pace.pause(self._troubles, verdict.wait)
            log.warning(
                "outbox_paused", integration=self._integration_id, troubles=self._troubles, reason=verdict.message
            )
