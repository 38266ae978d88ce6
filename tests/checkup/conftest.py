"""A deployment over a simulated Kombo where everything is good, and looking at it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bridge.checkup import kombo
from bridge.checkup.checkup import Checkup, Result
from bridge.checkup.known import Known, known
from bridge.checkup.report import Report
from bridge.idps.documents import KeptDocuments
from bridge.idps.fetch import Fetcher
from bridge.kombo.pauses import Patience
from bridge.settings.load import load
from bridge.store.engine import now_ms
from tests.support.rooms import Rooms

HASTY = Patience(page=1.0, attempt=0.5, attempts=2, backoff=0.01, longest_pause=0.05)


@dataclass
class Looking:
    rooms: Rooms

    async def synced(self, *slugs: str) -> None:
        configuration = self.rooms.deployment.load()
        for slug in slugs:
            await self.rooms.sync(configuration.tenants[slug])

    async def look(self, *slugs: str) -> Result:
        deployment = self.rooms.deployment
        configuration = load(deployment.write(), {}, KeptDocuments(self.rooms.store))
        every = slugs or tuple(deployment.tenants)
        found: Known = await self.rooms.store.read(lambda c: known(c, every, now_ms()))
        fetcher = Fetcher(configuration.service.metadata_networks, deadline=2)
        with contextlib.closing(fetcher):
            return await Checkup(configuration, found, self.rooms.http, fetcher).run(every)

    async def acme(self) -> Report:
        [report] = (await self.look("acme")).reports
        return report


@pytest_asyncio.fixture
async def looking(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Looking]:
    monkeypatch.setattr(kombo, "PATIENCE", HASTY)
    made = Looking(rooms)
    await made.synced("acme")
    yield made
