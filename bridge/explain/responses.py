"""One response that somebody saved: judged, matched, and explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from bridge.errors import Refusal
from bridge.explain.cases import courses, people
from bridge.explain.cases import responses as cases
from bridge.explain.cases.failed import Failed
from bridge.explain.cases.unfound import Unfound, decisive, surroundings, value_of
from bridge.explain.change import Change
from bridge.explain.copy import Copy, Whom
from bridge.explain.explanation import Course, Difference, Explanation, Identifier
from bridge.explain.judged import Judged, judge
from bridge.explain.said import Said, read
from bridge.identity.tried import Tried
from bridge.keys.custody import HeldKeys
from bridge.keys.rollover import SAML
from bridge.moments import moment, span
from bridge.saml.fingerprints import of_certificate
from bridge.saml.model import Assertion
from bridge.saml.rules import MAX_AGE
from bridge.settings.model import Configuration, Tenant
from bridge.store import integrations, keys, launches
from bridge.store.keys import Kind
from bridge.store.sealing import Seal

UNASKED = (
    "it answers no request, and this tenant takes no such answers (`saml.idp_initiated: false`): the bridge drops it"
    " and begins a login of its own, once"
)


async def explain_response(
    configuration: Configuration, tenant: Tenant, posted: str, copy: Copy, course: str | None = None
) -> Explanation:
    """`posted` is the SAMLResponse in base64. Raises `StateError`.

    What is said of identifiers and of the course is about the synced copy as it is now.
    """
    now = datetime.now(UTC)
    said = read(posted)
    held = await _keys(configuration, tenant, copy) if said and said.encrypted else HeldKeys()
    said = read(posted, held.of(tenant)) if held.of(tenant) else said
    judged = judge(tenant, posted, said, held)
    ahead = said.issued - now if said and said.issued else timedelta()
    from_the_future = ahead > tenant.saml.clock_skew
    assertion = judged.assertion or (said.assertion() if said else None)
    whom = await copy.whom(tenant, assertion) if assertion else Whom(())
    opened, gate = await _course(copy, tenant, whom, course)
    change = await _change(configuration, tenant, copy, judged, whom, assertion, now, from_the_future)
    if change is None and gate and opened:
        change = await courses.change_of(copy, tenant, whom.person, opened.origin_id, gate)
    first = judged.refusal or whom.refusal or gate
    return Explanation(
        of="response",
        tenant=tenant.slug,
        at=said.issued if said else None,
        age=now - said.issued if said and said.issued else None,
        passes=first is None and not from_the_future,
        verified=judged.assertion is not None,
        outcome=str(first.code) if first else ("saml_rejected" if from_the_future else "passes"),
        check=judged.refusal.check if judged.refusal else ("issue_instant" if from_the_future else None),
        reason=first.reason if first else "",
        checks=judged.checks,
        differences=tuple(differences(tenant, said)) if said and judged.refusal else (),
        identifiers=tuple(identifier(tried) for tried in whom.tried),
        carried=carried(tenant, assertion),
        user=whom.person.id if whom.person else None,
        tier=whom.match.tier if whom.match else None,
        standing=await standing(copy, tenant),
        course=opened,
        notes=(*_notes(tenant, judged, whom, ahead), *await let_in(copy, tenant, change)),
        change=change,
    )


async def _change(
    configuration: Configuration,
    tenant: Tenant,
    copy: Copy,
    judged: Judged,
    whom: Whom,
    assertion: Assertion | None,
    now: datetime,
    from_the_future: bool,
) -> Change | None:
    """That of what failed first; a person is looked for only if the response passed."""
    if refusal := judged.refusal:
        ours = judged.keys.of(tenant)
        failed = Failed(configuration, tenant, refusal.check, refusal.reason, refusal.found, now, judged, ours)
        return cases.change_of(failed)
    if from_the_future and judged.said and judged.said.issued:
        found = (judged.said.issued.isoformat(),)
        return cases.change_of(Failed(configuration, tenant, "issue_instant", "", found, now))
    if whom.refusal is None:
        return None
    return await change_for_person(configuration, tenant, copy, whom.refusal, whom.tried, assertion)


async def change_for_person(
    configuration: Configuration,
    tenant: Tenant,
    copy: Copy,
    refusal: Refusal,
    tried: Sequence[Tried],
    assertion: Assertion | None,
) -> Change | None:
    """For somebody who is not found as exactly one active person."""
    around = await surroundings(copy, tenant.integration_id, value_of(decisive(tried)))
    return await people.change_of(Unfound(configuration, tenant, copy, refusal, tried, around, assertion))


def differences(tenant: Tenant, said: Said) -> Iterator[Difference]:
    """What it says, beside what is expected. Nothing of it is verified."""
    ours = [url for url in (tenant.party.acs, tenant.party.former_acs) if url]
    trusted = [of_certificate(pem) for pem in tenant.provider.certificates]
    yield Difference("Issuer", said.issuers, [tenant.provider.entity_id])
    yield Difference("Destination", [said.destination] if said.destination else [], ours)
    yield Difference("Recipient", said.recipients, ours)
    yield Difference("Audience", said.audiences, [tenant.party.entity_id])
    yield Difference("Certificate", said.certificates, trusted)


def identifier(tried: Tried) -> Identifier:
    return Identifier(tried.source, tried.entry.tier, tried.value, tried.result, tried.reason)


def carried(tenant: Tenant, assertion: Assertion | None) -> Sequence[tuple[str, Sequence[str]]]:
    """What no identity entry names."""
    if assertion is None:
        return ()
    named = {entry.source for entry in tenant.identity}
    found = [
        (attribute.name, attribute.values)
        for attribute in assertion.attributes
        if attribute.name not in named and (attribute.friendly_name is None or attribute.friendly_name not in named)
    ]
    if assertion.name_id and None not in named:
        found.insert(0, ("NameID", (assertion.name_id,)))
    return tuple(found)


async def standing(copy: Copy, tenant: Tenant) -> str:
    """Since when the copy is good."""
    ages = await copy.read(lambda connection: integrations.ages(connection, tenant.integration_id))
    known_at = ages.of("users")
    return f"the synced copy as of {moment(known_at)}" if known_at else "the synced copy, which was never complete"


async def let_in(copy: Copy, tenant: Tenant, change: Change | None) -> Sequence[str]:
    """A note where the tenant's file is to be changed for one learner, though others come in by it as it is."""
    if change is None or change.write is None:
        return ()
    found = await copy.read(lambda connection: launches.last_good_of(connection, [tenant.slug]))
    return tuple(
        f"others were let in by this tenant's file, the last who came at {moment(at)}: if it is the same now, see first"
        " what is different with this one account, as the change below is for everybody"
        for at in found.values()
    )


