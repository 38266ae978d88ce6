"""What keeps launches, over either kind of state."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.identity.tried import Tried
from bridge.launches import history
from bridge.launches.history import PURPOSE, Record
from bridge.launches.launches import Launches
from bridge.launches.trail import Trail
from bridge.saml.model import Assertion, Attribute, NameId
from bridge.saml.steps import Step
from bridge.settings.model import Configuration, Tenant
from bridge.store import funnel
from bridge.store.engine import Store, now_ms
from bridge.store.launches import Filter
from bridge.store.sealing import Seal
from tests.support.deployment import SECRET, Deployment


@dataclass
class Desk:
    """Launches of one process, with what a test looks at."""

    deployment: Deployment
    store: Store
    configuration: Configuration = field(init=False)
    launches: Launches = field(init=False)

    def __post_init__(self) -> None:
        self.configuration = self.deployment.load()
        self.launches = self.another()

    @property
    def tenant(self) -> Tenant:
        return self.configuration.tenants["acme"]

    def keeps(self, **settings: Any) -> None:
        """Other settings under `launches:`."""
        self.deployment.service["launches"] = settings
        self.configuration = self.deployment.load()

    def another(self) -> Launches:
        """What a second process would have."""
        return Launches(self.store, Seal([SECRET], PURPOSE), lambda: self.configuration)

    def trail(self, path: str = "/courses/x?tenant=acme#y") -> Trail:
        """A login that began a second ago, whose answer has come."""
        return self.launches.begin(self.tenant, "link", path, now_ms(), now_ms() - 1000)

    def verified(self, **values: tuple[str, ...]) -> Trail:
        """… and was good; `values` are the attributes that it had."""
        trail = self.trail()
        for each in Step:
            trail.progress.at(each)
        self.launches.verified(trail, assertion(**values))
        [entry] = self.tenant.identity
        trail.tried.append(Tried(entry, "E12345", "unmatched", "nobody has it"))
        return trail

    def noted(self, code: Code = Code.PATH_AMBIGUOUS, *, tenant: str | None = "acme", **said: Any) -> None:
        """Somebody is refused who has not signed in."""
        target = said.pop("target", b"/x?y")
        head = Head(said.pop("method", b"GET"), target, [])
        refusal = Refusal(code, said.pop("reason", "why"))
        whose = self.configuration.tenants[tenant] if tenant else None
        self.launches.noted(
            head, refusal, "amber-falcon-river", whose, said.pop("user", None), said.pop("course", None)
        )

    async def records(self, limit: int = 10_000) -> list[Record]:
        return await self.store.read(lambda connection: history.recent(connection, Filter(), limit))

    async def counted(self) -> dict[str, int]:
        """Of acme, since the beginning."""
        ever = await self.store.read(funnel.ever)
        return {what: many for (tenant, what), many in ever.items() if tenant == "acme"}


def assertion(**values: tuple[str, ...]) -> Assertion:
    now = datetime.now(UTC)
    attributes = tuple(Attribute(name, None, each) for name, each in values.items())
    subject = NameId("E12345")
    return Assertion("id", "idp", subject, attributes, now, now, None, None, now + timedelta(hours=1), None)


@pytest.fixture
def desk(tmp_path: Path, either_store: Store) -> Desk:
    return Desk(Deployment(tmp_path), either_store)
