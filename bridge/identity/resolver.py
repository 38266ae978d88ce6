"""From a verified assertion to exactly one active Kombo user, or a refusal that says why not.

Nothing is ever guessed: two people under one value are nobody, a value that is present and matches nobody does not
fall through to a weaker one unless the tenant says so, and "nobody" is concluded only from a completed sync or from
Kombo itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.directory.live import Key, Live
from bridge.errors import Code, KomboError, Refusal
from bridge.identity.identifier import asserted, extracted
from bridge.kombo.client import askable
from bridge.saml.model import Assertion
from bridge.settings.model import IdentityEntry, Tenant
from bridge.settings.values import Regex
from bridge.store import lookups
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.lookups import Person


@dataclass(frozen=True, slots=True)
class Match:
    """Who signed in. Where nobody matched and the tenant lets that pass, `person` is None and `subject` set."""

    tier: str
    person: Person | None
    subject: str | None = None


class Resolver:
    """Matches people, in the directory first and live at Kombo where that has no answer."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def resolve(self, assertion: Assertion, tenant: Tenant) -> Match:
        """The learner. Raises `Refusal`: `identifier_missing` or one of the `user_…` codes; and `StateError`."""
        tier = None
        for entry in tenant.identity:
            value = asserted(assertion, entry)
            if value is None:
                continue
            tier = entry.tier
            person = await self._match(tenant, entry, value)
            if person is not None:
                return Match(entry.tier, person)
            if entry.on_miss == "refuse":
                break
        if tier is None:
            wanted = ", ".join(entry.source or "NameID" for entry in tenant.identity)
            raise Refusal(Code.IDENTIFIER_MISSING, f"the assertion carries none of: {wanted}")
        if tenant.unmatched == "pass" and assertion.name_id:
            return Match(tier, None, subject=_subject(assertion.issuer, assertion.name_id))
        raise Refusal(Code.USER_UNMATCHED, f"the identifier ({tier}) matches no Kombo user of {tenant.integration_id}")

    async def _match(self, tenant: Tenant, entry: IdentityEntry, asserted_value: str) -> Person | None:
        value = extracted(entry, asserted_value)
        if value is None:
            return None
        people, known_complete = await self._locally(tenant, entry, value)
        exact = entry.tier != "email" and entry.remote_extract is None
        if people and (exact or known_complete):
            return _only(people)
        if entry.remote_extract is None and askable(value):
            try:
                return _only(await self._live.people(tenant, _key(entry), value))
            except KomboError as error:
                if not known_complete:
                    raise Refusal(
                        Code.USER_UNKNOWN, f"not in the directory, and Kombo cannot be asked: {error}"
                    ) from error
        if not known_complete:
            raise Refusal(
                Code.USER_UNKNOWN, "the directory has not read all users yet, and Kombo cannot be asked for this"
            )
        return _only(people)

    async def _locally(self, tenant: Tenant, entry: IdentityEntry, value: str) -> tuple[list[Person], bool]:
        """People in the directory, and whether the directory is complete and recent enough to speak of everybody."""
        oldest = now_ms() - length_ms(tenant.kombo.stale_for)

        def work(connection: Connection) -> tuple[list[Person], bool]:
            people = _find(connection, tenant.integration_id, entry, value)
            as_of = lookups.synced(connection, tenant.integration_id).get("users", 0)
            return [person for person in people if person.seen_at >= oldest], as_of >= oldest

        return await self._store.read(work)


def _key(entry: IdentityEntry) -> Key:
    return "email" if entry.tier == "email" else "remote_id"


def _find(connection: Connection, integration_id: str, entry: IdentityEntry, value: str) -> list[Person]:
    """Everybody under the value. Raises `Refusal` (`user_ambiguous`) where they are too many to look at each."""
    if entry.tier == "email":
        found = lookups.people_by_email(connection, integration_id, value)
    elif entry.remote_extract is None:
        found = lookups.people_by_remote_id(connection, integration_id, value)
    else:
        found = _find_composite(connection, integration_id, entry.remote_extract, value)
    if len(found) > lookups.MANY:
        raise Refusal(Code.USER_AMBIGUOUS, f"more than {lookups.MANY} Kombo users share the identifier")
    return found


def _find_composite(connection: Connection, integration_id: str, pattern: Regex, value: str) -> list[Person]:
    fits = (
        user_id
        for user_id, remote_id in lookups.every_remote_id(connection, integration_id)
        if (match := pattern.fullmatch(remote_id)) and match["id"] == value
    )
    people = (lookups.person(connection, integration_id, user_id) for user_id in list(islice(fits, lookups.MANY + 1)))
    return [person for person in people if person]


def _only(people: list[Person]) -> Person | None:
    """The one active person; inactive people count only where nobody active is among them."""
    active = [person for person in people if person.active]
    if len(active) == 1:
        return active[0]
    if active:
        raise Refusal(Code.USER_AMBIGUOUS, f"{len(active)} active Kombo users share the identifier")
    if people:
        raise Refusal(Code.USER_INACTIVE, "the Kombo user is not active")
    return None


def _subject(issuer: str, name_id: str) -> str:
    """A stable name for somebody unmatched that does not show the NameID itself."""
    return digest_of(issuer, name_id)
