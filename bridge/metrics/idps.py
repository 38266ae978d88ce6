"""How long certificates and metadata last, and how far the IdPs' clocks are off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import Metric
from sqlalchemy import Connection

from bridge.keys.expiry import DAY, THRESHOLDS, expiries, metadata_ends
from bridge.metrics.families import gauge
from bridge.settings.model import Configuration
from bridge.store import clocks, idps
from bridge.store.clocks import Clock
from bridge.store.engine import moment_ms
from bridge.store.idps import Kept
from bridge.store.keys import KeyRow


def measured(connection: Connection, configuration: Configuration, now: datetime) -> Iterator[Metric]:
    """What the state says of the tenants' IdPs."""
    yield _clocks(configuration, clocks.all(connection))
    yield from _metadata(configuration, idps.rows(connection), now)


def certificates(configuration: Configuration, keys: Iterable[KeyRow], now: datetime) -> Iterator[Metric]:
    """Of the IdPs and of our own keys, and of what the IdPs' metadata says of its own end."""
    of_idps = gauge(
        "idp_certificate_days_left",
        "Days until the IdP's last signing certificate ends; below 0, days since.",
        labels=["tenant"],
    )
    own = gauge(
        "saml_certificate_days_left",
        "Days until the certificate of a SAML key of ours ends; tenant is empty for the deployment's.",
        labels=["tenant", "key"],
    )
    ending = dict.fromkeys(THRESHOLDS, 0)
    for expiry in expiries(configuration, keys):
        left = expiry.days_left(now)
        if expiry.key is None:
            of_idps.add_metric([expiry.tenant or ""], left)
        else:
            own.add_metric([expiry.tenant or "", expiry.key], left)
        for days in THRESHOLDS:
            ending[days] += left <= days
    close = gauge(
        "certificates_ending", "Certificates that end within so many days; 0: that have.", labels=["within_days"]
    )
    for days, count in ending.items():
        close.add_metric([str(days)], count)
    return iter((of_idps, own, close, _validity(configuration, now)))


def _validity(configuration: Configuration, now: datetime) -> Metric:
    left = gauge(
        "idp_metadata_valid_days_left",
        "Days until the validUntil of the IdP's metadata, where it has one; below 0, days since.",
        labels=["tenant"],
    )
    for slug, end in configuration.valid_until.items():
        left.add_metric([slug], (end - now) / DAY)
    return left


def _clocks(configuration: Configuration, measured: dict[str, Clock]) -> Metric:
    offsets = gauge(
        "idp_clock_offset_seconds",
        "How far the IdP's clock was ahead of ours at the last login; below 0, behind.",
        labels=["tenant"],
    )
    for slug, tenant in configuration.tenants.items():
        clock = measured.get(slug)
        if clock and clock.provider == tenant.provider.entity_id:
            offsets.add_metric([slug], clock.offset_ms / 1000)
    return offsets


def _metadata(configuration: Configuration, fetched: list[Kept], now: datetime) -> Iterator[Metric]:
    age = gauge("idp_metadata_age_seconds", "Since the IdP's metadata was last found to be current.", labels=["tenant"])
    held = gauge("idp_metadata_held", "Whether newer metadata waits, as it names another entityID.", labels=["tenant"])
    failures = gauge(
        "idp_metadata_failures", "How often in a row the IdP's metadata could not be fetched.", labels=["tenant"]
    )
    ending = gauge(
        "idp_metadata_ending",
        "Whether the IdP's metadata comes to its end, or has, without newer; of a file, within 30 days.",
        labels=["tenant"],
    )
    for end in metadata_ends(configuration, fetched):
        ending.add_metric([end.tenant or ""], float(end.threshold(now) is not None))
    tenants = configuration.tenants
    for row in fetched:
        if row.tenant in tenants and tenants[row.tenant].saml.metadata == row.url:
            age.add_metric([row.tenant], (moment_ms(now) - row.checked_at) / 1000)
            held.add_metric([row.tenant], float(row.held is not None))
            failures.add_metric([row.tenant], row.failures)
    return iter((age, held, failures, ending))
