"""A launch or a refusal that the service remembers, explained from what it wrote down.

No response is ever kept, so its checks are shown as they went, not judged again. Whom the IdP meant, and whether the
course is open, are looked up anew, in the synced copy as it is now: a refusal may be over when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bridge.errors import Code, Refusal
from bridge.explain.cases import courses, others, responses
from bridge.explain.cases.failed import Failed
from bridge.explain.change import Change
from bridge.explain.copy import Copy, Whom
from bridge.explain.explanation import Check, Course, Explanation, Identifier
from bridge.explain.responses import carried, change_for_person, identifier, let_in, standing
from bridge.explain.said import as_if_asserted
from bridge.identity.tried import Tried
from bridge.launches import history
from bridge.launches.history import Record
from bridge.saml.model import Assertion, Attribute, NameId
from bridge.settings.model import Configuration, Tenant
from bridge.store.engine import Store
from bridge.store.launches import FORWARDED, SIGNED_IN, Launch
from bridge.store.lookups import Person
from bridge.store.sealing import Seal

_PERSON = frozenset(
    {
        Code.IDENTIFIER_MISSING,
        Code.USER_UNMATCHED,
        Code.USER_AMBIGUOUS,
        Code.USER_INACTIVE,
        Code.USER_UNKNOWN,
    }
)
_GATE = frozenset({Code.COURSE_UNKNOWN, Code.NOT_ENROLLED, Code.ENROLLMENT_UNKNOWN})
_NAME_ID = "NameID"


async def change_for(
    record: Record, configuration: Configuration, store: Store, seal: Seal | None = None
) -> Change | None:
    """The one change that would let this learner in; None where nothing is wrong, or not any more.

    `seal` is one for `bridge.launches.history.PURPOSE`; without it nothing is known of what the IdP said of the person,
    and the change is a more general one. Raises `StateError`.
    """
    return (await explain_record(record, configuration, Copy(store), seal)).change


async def explain_record(
    record: Record, configuration: Configuration, copy: Copy, seal: Seal | None = None, course: str | None = None
) -> Explanation:
    """As `change_for`, with all that is known. `course` asks for another course's gate than the launch's own."""
    launch = record.of if isinstance(record.of, Launch) else None
    tenant = configuration.tenants.get(record.tenant)
    seen = history.seen(seal, launch) if launch and seal else None
    explained = _as_written(record, tenant, launch, seen)
    if tenant is None:
        return replace(explained, change=_without_tenant(record))
    code = _code(record.outcome)
    if code is None:
        explained = replace(explained, standing=await standing(copy, tenant))
        return await _gate_now(explained, tenant, copy, record.of.user_id, course) if course else explained
    if record.of.check:
        change = responses.change_of(_failed(record, configuration, tenant))
        return replace(explained, change=change)
    explained = replace(explained, standing=await standing(copy, tenant), notes=tuple(_since(record, tenant)))
    if code in _PERSON and launch:
        explained = await _person_now(explained, configuration, tenant, copy, code, seen)
        if course and explained.passes:
            return await _gate_now(explained, tenant, copy, explained.user, course)
        return explained
    if code in _GATE and (course or record.of.course):
        return await _gate_now(explained, tenant, copy, record.of.user_id, course or record.of.course or "")
    return replace(explained, change=others.change_of(code, record.reason or ""))


def _as_written(
    record: Record, tenant: Tenant | None, launch: Launch | None, seen: Mapping[str, Sequence[str]] | None
) -> Explanation:
    moment = datetime.fromtimestamp(record.at / 1000, UTC)
    good = record.outcome in (FORWARDED, SIGNED_IN)
    course = None
    if record.of.course:
        opened = f"{launch.enrollment}, {launch.gate}" if launch and launch.gate else record.outcome
        course = Course(record.of.course, bool(launch and launch.gate), opened)
    return Explanation(
        of="launch" if launch else "refusal",
        tenant=record.tenant,
        at=moment,
        age=datetime.now(UTC) - moment,
        passes=good,
        verified=launch is not None,
        reference=record.reference,
        outcome=record.outcome,
        check=record.of.check,
        reason=record.reason or "",
        checks=tuple(_checks(record)),
        identifiers=tuple(_identifiers(record, seen or {})),
        carried=carried(tenant, _assertion(seen)) if tenant and seen else (),
        user=record.of.user_id,
        tier=launch.tier if launch else None,
        course=course,
    )


async def _person_now(
    explained: Explanation,
    configuration: Configuration,
    tenant: Tenant,
    copy: Copy,
    code: Code,
    seen: Mapping[str, Sequence[str]] | None,
) -> Explanation:
    """Whom what was seen means now; without it, what the results alone say."""
    assertion = _assertion(seen)
    unreadable = any(each.result == "unreadable" for each in explained.identifiers)
    if assertion is None or unreadable:  # of two values, or one with markup in it, what was kept would read as plain
        refusal, tried = Refusal(code, explained.reason), list(_tried(explained, tenant))
        change = await change_for_person(configuration, tenant, copy, refusal, tried, None)
        gone = () if assertion else ("what the IdP said of the person is not kept, or no longer",)
        return replace(explained, change=change, notes=(*explained.notes, *gone))
    whom = await copy.whom(tenant, assertion)
    explained = replace(explained, identifiers=tuple(identifier(each) for each in whom.tried) or explained.identifiers)
    if whom.refusal is None:
        return _over(explained, whom)
    change = await change_for_person(configuration, tenant, copy, whom.refusal, whom.tried, assertion)
    notes = (*explained.notes, *await let_in(copy, tenant, change))
    return replace(explained, change=change, reason=whom.refusal.reason, notes=notes)


def _over(explained: Explanation, whom: Whom) -> Explanation:
    note = "with the settings and the synced copy as they are now, the learner would be found"
    user = whom.person.id if whom.person else None
    return replace(
        explained, passes=True, user=user, tier=whom.match.tier if whom.match else None, notes=(*explained.notes, note)
    )


async def _gate_now(
    explained: Explanation, tenant: Tenant, copy: Copy, user_id: str | None, origin_id: str
) -> Explanation:
    person: Person | None = await copy.of_id(tenant, user_id) if user_id else None
    if user_id and person is None:
        gone = Change(
            "deleted_since",
            "lms",
            "The learner was known then and is not any more: deleted or anonymised in the LMS, or of an integration"
            " that the tenant no longer has. They have to open the link again, to be matched anew.",
        )
        return replace(explained, passes=False, change=gone)
    opened, refusal = await copy.course(tenant, person, origin_id)
    if refusal is None:
        note = "by the synced copy as it is now the course is open"
        if explained.course and explained.course.origin_id == origin_id and not explained.course.open:
            note += ": the enrollment came with a later sync"
        return replace(explained, passes=True, course=opened, notes=(*explained.notes, note))
    change = await courses.change_of(copy, tenant, person, origin_id, refusal)
    return replace(explained, passes=False, course=opened, change=change)


def _failed(record: Record, configuration: Configuration, tenant: Tenant) -> Failed:
    ended = [taken.facts for taken in record.steps if taken.outcome == "failed"]
    found = ended[-1].get("found", []) if ended else []
    received = datetime.fromtimestamp(record.at / 1000, UTC)
    return Failed(
        configuration, tenant, record.of.check or "", record.reason or "", [str(each) for each in found], received
    )


def _without_tenant(record: Record) -> Change | None:
    code = _code(record.outcome)
    if record.tenant and code is not None:
        return Change(
            "tenant_gone",
            "bridge",
            f"The tenant {record.tenant} has no valid file now, so that nothing can be compared with it: `kombo-bridge"
            " check` says what is wrong.",
        )
    return others.change_of(code, record.reason or "") if code else None


def _since(record: Record, tenant: Tenant) -> Iterator[str]:
    if isinstance(record.of, Launch) and record.of.integration_id != tenant.integration_id:
        yield f"then the tenant's integration was {record.of.integration_id}, now it is {tenant.integration_id}"


def _code(outcome: str) -> Code | None:
    try:
        return Code(outcome)
    except ValueError:
        return None


def _facts(record: Record) -> Iterator[Mapping[str, Any]]:
    return (taken.facts for taken in record.steps)


def _checks(record: Record) -> Iterator[Check]:
    """Those of the response, as they went."""
    for facts in _facts(record):
        for step, became in facts.get("checks", {}).items():
            yield Check(step, became, str(facts.get("reason", "")) if became == "failed" else "")


def _identifiers(record: Record, seen: Mapping[str, Sequence[str]]) -> Iterator[Identifier]:
    for facts in _facts(record):
        for tried in facts.get("tried", []):
            values = seen.get(tried["source"], ()) if tried["result"] != "absent" else ()
            value = values[0] if len(values) == 1 else None
            yield Identifier(tried["source"], tried["tier"], value, tried["result"], tried["reason"])


@dataclass(frozen=True, slots=True)
class _Named:
    source: str
    tier: str


def _tried(explained: Explanation, tenant: Tenant) -> Iterator[Tried]:
    """The results without their values, of entries that the tenant still has."""
    entries = {_Named(entry.source or _NAME_ID, entry.tier): entry for entry in tenant.identity}
    for each in explained.identifiers:
        if entry := entries.get(_Named(each.source, each.tier)):
            yield Tried(entry, None, each.result, each.reason)  # type: ignore[arg-type]  # as it was written down


def _assertion(seen: Mapping[str, Sequence[str]] | None) -> Assertion | None:
    """What was seen, as if it had just been asserted; it was verified then."""
    if not seen:
        return None
    name_id = seen.get(_NAME_ID)
    attributes = [Attribute(name, None, tuple(values)) for name, values in seen.items() if name != _NAME_ID]
    return as_if_asserted(NameId(name_id[0]) if name_id else None, attributes)
