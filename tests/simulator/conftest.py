from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from bridge.simulator.app import create
from bridge.simulator.seed import ACME, seeded
from bridge.simulator.world import World


@pytest.fixture
def world() -> World:
    world = seeded()
    world.task_delay = 0
    return world


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with the right key, for Acme."""
    headers = {"Authorization": f"Bearer {world.api_key}", "X-Integration-Id": ACME}
    transport = httpx.ASGITransport(create(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        yield client
