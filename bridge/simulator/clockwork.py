"""What happens in a simulated Kombo without anybody asking: syncs and tasks come to their end, the next syncs begin."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bridge.simulator import bulk
from bridge.simulator.integration import Integration
from bridge.simulator.webhooks import Courier
from bridge.simulator.world import World

TICK_SECONDS = 0.05


async def run(world: World) -> None:
    """Until it is cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(Courier(world.webhooks, lambda: world.clock()).run())
        while True:
            tick(world)
            await asyncio.sleep(TICK_SECONDS)


def tick(world: World) -> None:
    """Whatever is due by now. Called before each request too, so that it does without `run`."""
    for integration in list(world.integrations.values()):
        bulk.finish_due(world, integration)
        _sync(world, integration)
        if not integration.lag:
            integration.tell_changes()


def _sync(world: World, integration: Integration) -> None:
    """A sync that was asked for moves the schedule. Full and delta take turns where the tool can do deltas."""
    now = world.clock()
    if integration.running:
        if integration.running.ends_at <= now:
            integration.finish()
        return
    if world.sync_every is None or integration.status != "ACTIVE" or integration.setup_status == "INCOMPLETE":
        return
    integration.synced_at = integration.synced_at or now
    if now - integration.synced_at >= timedelta(seconds=world.sync_every):
        integration.begin("DELTA" if integration.synced == "FULL" else "FULL", world.sync_seconds)
