"""The background work that keeps the local copy fresh: every integration, as its schedule and Kombo's webhooks say.

Any number of processes may run a keeper over one store; a lease per integration lets one of them work at a time, and
where each pass stands, what failed and what is wanted is in the store, so that any of them goes on with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog
from sqlalchemy import Connection

from bridge.directory import schedule, standing, sweep
from bridge.directory.schedule import Due
from bridge.directory.sync import Pass, Permit, Sync
from bridge.directory.turns import LEASE_MS, lease_of, new_holder, turn
from bridge.errors import BridgeError, KomboError, KomboUnavailable, StateError
from bridge.gate import misses
from bridge.identity import drifts
from bridge.kombo.client import KomboClient
from bridge.settings.model import Configuration, Tenant
from bridge.store import sessions, syncs
from bridge.store.engine import Store, now_ms
from bridge.store.rows import Model
from bridge.store.syncs import Progress

TICK_SECONDS = 1.0
AT_ONCE = 4
PAUSE_MS = 30_000
"""After an error that is not Kombo's: the state could not be written, or something was not foreseen."""

log = structlog.get_logger()


class Keeper:
    """Runs until cancelled. `current` gives the configuration in force, `client` a tenant's Kombo client."""

    def __init__(
        self, store: Store, current: Callable[[], Configuration], client: Callable[[Tenant], KomboClient]
    ) -> None:
        self._store = store
        self._current = current
        self._client = client
        self._holder = new_holder()
        self._look_at: dict[str, int] = {}
        self._wait_until: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Start each integration's turn when it is due, the longest due first; a few run side by side."""
        sweeping = asyncio.ensure_future(sweep.run(self._store, self._current, self._holder))
        try:
            await self._look_up()
            hinted_at = 0.0
            while True:
                if time.monotonic() - hinted_at >= TICK_SECONDS:
                    await self._heed_hints()
                    hinted_at = time.monotonic()
                self._start()
                await self._rest()
        finally:
            tasks = [sweeping, *self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_up(self) -> None:
        """Find out once what is due when, so that a start with thousands of tenants does not look at each in turn."""
        try:
            known, moment = await self._store.read(syncs.every), now_ms()
        except StateError as error:
            log.warning("sync_failed", reason=str(error))
            return
        for tenant in self._current().tenants.values():
            found = known.get(tenant.integration_id, {})
            self._look_at[tenant.integration_id] = _next(schedule.due(found, tenant.kombo, moment))

    async def _heed_hints(self) -> None:
        moment = now_ms()
        try:
            for integration in await self._store.read(partial(syncs.wanted, moment=moment)):
                self._look_at[integration] = min(moment, self._look_at.get(integration, 0))
        except StateError as error:
            log.warning("sync_failed", reason=str(error))

    def _start(self) -> None:
        """One turn at a time for each integration, of which several tenants may be."""
        moment = now_ms()
        free = AT_ONCE - len(self._running)
        waiting = [each for each in self._current().tenants.values() if self._at(each) <= moment] if free else []
        due = {tenant.integration_id: tenant for tenant in waiting}
        for integration, tenant in sorted(due.items(), key=lambda each: self._at(each[1]))[:free]:
            task = self._running[integration] = asyncio.ensure_future(self._turn(tenant))
            task.add_done_callback(partial(self._ended, integration))

    def _ended(self, integration: str, task: asyncio.Task[None]) -> None:
        self._running.pop(integration, None)

    def _at(self, tenant: Tenant) -> int | float:
        """When to look at the tenant's integration, in milliseconds since 1970; at first, now.

        What lies further ahead than any schedule is of a clock that has been set back since: now.
        """
        integration = tenant.integration_id
        if integration in self._running:
            return float("inf")
        at = max(self._look_at.get(integration, 0), self._wait_until.get(integration, 0))
        return 0 if at > now_ms() + schedule.longest(tenant.kombo) else at

    async def _rest(self) -> None:
        """Until the next tick, or until there is room for another."""
        if len(self._running) < AT_ONCE:
            await asyncio.sleep(TICK_SECONDS)
        else:
            await asyncio.wait(self._running.values(), timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    async def _turn(self, tenant: Tenant) -> None:
        integration = tenant.integration_id
        try:
            self._look_at[integration] = await self._work(tenant)
        except BridgeError as error:
            log.warning("sync_failed", tenant=tenant.slug, reason=str(error))
            self._wait_until[integration] = now_ms() + PAUSE_MS
        except Exception:
            log.exception("sync_failed", tenant=tenant.slug)
            self._wait_until[integration] = now_ms() + PAUSE_MS

    async def _work(self, tenant: Tenant) -> int:
        """Read what is due unless somebody else does; when to look again, in milliseconds since 1970."""
        if not schedule.turn(await self._known(tenant), tenant.kombo, now_ms()):
            return await self._next(tenant)
        async with turn(self._store, lease_of(tenant.integration_id), self._holder) as permit:
            if permit is None:
                self._wait_until[tenant.integration_id] = now_ms() + LEASE_MS // 4
                return now_ms()
            await self._read(tenant, permit)
        return await self._next(tenant)

    async def _read(self, tenant: Tenant, permit: Permit) -> None:
        """Everything that is due. Where Kombo gives no answer, the rest waits for the next turn; a refusal is one."""
        if not (now_due := schedule.turn(await self._known(tenant), tenant.kombo, now_ms())):
            return
        await self._store.write(sessions.sweep)
        await standing.refresh(self._store, self._client(tenant), tenant, permit)
        sync = Sync(self._store, self._client(tenant), tenant.integration_id, permit, tenant=tenant.slug)
        for due in now_due:
            began = time.monotonic()
            try:
                done = await sync.read(due.model, full=due.full)
            except KomboError as error:
                await self._fail(tenant, due, error, permit)
                if isinstance(error, KomboUnavailable):
                    return
            else:
                tell(tenant, done, time.monotonic() - began)
                if due.model == "users" and done.rows:
                    for each in self._sharing(tenant):
                        await drifts.look(self._store, each)
                if due.model == "progressions":
                    await misses.settle(self._store, tenant, permit)

    async def _fail(self, tenant: Tenant, due: Due, error: KomboError, permit: Permit) -> None:
        known = (await self._known(tenant)).get(due.model)
        failures = (known.failures or 0 if known else 0) + 1
        asked = error.retry_after if isinstance(error, KomboUnavailable) else None
        retry_at = schedule.retry_at(failures, tenant.kombo, now_ms(), asked)
        log.warning("sync_failed", tenant=tenant.slug, model=due.model, reason=str(error), failures=failures)

        def work(connection: Connection) -> None:
            permit(connection)
            syncs.fail(connection, tenant.integration_id, due.model, failures, retry_at)

        await self._store.write(work)

    def _sharing(self, tenant: Tenant) -> Sequence[Tenant]:
        """All tenants of its integration, which is read under the name of one of them."""
        every = self._current().tenants.values()
        return [each for each in every if each.integration_id == tenant.integration_id]

    async def _known(self, tenant: Tenant) -> Mapping[Model, Progress]:
        return await self._store.read(lambda c: syncs.of(c, tenant.integration_id))

    async def _next(self, tenant: Tenant) -> int:
        return _next(schedule.due(await self._known(tenant), tenant.kombo, now_ms()))


def tell(tenant: Tenant, done: Pass, seconds: float) -> None:
    """Log a pass that has come to its end."""
    log.info(
        "sync_finished",
        tenant=tenant.slug,
        model=done.model,
        mode=done.mode,
        rows=done.rows,
        removed=done.removed,
        lost=done.lost,
        seconds=round(seconds, 1),
    )
    if done.unreadable:
        log.warning("sync_rows_skipped", tenant=tenant.slug, model=done.model, unreadable=done.unreadable)


def _next(due: list[Due]) -> int:
    return min(each.at for each in due)
