"""Somebody who was not found, or not as one active person, as the cases look at it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bridge.errors import Refusal
from bridge.explain.change import Change, Write, as_written, write
from bridge.explain.copy import Copy, Whom
from bridge.identity.identifier import asserted, extracted, is_email
from bridge.identity.tried import Tried
from bridge.saml.model import Assertion
from bridge.settings.model import Configuration, IdentityEntry, Tenant
from bridge.settings.values import Regex
from bridge.store import integrations, nearby
from bridge.store.integrations import Ages, Standing
from bridge.store.lookups import Person
from bridge.store.nearby import Counts
from bridge.store.people import fold
from bridge.store.rows import STRETCH

SOURCES = 60
LOOKED_AT = 25 * STRETCH
"""People at most whose remote ids are looked through, some hundred milliseconds for each stretch of them."""
SAMPLE = 2000
CLOSE = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value that the assertion carries, and the entry that would read it."""

    entry: IdentityEntry
    value: str

    @property
    def source(self) -> str:
        return name_of(self.entry)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry, the tenant's entries with it, and whom they find; `confirmed` by an address of theirs."""

    entry: IdentityEntry
    identity: Sequence[IdentityEntry]
    person: Person
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the copy has around a value: remote ids that contain it or differ a little, and a sample of all of them."""

    counts: Counts
    ages: Ages
    standing: Standing | None
    close: Sequence[str] = ()
    sample: Sequence[str] = ()

    @property
    def known_at(self) -> int:
        return self.ages.of("users")


@dataclass(frozen=True, slots=True)
class Unfound:
    """`assertion` is None where what the IdP said is not kept, or no longer; `around` is about the last value tried."""

    configuration: Configuration
    tenant: Tenant
    copy: Copy
    refusal: Refusal
    tried: Sequence[Tried]
    around: Surroundings
    assertion: Assertion | None = None
    _candidates: list[Candidate] = field(default_factory=list)
    _confusing: dict[Regex, bool] = field(default_factory=dict)

    @property
    def last(self) -> Tried | None:
        """What was tried last, with its value: that decided."""
        return decisive(self.tried)

    @property
    def value(self) -> str | None:
        """What of the last value counts; None where there is none, or `extract` does not match it."""
        return value_of(self.last)

    @property
    def integration(self) -> str:
        return self.tenant.integration_id

    @property
    def tool(self) -> str:
        """Kombo's name of the LMS, which begins an integration's id."""
        return self.integration.partition(":")[0].lower()

    @property
    def candidates(self) -> Sequence[Candidate]:
        """Every value that could be an identifier: of the NameID, and of each attribute with exactly one."""
        if not self._candidates and self.assertion is not None:
            self._candidates.extend(_candidates(self.assertion))
        return self._candidates

    @property
    def addresses(self) -> set[str]:
        """Every email address that the assertion carries, folded."""
        return {fold(each.value) for each in self.candidates if is_email(each.value)}

    def instead(self, entry: IdentityEntry) -> Sequence[IdentityEntry]:
        """The tenant's entries with this one first, in the place of those that found nobody."""
        gone = {tried.entry for tried in self.tried}
        kept = [each for each in self.tenant.identity if each not in gone and each != entry]
        weaker = [tried.entry for tried in self.tried if tried.entry.tier == "email" and tried.result == "absent"]
        return list(dict.fromkeys([entry, *([] if entry.tier == "email" else weaker), *kept]))

    async def who_if(self, identity: Sequence[IdentityEntry]) -> Whom | None:
        if self.assertion is None:
            return None
        return await self.copy.who_if(self.tenant, self.assertion, identity)

    async def proven(self, identity: Sequence[IdentityEntry]) -> Person | None:
        """The one active person whom these entries would find.

        Never one whom an address of the assertion contradicts: a number that is a cost centre here may be somebody's
        id there.
        """
        whom = await self.who_if(identity)
        person = whom.person if whom else None
        if person is None or await self.contradicted(person) or await self._confuses(identity[0]):
            return None
        return person

    async def _confuses(self, entry: IdentityEntry) -> bool:
        """Whether the entry's pattern cuts one person's remote id out of another's: then it could take either for the
        other, whoever it finds just now.
        """
        pattern = entry.extract or entry.remote_extract
        if pattern is None:
            return False
        if pattern not in self._confusing:
            self._confusing[pattern] = await confuses(self.copy, self.integration, pattern)
        return self._confusing[pattern]

    async def best(self, entries: Iterable[IdentityEntry]) -> Proposal | None:
        """The first of the entries that finds somebody, those before the others whom an address confirms; None where
        they find different people and nothing says which of them came.
        """
        found: list[Proposal] = []
        for entry in entries:
            identity = self.instead(entry)
            if person := await self.proven(identity):
                found.append(Proposal(entry, identity, person, self.confirmed(person)))
        found.sort(key=lambda each: not each.confirmed)
        if not found or (not found[0].confirmed and len({each.person.id for each in found}) > 1):
            return None
        return found[0]

    async def contradicted(self, person: Person) -> bool:
        """Whether an address that the assertion carries is another person's."""
        if self.confirmed(person):
            return False
        for address in sorted(self.addresses)[:5]:
            found = await self.copy.of_address(self.tenant, address)
            if found and all(each.id != person.id for each in found):
                return True
        return False

    def confirmed(self, person: Person) -> bool:
        """Whether the assertion carries the person's own address."""
        return person.email is not None and fold(person.email) in self.addresses

    def confidence(self, person: Person) -> str:
        """What the operator has to know before writing down that this is whom a value means."""
        if self.confirmed(person):
            return " That it is the same person, the address in the response confirms."
        if self.addresses and person.email:
            return (
                " But the response carries an address, and the person found has another: it may be somebody else, such"
                " as a manager. Ask the customer's IT first whether it holds the id that the learner has in the LMS."
            )
        return (
            " Nothing else in the response confirms that it is the same person: ask the customer's IT first whether it"
            " holds the id that people have in the LMS."
        )

    def write(self, identity: Sequence[IdentityEntry]) -> Write:
        return write(self.configuration, self.tenant, ("identity",), as_written(identity))


