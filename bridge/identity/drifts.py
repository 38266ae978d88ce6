"""People's addresses that drift: one that changed under a stable identifier, and one that two people have.

Neither refuses anybody by itself. Both foretell who will be: where people are recognised by address, one that differs
from Kombo's matches nobody, and one that two people have is `user_ambiguous`. They are noticed at logins that were
verified and after each reading of the people, written down together soon after, and said once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from cachetools import TTLCache
from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.errors import Refusal, StateError
from bridge.identity.identifier import asserted, extracted, is_email
from bridge.identity.resolver import Match
from bridge.identity.tried import Tried
from bridge.saml.model import Assertion
from bridge.settings.model import IdentityEntry, Tenant
from bridge.store import drifts as rows
from bridge.store import lookups
from bridge.store.drifts import Kind
from bridge.store.engine import Store, now_ms
from bridge.store.people import fold

EVERY_SECONDS = 1.0
ROOM = 500
"""How many wait to be written; what is noticed beyond them is noticed at another login."""
REMEMBERED = 20_000
AGAIN_SECONDS = 3600
"""What was written this long ago is written again, so that it shows that it goes on."""
MOST_SHARED = 100

EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
"""SAML core 8.3.2."""
USUAL_NAMES = (
    "mail",
    "email",
    "emailAddress",
    "urn:oid:0.9.2342.19200300.100.1.3",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
)
"""Under which IdPs send a work address, where the tenant's file names no attribute for it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something to be written down. `address` is folded; nothing but its digest is kept."""

    tenant: str
    kind: Kind
    user_id: str
    address: str
    other_id: str | None = None

    @property
    def digest(self) -> str:
        return digest_of(self.tenant, self.kind, self.user_id, self.other_id or "", self.address)


class Drifts:
    """Notices at logins, and writes in the background."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed: deque[Noticed] = deque(maxlen=ROOM)
        self._ambiguous: deque[tuple[Tenant, str]] = deque(maxlen=ROOM)
        self._written: TTLCache[str, None] = TTLCache(REMEMBERED, AGAIN_SECONDS)

    def matched(self, tenant: Tenant, assertion: Assertion, match: Match) -> None:
        """Somebody was recognised: whether the IdP gives them another address than Kombo has."""
        person = match.person
        if person is None or not person.email or match.tier == "email":
            return
        address = asserted_address(assertion, tenant)
        if address is None or address == fold(person.email):
            return
        noticed = Noticed(tenant.slug, "address_changed", person.id, address)
        if noticed.digest not in self._written:
            self._changed.append(noticed)

    def unmatched(self, tenant: Tenant, tried: Sequence[Tried]) -> None:
        """Nobody was recognised: whether that was as several people have one address."""
        last = tried[-1] if tried else None
        if last is None or last.result != "ambiguous" or last.entry.tier != "email" or last.value is None:
            return
        if (value := extracted(last.entry, last.value)) and digest_of(tenant.slug, value) not in self._written:
            self._ambiguous.append((tenant, value))

    # In the background

    async def run(self) -> None:
        """Write what was noticed, now and then; once more at the end."""
        try:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                await self.write()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.write()

    async def write(self) -> None:
        """Write what was noticed, and say what is new of it. What cannot be written now is noticed again."""
        if not self._changed and not self._ambiguous:
            return
        changed, ambiguous = list(self._changed), list(self._ambiguous)
        self._changed.clear()
        self._ambiguous.clear()
        try:
            shared = [found for tenant, value in ambiguous for found in await self._sharing(tenant, value)]
            noticed = list(dict.fromkeys((*changed, *shared)))
            await note(self._store, noticed)
        except StateError as error:
            log.warning("drifts_not_written", reason=str(error))
            return
        self._written.update(dict.fromkeys(each.digest for each in noticed))
        self._written.update(dict.fromkeys(digest_of(tenant.slug, value) for tenant, value in ambiguous))

    async def _sharing(self, tenant: Tenant, value: str) -> list[Noticed]:
        integration = tenant.integration_id
        people = await self._store.read(lambda c: lookups.people_by_email(c, integration, value))
        first, *others = sorted(person.id for person in people if person.active) or [""]
        return [Noticed(tenant.slug, "address_shared", first, fold(value), other) for other in others[:MOST_SHARED]]


async def look(store: Store, tenant: Tenant) -> None:
    """Whether two active people of the directory have one address, after a reading of them. Raises `StateError`."""
    integration = tenant.integration_id
    shared = await store.read(lambda connection: rows.shared_addresses(connection, integration, MOST_SHARED))
    if shared:
        await note(store, [Noticed(tenant.slug, "address_shared", one, address, two) for address, one, two in shared])


async def note(store: Store, noticed: Sequence[Noticed]) -> None:
    """Write it down, and say in the log what nobody has noticed before. Raises `StateError`."""
    moment = now_ms()

    def work(connection: Connection) -> list[Noticed]:
        return [
            each
            for each in noticed
            if rows.note(connection, each.tenant, each.kind, each.user_id, each.address, each.other_id, moment)
        ]

    for new in await store.write(work):
        if new.kind == "address_changed":
            log.warning("address_changed", tenant=new.tenant, user=new.user_id)
        else:
            log.warning("address_shared", tenant=new.tenant, user=new.user_id, other=new.other_id)


def asserted_address(assertion: Assertion, tenant: Tenant) -> str | None:
    """What the IdP says somebody's address is, folded: by the tenant's own `email:` entries, else where it usually is.

    None where there is none, or none that reads like one address.
    """
    own = [entry for entry in tenant.identity if entry.tier == "email"]
    usual = [IdentityEntry(tier="email", source=name) for name in USUAL_NAMES]
    for entry in own or usual:
        with contextlib.suppress(Refusal):
            value = asserted(assertion, entry)
            if value and (address := extracted(entry, value)) and is_email(address):
                return fold(address)
    subject = assertion.subject
    if subject and subject.format == EMAIL_FORMAT and is_email(subject.value):
        return fold(subject.value)
    return None
