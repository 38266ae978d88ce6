"""The synced copy of people and courses, asked as the service asks it; Kombo itself never is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from bridge.directory.unasked import NotAsked
from bridge.errors import Refusal
from bridge.explain.explanation import Course
from bridge.gate.gate import Gate
from bridge.identity.resolver import Match, Resolver
from bridge.identity.tried import Tried
from bridge.saml.model import Assertion
from bridge.settings.model import IdentityEntry, Tenant
from bridge.store import lookups
from bridge.store.engine import Store
from bridge.store.lookups import Person

T = TypeVar("T")


NOBODY = NotAsked()


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom an assertion means: a `match` or a `refusal`, and what was tried."""

    tried: Sequence[Tried]
    match: Match | None = None
    refusal: Refusal | None = None

    @property
    def person(self) -> Person | None:
        return self.match.person if self.match else None


class Copy:
    """What the bridge knows without asking. Raises `StateError` throughout."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._resolver = Resolver(store, NOBODY)
        self._gate = Gate(store, NOBODY)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._store.read(work)

    async def whom(self, tenant: Tenant, assertion: Assertion) -> Whom:
        tried: list[Tried] = []
        try:
            return Whom(tried, match=await self._resolver.resolve(assertion, tenant, tried))
        except Refusal as refusal:
            return Whom(tried, refusal=refusal)

    async def who_if(self, tenant: Tenant, assertion: Assertion, identity: Sequence[IdentityEntry]) -> Whom:
        """Whom it would mean, had the tenant these identity entries."""
        changed = tenant.model_copy(update={"identity": tuple(identity), "unmatched": "deny"})
        return await self.whom(changed, assertion)

    async def of_address(self, tenant: Tenant, address: str) -> list[Person]:
        return await self.read(lambda connection: lookups.people_by_email(connection, tenant.integration_id, address))

    async def of_id(self, tenant: Tenant, user_id: str) -> Person | None:
        return await self.read(lambda connection: lookups.person(connection, tenant.integration_id, user_id))

    async def course(self, tenant: Tenant, person: Person | None, origin_id: str) -> tuple[Course, Refusal | None]:
        """Whether the course's gate is open to them."""
        try:
            access = await self._gate.check(tenant, person, origin_id)
        except Refusal as refusal:
            return Course(origin_id, False, str(refusal.code), refusal.reason), refusal
        return Course(origin_id, True, f"{access.enrollment}, {access.gate}"), None