Case = Callable[[Unfound], Awaitable[Change | None]]


def decisive(tried: Sequence[Tried]) -> Tried | None:
    return next((each for each in reversed(tried) if each.value is not None), None)


def value_of(tried: Tried | None) -> str | None:
    """What of the value counts; None where there is none, or `extract` does not match it."""
    return extracted(tried.entry, tried.value) if tried and tried.value is not None else None


def name_of(entry: IdentityEntry) -> str:
    return "the NameID" if entry.source is None else f"the attribute {entry.source}"


def with_extract(entry: IdentityEntry, pattern: str) -> IdentityEntry:
    return entry.model_copy(update={"extract": Regex.parse(pattern)})


def with_remote_extract(entry: IdentityEntry, pattern: str) -> IdentityEntry:
    return entry.model_copy(update={"remote_extract": Regex.parse(pattern)})


def literal(text: str) -> str:
    """A pattern for exactly that text, whatever is in it."""
    return "".join(re.escape(char) if char.isprintable() else f"\\x{{{ord(char):x}}}" for char in text)


async def surroundings(copy: Copy, integration: str, value: str | None) -> Surroundings:
    """Looks through the remote ids once, a stretch at a time, as logins wait for readers as well."""
    counts = await copy.read(lambda connection: nearby.counts(connection, integration))
    around = Surroundings(
        counts,
        await copy.read(lambda connection: integrations.ages(connection, integration)),
        await copy.read(lambda connection: integrations.standing(connection, integration)),
    )
    close: list[str] = []
    sample: list[str] = []
    async for stretch in _stretches(copy, integration):
        sample += stretch[: SAMPLE - len(sample)]
        close += [] if value is None else await asyncio.to_thread(_close, stretch, value)
        if len(close) >= CLOSE:
            break
    return replace(around, close=close[:CLOSE], sample=sample)


async def confuses(copy: Copy, integration: str, pattern: Regex) -> bool:
    """Whether the pattern cuts somebody's remote id out of another's."""
    async for stretch in _stretches(copy, integration):
        parts = await asyncio.to_thread(_parts, stretch, pattern)
        if await copy.read(partial(nearby.has_any, integration_id=integration, remote_ids=parts)):
            return True
    return False


def _parts(remote_ids: Sequence[str], pattern: Regex) -> list[str]:
    """What the pattern cuts out of them, where it leaves something."""
    matches = ((remote_id, pattern.fullmatch(remote_id)) for remote_id in remote_ids)
    return sorted({match["id"] for remote_id, match in matches if match and match["id"] not in (None, "", remote_id)})


async def _stretches(copy: Copy, integration: str) -> AsyncIterator[list[str]]:
    """The remote ids of everybody, or of as many as are looked at. The page for admins asks on the service's own event
    loop, so that whoever goes through a stretch does that in a thread.
    """
    after: str | None = None
    for _ in range(0, LOOKED_AT, STRETCH):
        stretch = await copy.read(partial(nearby.remote_ids, integration_id=integration, after=after))
        yield [remote_id for _, remote_id in stretch]
        if len(stretch) < STRETCH:
            break
        after = stretch[-1][0]


def loose(value: str) -> str:
    """What is left where case, blanks and leading zeros do not matter."""
    return "".join(value.split()).casefold().lstrip("0")


def _close(remote_ids: Sequence[str], value: str) -> list[str]:
    return [remote_id for remote_id in remote_ids if _is_close(remote_id, value)]


def _is_close(remote_id: str, value: str) -> bool:
    return bool(value) and remote_id != value and (value in remote_id or loose(remote_id) == loose(value) != "")


def _candidates(assertion: Assertion) -> Iterator[Candidate]:
    entries = [IdentityEntry(tier="name_id")]
    names = dict.fromkeys(attribute.name for attribute in assertion.attributes if attribute.name)
    entries += [IdentityEntry(tier="attribute", source=name) for name in names]
    for entry in entries[:SOURCES]:
        try:
            value = asserted(assertion, entry)
        except Refusal:
            continue
        if value:
            yield Candidate(entry, value)
