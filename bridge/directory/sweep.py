"""Forgetting integrations that no tenant names any more, some time after they were last read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from sqlalchemy import Connection

from bridge.directory.sync import Permit
from bridge.directory.turns import turn
from bridge.errors import StateError
from bridge.settings.model import Configuration
from bridge.store import orphans
from bridge.store.engine import Store, now_ms

EVERY_SECONDS = 3600.0
KEPT_MS = 30 * 24 * 3600 * 1000
"""How long what was read of them is kept: a tenant may come back, or was only taken out for a while."""

log = structlog.get_logger()


async def run(store: Store, current: Callable[[], Configuration], holder: str) -> None:
    """Look once in a while, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            async with turn(store, "sweep", holder) as permit:
                if permit:
                    await sweep(store, current(), permit)
        except StateError as error:
            log.warning("sweep_failed", reason=str(error))


async def sweep(store: Store, configuration: Configuration, permit: Permit | None = None) -> None:
    """Forget what is of no tenant. While a tenant's file is broken nobody knows which integration it names: nothing.

    Raises `StateError`.
    """
    if configuration.broken:
        return
    named = {tenant.integration_id for tenant in configuration.tenants.values()}
    before = now_ms() - KEPT_MS
    found = await store.read(partial(orphans.find, before=before))
    for integration in found - named:
        log.info("integration_forgotten", integration=integration)

        def work(connection: Connection, integration: str = integration) -> bool:
            if permit:
                permit(connection)
            return orphans.forget(connection, integration)

        while await store.write(work):
            pass
