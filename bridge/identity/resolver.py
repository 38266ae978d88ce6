"""From a verified assertion to exactly one active Kombo user, or a refusal that says why not.

Nothing is ever guessed: two people under one value are nobody, a value that is present and matches nobody does not
fall through to a weaker one unless the tenant says so, and "nobody" is concluded only from a completed sync or from
Kombo itself, and only while what they know is not too old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.directory.freshness import freshness, since
from bridge.directory.live import Key, Live
from bridge.errors import Code, KomboError, Refusal
from bridge.identity import composite
from bridge.identity.identifier import asserted, extracted
from bridge.identity.tried import Result, Tried
from bridge.kombo.client import askable
from bridge.kombo.model import MAX_ID
from bridge.saml.model import Assertion
from bridge.settings.model import IdentityEntry, Tenant
from bridge.store import integrations, lookups
from bridge.store.engine import Store, now_ms
from bridge.store.integrations import Ages
from bridge.store.lookups import Person

RESULTS: Mapping[Code, Result] = {Code.USER_AMBIGUOUS: "ambiguous", Code.USER_INACTIVE: "inactive"}


@dataclass(frozen=True, slots=True)
class Match:
    """Who signed in. Where nobody matched and the tenant lets that pass, `person` is None and `subject` set."""

    tier: str
    person: Person | None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Nobody:
    """Certainly nobody, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """Whom the directory has under a value, of those not too long unseen; `complete`: it can speak of everybody."""

    people: list[Person]
    complete: bool
    ages: Ages


class Resolver:
    """Matches people, in the directory first and live at Kombo where that has no answer."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def resolve(self, assertion: Assertion, tenant: Tenant, tried: list[Tried] | None = None) -> Match:
        """The learner. Raises `Refusal`: `identifier_missing` or one of the `user_…` codes; and `StateError`.

        What is tried on the way is added to `tried`.
        """
        tier, nobody, tried = None, Nobody(""), [] if tried is None else tried
        for entry in tenant.identity:
            value = _asserted(assertion, entry, tried)
            if value is None:
                continue
            tier, found = entry.tier, await self._try(tenant, entry, value, tried)
            if isinstance(found, Person):
                return Match(entry.tier, found)
            nobody = found
            if entry.on_miss == "refuse":
                break
        if tier is None:
            wanted = ", ".join(entry.source or "NameID" for entry in tenant.identity)
            raise Refusal(Code.IDENTIFIER_MISSING, f"the assertion carries none of: {wanted}")
        if tenant.unmatched == "pass" and assertion.name_id:
            return Match(tier, None, subject=_subject(assertion.issuer, assertion.name_id))
        raise Refusal(
            Code.USER_UNMATCHED,
            f"the identifier ({tier}) matches no Kombo user of {tenant.integration_id}: {nobody.reason}",
        )

    async def _try(self, tenant: Tenant, entry: IdentityEntry, value: str, tried: list[Tried]) -> Person | Nobody:
        try:
            found = await self._match(tenant, entry, value)
        except Refusal as refusal:
            tried.append(Tried(entry, value, RESULTS.get(refusal.code, "unknown"), refusal.reason))
            raise
        if isinstance(found, Person):
            tried.append(Tried(entry, value, "matched"))
        else:
            tried.append(Tried(entry, value, "unmatched", found.reason))
        return found

    async def _match(self, tenant: Tenant, entry: IdentityEntry, asserted_value: str) -> Person | Nobody:
        value = extracted(entry, asserted_value)
        if value is None:
            return Nobody("`extract` does not match it")
        known = await self._locally(tenant, entry, value)
        exact = entry.tier != "email" and entry.remote_extract is None
        if known.people and (exact or known.complete):
            return _only(known.people)
        if freshness(tenant, newest := known.ages.of_row("users", now_ms())) == "too_old":
            raise Refusal(Code.USER_UNKNOWN, f"whatever Kombo would say is too old: {since(newest)}")
        unasked = _unaskable(entry, value)
        if unasked is None:
            try:
                return _only(await self._live.people(tenant, _key(entry), value))
            except KomboError as error:
                unasked = str(error)
        if not known.complete:
            users = since(known.ages.of("users"))
            raise Refusal(Code.USER_UNKNOWN, f"the directory's users are {users}, and Kombo has no answer: {unasked}")
        return Nobody(f"it is not in the directory, and Kombo has no answer: {unasked}")

    async def _locally(self, tenant: Tenant, entry: IdentityEntry, value: str) -> Known:
        integration = tenant.integration_id

        def work(connection: Connection) -> Known:
            ages = integrations.ages(connection, integration)
            people = [
                person
                for person in _find(connection, integration, entry, value)
                if freshness(tenant, ages.of_row("users", person.seen_at)) != "too_old"
            ]
            return Known(people, freshness(tenant, ages.of("users")) != "too_old", ages)

        return await self._store.read(work)


def _asserted(assertion: Assertion, entry: IdentityEntry, tried: list[Tried]) -> str | None:
    try:
        value = asserted(assertion, entry)
    except Refusal as refusal:
        tried.append(Tried(entry, None, "unreadable", refusal.reason))
        raise
    if value is None:
        tried.append(Tried(entry, None, "absent"))
    return value


def _key(entry: IdentityEntry) -> Key:
    return "email" if entry.tier == "email" else "remote_id"


def _unaskable(entry: IdentityEntry, value: str) -> str | None:
    """Why Kombo cannot be asked for the value; None where it can."""
    if entry.remote_extract is not None:
        return "parts of remote ids are matched in the directory only"
    if askable(value):
        return None
    return "it has a comma in it" if "," in value else f"it is longer than {MAX_ID} characters"


def _find(connection: Connection, integration_id: str, entry: IdentityEntry, value: str) -> list[Person]:
    """Everybody under the value. Raises `Refusal` (`user_ambiguous`) where they are too many to look at each."""
    if entry.tier == "email":
        found = lookups.people_by_email(connection, integration_id, value)
    elif entry.remote_extract is None:
        found = lookups.people_by_remote_id(connection, integration_id, value)
    else:
        ids = composite.user_ids(connection, integration_id, entry.remote_extract, value)
        first = list(islice(ids, lookups.MANY + 1))
        found = [person for id in first if (person := lookups.person(connection, integration_id, id))]
    return _few(found)


def _few(people: list[Person]) -> list[Person]:
    if len(people) > lookups.MANY:
        raise Refusal(Code.USER_AMBIGUOUS, f"more than {lookups.MANY} Kombo users share the identifier")
    return people


def _only(people: list[Person]) -> Person | Nobody:
    """The one active person; inactive people count only where nobody active is among them."""
    active = [person for person in _few(people) if person.active]
    if len(active) == 1:
        return active[0]
    if active:
        raise Refusal(Code.USER_AMBIGUOUS, f"{len(active)} active Kombo users share the identifier")
    if people:
        statuses = ", ".join(sorted({str(person.status) for person in people}))
        raise Refusal(Code.USER_INACTIVE, f"the Kombo user is not active: {statuses}")
    return Nobody("neither the directory nor Kombo has it")


def _subject(issuer: str, name_id: str) -> str:
    """A stable name for somebody unmatched that does not show the NameID itself."""
    return digest_of(issuer, name_id)