async def _course(copy: Copy, tenant: Tenant, whom: Whom, course: str | None) -> tuple[Course | None, Refusal | None]:
    if course is None or whom.match is None:
        return None, None
    return await copy.course(tenant, whom.person, course)


def _notes(tenant: Tenant, judged: Judged, whom: Whom, ahead: timedelta) -> Iterator[str]:
    if ahead > tenant.saml.clock_skew:
        yield (
            f"it says that it was issued {span(ahead)} in the future: judged as of that moment, and refused if it"
            " came now"
        )
    elif -ahead > MAX_AGE:
        yield "it is too old to be posted again: judged as of the moment at which it says that it was issued"
    if judged.said and judged.said.request_id is None and not tenant.saml.idp_initiated:
        yield UNASKED
    if whom.match and whom.match.person is None:
        yield "nobody in Kombo matched, and `unmatched: pass` forwards the learner without X-Kombo-User"


async def _keys(configuration: Configuration, tenant: Tenant, copy: Copy) -> HeldKeys:
    """Those that may decrypt."""
    seal = Seal(configuration.service.plain_secrets)
    kind = Kind(SAML, tenant.slug if tenant.saml.own_keys else "")
    found = await copy.read(lambda connection: keys.of_kind(connection, kind))
    return HeldKeys(key.opened(seal) for key in found)
