"""Certificates that come to their end: those by which IdPs sign, and our own for SAML.

An IdP's certificate is a mere carrier of its key for us, so one that has ended is still accepted; but its owner is
about to change it, or has forgotten to. Where an IdP has several, the one that ends last counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.keys.custody import HeldKeys
from bridge.keys.rollover import SAML
from bridge.saml.keys import certificate_end
from bridge.settings.model import Configuration
from bridge.store import sessions
from bridge.store.engine import Store, moment_ms
from bridge.store.keys import KeyRow

THRESHOLDS = (0, 7, 30)
"""Days left at which an end is spoken of; 0: it is past."""
DAY = timedelta(days=1)
EVERY_SECONDS = 3600.0
MARKED_AT_ONCE = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a certificate ends. `key` is the id of our own key that it is for, None where it is the IdP's.

    `tenant` is None for what is the deployment's.
    """

    tenant: str | None
    key: str | None
    end: datetime

    def days_left(self, now: datetime) -> float:
        """Below 0 where it has ended."""
        return (self.end - now) / DAY

    def threshold(self, now: datetime) -> int | None:
        """The smallest of `THRESHOLDS` that is reached."""
        return next((days for days in THRESHOLDS if self.days_left(now) <= days), None)

    def warning(self, now: datetime) -> str:
        """One sentence: what ends when, and what to do."""
        left = self.days_left(now)
        ending = f"ends on {self.end.date()}, in {int(left)} days" if left > 0 else f"ended on {self.end.date()}"
        if self.key is None:
            return (
                f"the IdP's last signing certificate {ending}: it is accepted all the same, but ask the IdP's"
                " administrators for its successor, and whether the metadata here has it"
            )
        whose = f" --tenant {self.tenant}" if self.tenant else ""
        return (
            f"the certificate of our SAML key {self.key} {ending}: run `kombo-bridge keys rotate saml{whose}`, give the"
            f" IdPs the new metadata, then run `kombo-bridge keys retire {self.key}`"
        )


def expiries(configuration: Configuration, keys: Iterable[KeyRow]) -> Iterator[Expiry]:
    """The ends of every certificate in use: of `keys`, not those of tenants that now go with the deployment's."""
    tenants = configuration.tenants
    for tenant in tenants.values():
        yield Expiry(tenant.slug, None, max(map(certificate_end, tenant.provider.certificates)))
    for key in keys:
        scope = key.kind.scope
        used = not scope or (scope in tenants and tenants[scope].saml.own_keys)
        if key.kind.purpose == SAML and key.certificate and used:
            yield Expiry(scope or None, key.id, certificate_end(key.certificate))


class ExpiryWatch:
    """Says in the log what is about to end: each certificate once a threshold and day, whichever process says it."""

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
        close = await asyncio.to_thread(_close, self._current(), tuple(self._keys.held.values()), now)
        unsaid = [(digest, expiry) for digest, expiry in close.items() if digest not in self._said]
        for start in range(0, len(unsaid), MARKED_AT_ONCE):
            for expiry in await self._store.write(partial(_mark, unsaid[start : start + MARKED_AT_ONCE], now)):
                log.warning(
                    "certificate_ends",
                    tenant=expiry.tenant,
                    key=expiry.key,
                    end=expiry.end.isoformat(),
                    threshold=expiry.threshold(now),
                    hint=expiry.warning(now),
                )
        self._said = set(close)


def _close(configuration: Configuration, keys: Iterable[KeyRow], now: datetime) -> dict[str, Expiry]:
    """What is close to its end, by what stands for having said so today."""
    found = (expiry for expiry in expiries(configuration, keys) if expiry.threshold(now) is not None)
    return {_digest(expiry, now): expiry for expiry in found}


def _digest(expiry: Expiry, now: datetime) -> str:
    said = (expiry.tenant, expiry.key, expiry.end.isoformat(), expiry.threshold(now), now.date().isoformat())
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _mark(unsaid: Sequence[tuple[str, Expiry]], now: datetime, connection: Connection) -> list[Expiry]:
    """Take on oneself to say these; those that another process has are left out."""
    forget_at = moment_ms(now + 2 * DAY)
    return [expiry for digest, expiry in unsaid if sessions.use_once(connection, "expiry", digest, forget_at)]
