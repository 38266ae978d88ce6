"""`kombo-bridge keys` over one deployment, and the passing of time."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update

from bridge.keys.custody import Keys
from bridge.keys.rollover import NEVER
from bridge.store import tables
from bridge.store.engine import Store
from bridge.store.migrate import migrate
from bridge.store.sealing import Seal
from tests.support.deployment import SECRET, Deployment
from tests.support.terminal import Said, Terminal


@dataclass
class Shell:
    """The command line over one deployment."""

    deployment: Deployment
    terminal: Terminal

    def __call__(self, *arguments: str) -> Said:
        return self.terminal.run(self.deployment.path, "keys", *arguments)

    def listed(self, what: str = "", tenant: str | None = None) -> list[dict[str, Any]]:
        said = self("list", "--json")
        assert (said.code, said.err) == (0, "")
        found = json.loads(said.out)
        return [key for key in found if what in ("", key["for"]) and key["tenant"] == tenant]

    def ids(self, what: str, tenant: str | None = None) -> list[str]:
        return [key["id"] for key in self.listed(what, tenant)]

    def wait(self, milliseconds: int) -> None:
        """As if the keys were older."""
        with closing(Store(f"sqlite:///{self.deployment.folder}/bridge.db")) as store:
            older = update(tables.keys).values(created_at=tables.keys.c.created_at - milliseconds)
            asyncio.run(store.write(lambda c: c.execute(older)))

    def pass_promotion(self, milliseconds: int) -> None:
        """As if keys had been promoted earlier."""
        with closing(Store(f"sqlite:///{self.deployment.folder}/bridge.db")) as store:
            promoted = tables.keys.c.signs_from
            earlier = update(tables.keys).where(promoted < NEVER).values(signs_from=promoted - milliseconds)
            asyncio.run(store.write(lambda c: c.execute(earlier)))

    def start_once(self, secret: str = SECRET) -> None:
        """What the service's first start does."""
        configuration = self.deployment.load()
        migrate(configuration.service.state)
        with closing(Store(configuration.service.state)) as store:
            asyncio.run(Keys(store, Seal([secret]), lambda: configuration).load())
