"""What comes to its end: certificates by which IdPs sign, our own for SAML, and metadata with a `validUntil`.

An IdP's certificate is a mere carrier of its key for us, so one that has ended is still accepted; but its owner is
about to change it, or has forgotten to. Where an IdP has several, the one that ends last counts.

Metadata past its `validUntil` ends the tenant's logins. A file is as old as somebody left it. A document from a URL is
asked for anew after half of its time at the latest, so its end is close only once less than a quarter is left: then
either fetching fails, or the IdP publishes nothing newer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar

import structlog
from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.keys.custody import HeldKeys
from bridge.keys.rollover import SAML
from bridge.saml.keys import certificate_end
from bridge.settings.model import Configuration
from bridge.store import idps, sessions
from bridge.store.engine import Store, moment_ms
from bridge.store.idps import Kept
from bridge.store.keys import KeyRow

THRESHOLDS = (0, 7, 30)
"""Days left at which an end is spoken of; 0: it is past."""
DAY = timedelta(days=1)
EVERY_SECONDS = 3600.0
MARKED_AT_ONCE = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends; `tenant` is None for what is the deployment's. `kind` tells certificates from metadata."""

    kind: ClassVar[str]
    tenant: str | None
    end: datetime

    def days_left(self, now: datetime) -> float:
        """Below 0 where it has ended."""
        return (self.end - now) / DAY

    def threshold(self, now: datetime) -> int | None:
        """The smallest of `THRESHOLDS` that is reached; None where there is nothing to say yet."""
        return next((days for days in THRESHOLDS if self.days_left(now) <= days), None)

    def warning(self, now: datetime) -> str:
        """One sentence: what ends when, and what to do."""
        raise NotImplementedError

    def about(self) -> dict[str, str | None]:
        """What tells it from others."""
        return {"tenant": self.tenant}

    def _ends(self, now: datetime) -> str:
        left = self.days_left(now)
        return f"ends on {self.end.date()}, in {int(left)} days" if left > 0 else f"ended on {self.end.date()}"


@dataclass(frozen=True, slots=True)
class Expiry(Ending):
    """When a certificate ends. `key` is the id of our own key that it is for, None where it is the IdP's."""

    kind = "certificate"
    key: str | None

    def about(self) -> dict[str, str | None]:
        return {"tenant": self.tenant, "key": self.key}

    def warning(self, now: datetime) -> str:
        if self.key is None:
            return (
                f"the IdP's last signing certificate {self._ends(now)}: it is accepted all the same, but ask the IdP's"
                " administrators for its successor, and whether the metadata here has it"
            )
        whose = f" --tenant {self.tenant}" if self.tenant else ""
        return (
            f"the certificate of our SAML key {self.key} {self._ends(now)}: run `kombo-bridge keys rotate saml{whose}`,"
            f" give the IdPs the new metadata, then run `kombo-bridge keys retire {self.key}`"
        )


@dataclass(frozen=True, slots=True)
class MetadataEnd(Ending):
    """When an IdP's metadata says that it ends. `kept` is how it stands with a URL; None for a file."""

    kind = "metadata"
    kept: Kept | None = None

    def threshold(self, now: datetime) -> int | None:
        if self.kept:
            fetched = datetime.fromtimestamp(self.kept.fetched_at / 1000, UTC)
            if now < self.end and self.end - now > (self.end - fetched) / 4:
                return None
        return super(MetadataEnd, self).threshold(now)  # slots=True makes another class, which super() cannot find

    def warning(self, now: datetime) -> str:
        over = "nobody can log in any more" if self.end <= now else "then nobody can log in"
        return f"the IdP's metadata {self._ends(now)}, by its validUntil; {over}: {self._remedy()}"

    def _remedy(self) -> str:
        if self.kept is None:
            return "ask the IdP's administrators for the newer file, or for a URL, which the bridge reads anew itself"
        if self.kept.held:
            return f"newer metadata is held, see `kombo-bridge metadata accept {self.tenant}`"
        if self.kept.failed:
            return f"{self.kept.url} could not be fetched lately: {self.kept.failed}"
        return f"{self.kept.url} still has nothing newer; ask the IdP's administrators"


