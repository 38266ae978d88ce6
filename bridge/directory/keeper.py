"""The background work that keeps the local copy fresh: every integration, now and every `sync_every`.

Any number of processes may run a keeper over one store; a lease per integration lets one of them work at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import structlog
from sqlalchemy import Connection

from bridge.directory.sync import Sync
from bridge.errors import BridgeError, StateError
from bridge.kombo.client import KomboClient
from bridge.settings.model import Configuration, Tenant
from bridge.store import leases, lookups, sessions
from bridge.store.engine import Store, length_ms, now_ms

LEASE_MS = 60_000
TICK_SECONDS = 1.0
RETRY_MS = 30_000
AT_ONCE = 4

log = structlog.get_logger()


class Keeper:
    """Runs until cancelled. `current` gives the configuration in force, `client` a tenant's Kombo client."""

    def __init__(
        self, store: Store, current: Callable[[], Configuration], client: Callable[[Tenant], KomboClient]
    ) -> None:
        self._store = store
        self._current = current
        self._client = client
        self._holder = secrets.token_hex(8)
        self._not_before: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Start each integration's pass when it is due, the longest due first; a few run side by side."""
        try:
            while True:
                for tenant in sorted(self._current().tenants.values(), key=self._due):
                    self._start_if_due(tenant)
                await asyncio.sleep(TICK_SECONDS)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _due(self, tenant: Tenant) -> int:
        """When to look at the tenant's integration again, in milliseconds since 1970; at first, now."""
        return self._not_before.get(tenant.integration_id, 0)

    def _start_if_due(self, tenant: Tenant) -> None:
        integration = tenant.integration_id
        if len(self._running) >= AT_ONCE or integration in self._running or self._due(tenant) > now_ms():
            return
        task = self._running[integration] = asyncio.ensure_future(self._turn(tenant))
        task.add_done_callback(lambda _: self._running.pop(integration, None))

    async def _turn(self, tenant: Tenant) -> None:
        try:
            self._not_before[tenant.integration_id] = await self._work(tenant)
        except BridgeError as error:
            log.warning("sync_failed", tenant=tenant.slug, reason=str(error))
            self._not_before[tenant.integration_id] = now_ms() + RETRY_MS
        except Exception:
            log.exception("sync_failed", tenant=tenant.slug)
            self._not_before[tenant.integration_id] = now_ms() + RETRY_MS

    async def _work(self, tenant: Tenant) -> int:
        """Sync if it is due and nobody else does; when to look again, in milliseconds since 1970."""
        integration = tenant.integration_id
        every = length_ms(tenant.kombo.sync_every)
        known = await self._store.read(lambda c: lookups.passed(c, integration))
        due = min(known.values()) + every if len(known) == len(lookups.MODELS) else 0
        if due > now_ms():
            return due
        name = f"sync {integration}"
        epoch = await self._take(name)
        if epoch is None:
            return now_ms() + LEASE_MS // 4

        def permit(connection: Connection) -> None:
            if not leases.holds(connection, name, self._holder, epoch):
                raise StateError("another process has taken this integration's synchronisation over")

        renewal = asyncio.ensure_future(self._renew(name))
        try:
            await self._store.write(sessions.sweep)
            passes = await Sync(self._store, self._client(tenant), integration, permit).run()
        finally:
            renewal.cancel()
            await self._store.write(lambda c: leases.release(c, name, self._holder))
        log.info("synced", tenant=tenant.slug, **{done.model: done.rows for done in passes})
        for done in passes:
            if done.unreadable:
                log.warning("sync_incomplete", tenant=tenant.slug, model=done.model, unreadable=done.unreadable)
        return now_ms() + every

    async def _take(self, name: str) -> int | None:
        return await self._store.write(lambda c: leases.take(c, name, self._holder, LEASE_MS))

    async def _renew(self, name: str) -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 3000)
            with contextlib.suppress(StateError):  # tried again before the lease runs out, and every write asks for it
                await self._take(name)
