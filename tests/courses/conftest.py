"""A tenant of a simulated Kombo, a catalogue for it, and a push that does not take its time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio

from bridge.courses.offer import Offered
from bridge.courses.push import Pace, Push, Result
from bridge.digests import digest_of
from bridge.kombo.client import KomboClient
from bridge.kombo.model import CourseItem
from bridge.kombo.pauses import Patience
from bridge.settings.model import Tenant
from bridge.simulator.integration import Integration
from bridge.store import courses, lookups
from bridge.store.engine import Store
from tests.support.rooms import Rooms
from tests.support.rooms import rooms as open_rooms

QUICK = Pace(first=0.01, longest=0.05)


def offered(origin_id: str, title: str = "A title") -> Offered:
    item = CourseItem(origin_id, title, f"https://learn.example.com/courses/{origin_id}?tenant=acme")
    return Offered(item, digest_of(origin_id, title))


@dataclass
class Desk:
    """Where pushes are made from."""

    rooms: Rooms
    tenant: Tenant
    shown: list[tuple[int, int]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.rooms.store

    @property
    def id(self) -> str:
        return self.tenant.integration_id

    @property
    def client(self) -> KomboClient:
        """Without patience for a Kombo that is down."""
        patience = Patience(attempts=2, backoff=0.001)
        return KomboClient(self.rooms.http, self.tenant.kombo, self.id, patience)

    @property
    def lms(self) -> Integration:
        return self.rooms.world.integrations[self.id]

    async def fault(self, **fault: object) -> None:
        """Let the simulator misbehave."""
        answer = await self.rooms.http.post(f"{self.rooms.origin}/_control/faults", json=fault)
        assert answer.status_code == 200, answer.text

    async def push(self, *items: Offered, wait: float = 10, **options: Any) -> dict[str, Result]:
        push = Push(
            self.store,
            self.client,
            self.id,
            items,
            pace=QUICK,
            show=lambda done, total: self.shown.append((done, total)),
            **options,
        )
        return {result.origin_id: result for result in await push.run(wait)}

    async def rows(self) -> dict[str, courses.Push]:
        return await self.store.read(lambda c: courses.pushes(c, self.id))

    async def course_ids(self, origin_id: str) -> list[str]:
        return await self.store.read(lambda c: lookups.course_ids(c, self.id, origin_id))

    def asked(self, method: str, path: str) -> int:
        """How often Kombo was asked."""
        return sum(1 for each in self.rooms.world.requests if each.method == method and path in each.path)

    @property
    def posts(self) -> int:
        return self.asked("POST", "/lms/courses/bulk")


@contextlib.asynccontextmanager
async def _desk(folder: Path, url: str | None = None) -> AsyncIterator[Desk]:
    async with open_rooms(folder, url) as rooms:
        rooms.world.task_delay = 0
        yield Desk(rooms, rooms.deployment.tenant("globex"))


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with _desk(tmp_path) as found:
        yield found


@pytest_asyncio.fixture
async def either_desk(tmp_path: Path, either_url: str) -> AsyncIterator[Desk]:
    """On either database: for what hangs on what the store says."""
    async with _desk(tmp_path, either_url) as found:
        yield found