def metadata_ends(configuration: Configuration, fetched: Iterable[Kept]) -> Iterator[MetadataEnd]:
    """The ends that metadata says of itself; of one by URL only where `fetched` has its row."""
    rows = {kept.key: kept for kept in fetched}
    urls = {source.slug: source.url for source in configuration.metadata_urls}
    for slug, end in configuration.valid_until.items():
        tenant = configuration.tenants.get(slug)
        source = tenant.saml.metadata if tenant else urls.get(slug)
        kept = rows.get(idps.Key(slug, source)) if isinstance(source, str) else None
        if kept or not isinstance(source, str):
            yield MetadataEnd(slug, end, kept)


def expiries(configuration: Configuration, keys: Iterable[KeyRow]) -> Iterator[Expiry]:
    """The ends of every certificate in use: of `keys`, not those of tenants that now go with the deployment's."""
    tenants = configuration.tenants
    for tenant in tenants.values():
        yield Expiry(tenant.slug, max(map(certificate_end, tenant.provider.certificates)), None)
    for key in keys:
        scope = key.kind.scope
        used = not scope or (scope in tenants and tenants[scope].saml.own_keys)
        if key.kind.purpose == SAML and key.certificate and used:
            yield Expiry(scope or None, certificate_end(key.certificate), key.id)


class ExpiryWatch:
    """Says in the log what is about to end: each once a threshold and day, whichever process says it."""

    def __init__(self, store: Store, keys: HeldKeys, current: Callable[[], Configuration]) -> None:
        self._store = store
        self._keys = keys
        self._current = current
        self._said: set[str] = set()

    async def run(self) -> None:
        """Look now and every hour, until cancelled."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except StateError as error:
                log.warning("certificates_not_watched", reason=str(error))
            except Exception:
                log.exception("certificates_not_watched")
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self, now: datetime) -> None:
        """Say what nobody has said today. Raises `StateError`."""
        keys, fetched = tuple(self._keys.held.values()), await self._store.read(idps.rows)
        close = await asyncio.to_thread(_close, self._current(), keys, fetched, now)
        unsaid = [(digest, expiry) for digest, expiry in close.items() if digest not in self._said]
        for start in range(0, len(unsaid), MARKED_AT_ONCE):
            for expiry in await self._store.write(partial(_mark, unsaid[start : start + MARKED_AT_ONCE], now)):
                _tell(expiry, now)
        self._said = set(close)


def _tell(ending: Ending, now: datetime) -> None:
    said = {"end": ending.end.isoformat(), "threshold": ending.threshold(now), "hint": ending.warning(now)}
    if isinstance(ending, Expiry):
        log.warning("certificate_end_noticed", tenant=ending.tenant, key=ending.key, **said)
    else:
        log.warning("metadata_end_noticed", tenant=ending.tenant, **said)


def endings(configuration: Configuration, keys: Iterable[KeyRow], fetched: Iterable[Kept]) -> Iterator[Ending]:
    """Everything that ends; see `expiries` and `metadata_ends`."""
    yield from expiries(configuration, keys)
    yield from metadata_ends(configuration, fetched)


def _close(
    configuration: Configuration, keys: Iterable[KeyRow], fetched: Iterable[Kept], now: datetime
) -> dict[str, Ending]:
    """What is close to its end, by what stands for having said so today."""
    found = (ending for ending in endings(configuration, keys, fetched) if ending.threshold(now) is not None)
    return {_digest(ending, now): ending for ending in found}


def _digest(expiry: Ending, now: datetime) -> str:
    about = (expiry.kind, *expiry.about().values(), expiry.end.isoformat())
    said = (*about, expiry.threshold(now), now.date().isoformat())
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _mark(unsaid: Sequence[tuple[str, Ending]], now: datetime, connection: Connection) -> list[Ending]:
    """Take on oneself to say these; those that another process has are left out."""
    forget_at = moment_ms(now + 2 * DAY)
    return [expiry for digest, expiry in unsaid if sessions.use_once(connection, "expiry", digest, forget_at)]
