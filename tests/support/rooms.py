"""The rooms behind a launch, over a simulated Kombo on a real socket and a real store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from bridge.directory.live import Live
from bridge.directory.sync import Pass, Sync
from bridge.gate.gate import Gate
from bridge.identity.resolver import Resolver
from bridge.kombo.client import KomboClient
from bridge.kombo.pauses import Patience
from bridge.kombo.transport import http_client
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.simulator.app import create
from bridge.simulator.serving import running
from bridge.simulator.world import World
from bridge.store import lookups
from bridge.store.engine import Store
from bridge.store.lookups import Person
from bridge.store.migrate import migrate
from tests.support.deployment import Deployment

T = TypeVar("T")


@dataclass
class Rooms:
    store: Store
    live: Live
    resolver: Resolver
    gate: Gate
    world: World
    deployment: Deployment
    http: httpx.AsyncClient
    origin: str

    def client(self, tenant: Tenant) -> KomboClient:
        return KomboClient(self.http, tenant.kombo, tenant.integration_id, Patience(attempts=2, backoff=0.01))

    async def sync(self, tenant: Tenant) -> list[Pass]:
        return await Sync(self.store, self.client(tenant), tenant.integration_id).run()

    async def control(self, path: str, method: str = "POST", **content: object) -> None:
        """Tell the simulator to change or to misbehave."""
        answer = await self.http.request(method, f"{self.origin}/_control/{path}", json=content)
        assert answer.status_code < 300, answer.text

    async def person(self, wanted: seed.Person) -> Person:
        found = await self.store.read(lambda c: lookups.person(c, wanted.integration, wanted.id))
        assert found is not None
        return found

    def asked(self, path: str) -> int:
        """How often Kombo was asked for a path so far."""
        return sum(1 for logged in self.world.requests if logged.path.endswith(path))


@contextlib.asynccontextmanager
async def rooms(folder: Path, url: str | None = None) -> AsyncIterator[Rooms]:
    """With a state of its own, or the one at `url`."""
    world = seed.seeded()
    async with running(create(world)) as origin, http_client() as http:
        deployment = Deployment(folder, kombo_url=f"{origin}/v1")
        url = url or f"sqlite:///{folder}/bridge.db"
        migrate(url)
        store = Store(url)
        try:
            found = Rooms(store, None, None, None, world, deployment, http, origin)
            found.live = Live(store, found.client)
            found.resolver = Resolver(store, found.live)
            found.gate = Gate(store, found.live)
            yield found
        finally:
            store.close()


async def found_beside(
    store: Store, monkeypatch: pytest.MonkeyPatch, looked_up: Awaitable[T], meanwhile: Awaitable[object]
) -> T:
    """What is found where something else happens after the state has been read, and before the reader goes on."""
    read, begun, go_on = store.read, asyncio.Event(), asyncio.Event()

    async def slowly(work: Callable[..., object]) -> object:
        found = await read(work)
        begun.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(store, "read", slowly)
    looking = asyncio.ensure_future(looked_up)
    await begun.wait()
    await meanwhile
    go_on.set()
    return await looking
