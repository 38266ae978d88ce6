"""What the bridge measures of itself, in Prometheus's text format.

Every worker answers `/metrics`, whichever of them the kernel picks, so each must give the same answer. Gauges do by
their nature: they come from the settings and the state, which all workers share. Counters, of which each worker has its
own, would be a second collector in `Metrics.text`, over what the workers keep together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.keys.custody import HeldKeys
from bridge.keys.expiry import DAY, THRESHOLDS, expiries, metadata_ends
from bridge.settings.model import Configuration
from bridge.store import clocks, idps
from bridge.store.clocks import Clock
from bridge.store.engine import Store, moment_ms
from bridge.store.idps import Kept
from bridge.store.keys import KeyRow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """`current` gives the configuration in force."""

    def __init__(self, store: Store, keys: HeldKeys, current: Callable[[], Configuration]) -> None:
        self._store = store
        self._keys = keys
        self._current = current

    async def text(self, now: datetime | None = None) -> bytes:
        """All of them as they are now, in the exposition format; without the state, what is known without it."""
        try:
            seen = await self._store.read(_see)
        except StateError:
            seen = None
        keys = tuple(self._keys.held.values())
        gauges = Gauges(self._current(), keys, seen, now or datetime.now(UTC))
        return await asyncio.to_thread(generate_latest, gauges)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the state says of the tenants' IdPs."""

    clocks: dict[str, Clock]
    metadata: list[Kept]


@dataclass(frozen=True, slots=True)
class Gauges(Collector):
    """Everything that can be read off one moment; `seen` is None where the state cannot be reached."""

    configuration: Configuration
    keys: Iterable[KeyRow]
    seen: Seen | None
    now: datetime

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        yield _gauge("state_up", "Whether the state can be reached.", float(self.seen is not None))
        yield _gauge("tenants", "Tenants that are served.", len(self.configuration.tenants))
        yield _gauge("tenants_broken", "Tenants whose file has never been valid.", len(self.configuration.broken))
        yield from self._certificates()
        yield self._validity()
        if self.seen:
            yield self._clocks(self.seen.clocks)
            yield from self._metadata(self.seen.metadata)

    def _certificates(self) -> Iterator[Metric]:
        of_idps = _gauge(
            "idp_certificate_days_left",
            "Days until the IdP's last signing certificate ends; below 0, days since.",
            labels=["tenant"],
        )
        own = _gauge(
            "saml_certificate_days_left",
            "Days until the certificate of a SAML key of ours ends; tenant is empty for the deployment's.",
            labels=["tenant", "key"],
        )
        ending = dict.fromkeys(THRESHOLDS, 0)
        for expiry in expiries(self.configuration, self.keys):
            left = expiry.days_left(self.now)
            if expiry.key is None:
                of_idps.add_metric([expiry.tenant or ""], left)
            else:
                own.add_metric([expiry.tenant or "", expiry.key], left)
            for days in THRESHOLDS:
                ending[days] += left <= days
        close = _gauge(
            "certificates_ending", "Certificates that end within so many days; 0: that have.", labels=["within_days"]
        )
        for days, count in ending.items():
            close.add_metric([str(days)], count)
        return iter((of_idps, own, close))

    def _validity(self) -> Metric:
        left = _gauge(
            "idp_metadata_valid_days_left",
            "Days until the validUntil of the IdP's metadata, where it has one; below 0, days since.",
            labels=["tenant"],
        )
        for slug, end in self.configuration.valid_until.items():
            left.add_metric([slug], (end - self.now) / DAY)
        return left

    def _clocks(self, measured: dict[str, Clock]) -> Metric:
        offsets = _gauge(
            "idp_clock_offset_seconds",
            "How far the IdP's clock was ahead of ours at the last login; below 0, behind.",
            labels=["tenant"],
        )
        for slug, tenant in self.configuration.tenants.items():
            clock = measured.get(slug)
            if clock and clock.provider == tenant.provider.entity_id:
                offsets.add_metric([slug], clock.offset_ms / 1000)
        return offsets

    def _metadata(self, fetched: list[Kept]) -> Iterator[Metric]:
        age = _gauge(
            "idp_metadata_age_seconds", "Since the IdP's metadata was last found to be current.", labels=["tenant"]
        )
        held = _gauge(
            "idp_metadata_held", "Whether newer metadata waits, as it names another entityID.", labels=["tenant"]
        )
        failures = _gauge(
            "idp_metadata_failures", "How often in a row the IdP's metadata could not be fetched.", labels=["tenant"]
        )
        ending = _gauge(
            "idp_metadata_ending",
            "Whether the IdP's metadata comes to its end, or has, without newer; of a file, within 30 days.",
            labels=["tenant"],
        )
        for end in metadata_ends(self.configuration, fetched):
            ending.add_metric([end.tenant or ""], float(end.threshold(self.now) is not None))
        tenants = self.configuration.tenants
        for row in fetched:
            if row.tenant in tenants and tenants[row.tenant].saml.metadata == row.url:
                age.add_metric([row.tenant], (moment_ms(self.now) - row.checked_at) / 1000)
                held.add_metric([row.tenant], float(row.held is not None))
                failures.add_metric([row.tenant], row.failures)
        return iter((age, held, failures, ending))


def _gauge(name: str, help: str, value: float | None = None, labels: list[str] | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kombo_bridge_{name}", help, value=value, labels=labels)


def _see(connection: Connection) -> Seen:
    return Seen(clocks.all(connection), idps.rows(connection))
