"""All metrics of one moment.

Every worker answers `/metrics`, whichever of them the kernel picks, so each must give the same answer. What is read off
the settings and the state does by its nature: all workers share those. What each worker counts for itself, they keep
together in `bridge.tallies`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.keys.custody import HeldKeys
from bridge.metrics import directory, forwarding, idps, launches, misses, outbox
from bridge.metrics import keys as own_keys
from bridge.metrics.families import gauge
from bridge.settings.model import Configuration
from bridge.store.engine import Store
from bridge.tallies import Tallies

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Part = Callable[[Connection, Configuration, datetime], Iterable[Metric]]

OF_THE_STATE: tuple[Part, ...] = (
    launches.measured,
    idps.measured,
    directory.measured,
    outbox.measured,
    misses.measured,
)
"""What each room reads off the state; each gets an aware time."""


class Metrics:
    """`current` gives the configuration in force; `tallies` is what the proxy counts, where there is one."""

    def __init__(
        self, store: Store, keys: HeldKeys, current: Callable[[], Configuration], tallies: Tallies | None = None
    ) -> None:
        self._store = store
        self._keys = keys
        self._current = current
        self._tallies = tallies

    async def text(self, now: datetime | None = None) -> bytes:
        """All of them as they are now, in the exposition format."""
        return await asyncio.to_thread(generate_latest, _Found(await self.families(now)))

    async def families(self, now: datetime | None = None) -> Sequence[Metric]:
        """All of them as they are now; without the state, what is known without it."""
        configuration, moment = self._current(), now or datetime.now(UTC)

        def work(connection: Connection) -> list[Metric]:
            return [metric for part in OF_THE_STATE for metric in part(connection, configuration, moment)]

        try:
            found, up = await self._store.read(work), True
        except StateError:
            found, up = [], False
        held = tuple(self._keys.held.values())
        return (
            gauge("state_up", "Whether the state can be reached.", float(up)),
            gauge("tenants", "Tenants that are served.", len(configuration.tenants)),
            gauge("tenants_broken", "Tenants whose file has never been valid.", len(configuration.broken)),
            *idps.certificates(configuration, held, moment),
            *own_keys.ages(held, moment),
            *(forwarding.measured(self._tallies) if self._tallies else ()),
            *found,
        )


@dataclass(frozen=True, slots=True)
class _Found(Collector):
    metrics: Iterable[Metric]

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        return iter(self.metrics)
