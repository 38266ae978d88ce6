"""The background work that takes the outbox's entries to Kombo.

Any number of processes may run a carrier over one store: a lease per integration lets one of them carry its entries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from bridge.directory.turns import new_holder
from bridge.errors import StateError
from bridge.kombo.client import KomboClient
from bridge.outbox.lane import Lane
from bridge.outbox.latecomers import look_again
from bridge.outbox.pace import Pace
from bridge.settings.model import Configuration, Tenant
from bridge.store import outbox as rows
from bridge.store.engine import Store, now_ms

KEPT_MS = 400 * 86_400_000
"""How long a done entry is the proof that its effect has been: longer than the year after which people certify again.
What is reported again later still finds its progression completed in the directory, and nothing to write."""
SWEEP_EVERY_MS = 3600 * 1000
STATE_PAUSE_SECONDS = 5.0

log = structlog.get_logger()


class Carrier:
    """Runs until cancelled. `current` gives the configuration in force, `client` a tenant's Kombo client."""

    def __init__(
        self,
        store: Store,
        current: Callable[[], Configuration],
        client: Callable[[Tenant], KomboClient],
        pace: Pace | None = None,
    ) -> None:
        self._store = store
        self._current = current
        self._client = client
        self._pace = pace or Pace()
        self._holder = new_holder()
        self._turns = asyncio.Semaphore(self._pace.together)
        self._lanes: dict[str, Lane] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tenants: tuple[Configuration | None, Mapping[str, Tenant]] = (None, {})
        self._sweep_at = 0
        self._latecomers_at = 0.0

    async def run(self) -> None:
        """Notice what waits, and carry each integration's in a lane of its own."""
        try:
            while True:
                try:
                    await self._look_round()
                    await self._look_again()
                    await self._sweep()
                except StateError as error:
                    log.warning("outbox_failed", reason=str(error))
                    await asyncio.sleep(STATE_PAUSE_SECONDS)
                except Exception:
                    log.exception("outbox_failed")
                await asyncio.sleep(self._pace.tick)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _look_round(self) -> None:
        """Start the lanes that have something to carry. What no tenant's integration is, stays: no other key may do."""
        moment, longest = now_ms(), round(self._pace.longest_rest * 1000)
        waiting = await self._store.read(lambda c: dict(rows.integrations(c, moment, longest)))
        for integration in self._lanes.keys() - waiting.keys() - self._running.keys():
            del self._lanes[integration]
        tenants = self._by_integration()
        for integration, due in waiting.items():
            if due and integration in tenants and integration not in self._running:
                self._start(integration)

    def _start(self, integration: str) -> None:
        lane = self._lanes.get(integration)
        if lane is None:
            lane = Lane(self._store, integration, self._client_of, self._holder, self._turns, self._pace)
            self._lanes[integration] = lane
        if lane.paused:
            return
        task = self._running[integration] = asyncio.ensure_future(lane.run())
        task.add_done_callback(lambda _: self._running.pop(integration, None))

    def _client_of(self, integration: str) -> KomboClient | None:
        tenant = self._by_integration().get(integration)
        return self._client(tenant) if tenant else None

    def _by_integration(self) -> Mapping[str, Tenant]:
        configuration = self._current()
        if self._tenants[0] is not configuration:
            self._tenants = (configuration, {each.integration_id: each for each in configuration.tenants.values()})
        return self._tenants[1]

    async def _look_again(self) -> None:
        if time.monotonic() >= self._latecomers_at:
            self._latecomers_at = time.monotonic() + self._pace.latecomers
            await look_again(self._store)

    async def _sweep(self) -> None:
        """Forget what was done long ago, in chunks, so that nobody's write waits behind it."""
        now = now_ms()
        if now < self._sweep_at <= now + SWEEP_EVERY_MS:
            return
        self._sweep_at = now + SWEEP_EVERY_MS
        after: int | None = 0
        while after is not None:
            after = await self._store.write(partial(rows.sweep, settled_before=now - KEPT_MS, after=after))
