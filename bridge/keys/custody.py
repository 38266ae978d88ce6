"""Every private key as one process knows it. It follows the state, so that rollover needs no restart."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from operator import attrgetter
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.keys.rollover import HEADERS, NEVER, SAML, ready_at, signer
from bridge.saml.keys import new_key
from bridge.saml.model import SpKey
from bridge.settings.model import Configuration, Tenant
from bridge.stamp.keys import KeyRing, SigningKey
from bridge.store import keys as rows
from bridge.store.engine import Store, now_ms
from bridge.store.keys import Kind, MadeKey, StoredKey
from bridge.store.sealing import Seal

EVERY_SECONDS = 5.0

log = structlog.get_logger()


def make(kind: Kind, public_url: str) -> MadeKey:
    """A new key of a kind, as yet nowhere but in memory; one for SAML takes about 0.1 s."""
    if kind.purpose == HEADERS:
        made = SigningKey.generate()
        return MadeKey(made.kid, made.pem)
    host = urlsplit(public_url).hostname or public_url
    key = new_key(f"{kind.scope} at {host}" if kind.scope else host, datetime.now(UTC))
    return MadeKey(key.id, key.private_pem, key.certificate_pem)


class HeldKeys:
    """Keys in memory. `clock` is in milliseconds since 1970."""

    def __init__(self, keys: Iterable[StoredKey] = (), clock: Callable[[], int] = now_ms) -> None:
        self._clock = clock
        self._held: dict[str, StoredKey] = {}
        self._headers: list[StoredKey] = []
        self._signing: dict[str, SigningKey] = {}
        self._saml: dict[str, tuple[SpKey, ...]] = {}
        self._ring = KeyRing(())
        self._turns_at = 0
        self._hold(keys)

    @property
    def held(self) -> Mapping[str, StoredKey]:
        """All of them, by id."""
        return self._held

    @property
    def ring(self) -> KeyRing:
        """The header-signing keys now in force. Raises `StateError` before there are any."""
        if (now := self._clock()) >= self._turns_at:
            self._turn(now)
        return self._ring

    def of(self, tenant: Tenant) -> tuple[SpKey, ...]:
        """The SAML keys towards the tenant's IdP: the first signs, all decrypt, all are in the metadata.

        Empty for the moment between the loading of a tenant that asks for keys of its own and their making. The
        deployment's never stand in for them: the IdP would learn to trust what its tenant did not ask for.
        """
        return self._saml.get(tenant.slug if tenant.saml.own_keys else "", ())

    def signing(self, tenant: Tenant) -> SpKey:
        """The SAML key that signs towards the tenant's IdP. Raises `StateError` in that moment before there is one."""
        if not (keys := self.of(tenant)):
            raise StateError(f"the keys of the tenant {tenant.slug} have not been made yet")
        return keys[0]

    def _hold(self, keys: Iterable[StoredKey]) -> None:
        by_kind: defaultdict[Kind, list[StoredKey]] = defaultdict(list)
        for key in sorted(keys, key=attrgetter("created_at")):
            by_kind[key.kind].append(key)
        headers = by_kind.pop(Kind(HEADERS), [])
        self._signing = {key.id: SigningKey.parse(key.id, key.private_pem) for key in headers}
        self._headers = headers
        self._saml = {kind.scope: tuple(map(_sp_key, held)) for kind, held in by_kind.items() if kind.purpose == SAML}
        self._held = {key.id: key for key in (*headers, *chain.from_iterable(by_kind.values()))}
        self._turns_at = 0

    def _turn(self, now: int) -> None:
        """Take over the ring of this moment, until another key becomes ready."""
        if not self._headers:
            raise StateError("the keys have not been loaded from the state")
        signs = signer(self._headers, now)
        rest = (key for key in self._headers if key is not signs)
        self._ring = KeyRing(tuple(self._signing[key.id] for key in (signs, *rest)))
        to_come = (ready_at(self._headers, index) for index in range(len(self._headers)))
        self._turns_at = min((moment for moment in to_come if moment > now), default=NEVER)


class Keys(HeldKeys):
    """The keys of the state. `current` gives the configuration in force."""

    def __init__(self, store: Store, seal: Seal, current: Callable[[], Configuration]) -> None:
        super().__init__()
        self._store = store
        self._seal = seal
        self._current = current
        self._unreadable: dict[str, Kind] = {}

    async def load(self) -> None:
        """Read every key, and make the first of each kind that is needed.

        Raises `StateError` where the state cannot be read, or holds a key that the secrets do not open.
        """
        await self._read(strict=True)
        await self._make_missing()

    async def follow(self) -> None:
        """Until cancelled, take over within seconds what commands and other nodes did, and serve tenants as they come.

        Keys that were known stay in force while the state cannot be read, and so does what is readable beside a key
        that is not.
        """
        failing = False
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self._read()
                await self._make_missing()
                failing = False
            except StateError as error:
                if not failing:
                    log.warning("keys_not_followed", reason=str(error))
                failing = True
            except Exception:
                log.exception("keys_not_followed")

    async def _read(self, *, strict: bool = False) -> None:
        """Take over the state's keys. One that the secrets do not open is said once and left, or raised if `strict`."""
        known = self._held.keys() | self._unreadable.keys()

        def read(connection: Connection) -> tuple[Mapping[str, int | None], list[rows.SealedKey]]:
            present = rows.turns(connection)
            return present, rows.fetch(connection, list(present.keys() - known))

        present, found = await self._store.read(read)
        opened, failed = await asyncio.to_thread(_open, found, self._seal)
        for key, error in failed:
            if strict:
                raise error
            log.error("key_not_opened", key=key.id, reason=str(error))
        gone = self._held.keys() - present.keys()
        self._unreadable = {id: kind for id, kind in self._unreadable.items() if id in present}
        self._unreadable |= {key.id: key.kind for key, _ in failed}
        kept = [replace(key, signs_from=present[id]) for id, key in self._held.items() if id in present]
        promoted = [key.id for key in kept if key != self._held[key.id]]
        if opened or gone or promoted:
            if self._held:
                log.info("keys_changed", came=[key.id for key in opened], went=sorted(gone), promoted=promoted)
            self._hold([*kept, *opened])

    async def _make_missing(self) -> None:
        """Processes that find the same keys missing start anywhere among them, so that they share the work."""
        while missing := self._missing():
            kind = secrets.choice(missing)
            made = await asyncio.to_thread(make, kind, self._current().service.public_url)
            if await self._store.write(partial(rows.add_first, seal=self._seal, kind=kind, made=made)):
                log.info("key_made", purpose=kind.purpose, tenant=kind.scope or None, key=made.id)
            await self._read()

    def _missing(self) -> list[Kind]:
        there = {key.kind for key in self._held.values()} | set(self._unreadable.values())
        own = (Kind(SAML, slug) for slug, tenant in self._current().tenants.items() if tenant.saml.own_keys)
        return [kind for kind in (Kind(HEADERS), Kind(SAML), *own) if kind not in there]


def _open(
    found: Iterable[rows.SealedKey], seal: Seal
) -> tuple[list[StoredKey], list[tuple[rows.SealedKey, StateError]]]:
    opened, failed = [], []
    for key in found:
        try:
            opened.append(key.opened(seal))
        except StateError as error:
            failed.append((key, error))
    return opened, failed


def _sp_key(key: StoredKey) -> SpKey:
    return SpKey(key.id, key.private_pem, key.certificate or "")
