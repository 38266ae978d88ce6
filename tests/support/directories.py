"""A directory filled by hand: what Kombo showed and when, without a Kombo that could be asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from bridge.directory.live import Live
from bridge.gate.gate import Gate
from bridge.identity.resolver import Resolver
from bridge.kombo.client import KomboClient
from bridge.kombo.model import Course, Progression, User
from bridge.kombo.pauses import Patience
from bridge.kombo.transport import http_client
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.store import directory, integrations, syncs
from bridge.store.engine import Store, now_ms
from bridge.store.lookups import Person
from bridge.store.rows import MODELS, Model
from tests.support.deployment import Deployment

MINUTE = 60_000
HOUR = 60 * MINUTE
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Directory:
    """Acme's. Kombo's port is closed, so whatever is asked live fails at once."""

    store: Store
    tenant: Tenant
    live: Live

    def another(self, name: str) -> Directory:
        """An empty one over the same state."""
        return replace(
            self, tenant=self.tenant.model_copy(update={"integration_id": "workday:" + name.replace(" ", "-")})
        )

    @property
    def gate(self) -> Gate:
        return Gate(self.store, self.live)

    @property
    def resolver(self) -> Resolver:
        return Resolver(self.store, self.live)

    async def fill(
        self,
        *,
        users: Iterable[User] = (),
        courses: Iterable[Course] = (),
        progressions: Iterable[Progression] = (),
        ago: int = 0,
    ) -> None:
        """Take what Kombo showed so many milliseconds ago."""
        seen_at, integration = now_ms() - ago, self.tenant.integration_id
        await self.store.write(lambda c: directory.save_users(c, integration, list(users), seen_at))
        await self.store.write(lambda c: directory.save_courses(c, integration, list(courses), seen_at))
        await self.store.write(lambda c: directory.save_progressions(c, integration, list(progressions), seen_at))

    async def synced(self, *models: Model, ago: int = 0) -> None:
        """A full pass over these models (or all) began so many milliseconds ago, and came to its end."""
        integration, moment = self.tenant.integration_id, now_ms() - ago

        def work(connection: Connection) -> None:
            for model in models or MODELS:
                syncs.finish(connection, syncs.begin(connection, integration, model, "full", moment), held=False)

        await self.store.write(work)

    async def good(self, ago: int | None) -> None:
        """Kombo's own last good sync of the integration began so many milliseconds ago; None: nothing is known."""
        moment = None if ago is None else now_ms() - ago
        integration, slug = self.tenant.integration_id, "acme"
        await self.store.write(lambda c: integrations.note(c, integration, slug, good_at=moment))


@contextlib.asynccontextmanager
async def directory_over(store: Store, folder: Path) -> AsyncIterator[Directory]:
    tenant = Deployment(folder).tenant("acme", kombo={"integration_id": seed.ACME, "sync_every": "1h"})
    async with http_client() as http:

        def client(tenant: Tenant) -> KomboClient:
            return KomboClient(http, tenant.kombo, tenant.integration_id, Patience(attempts=1))

        yield Directory(store, tenant, Live(store, client))


def person(id: str = "u1", seen_at: int = 0) -> Person:
    return Person(id, f"remote-{id}", None, None, None, None, seen_at)
