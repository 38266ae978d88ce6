"""Another system's id: what the customer's HR system, or another customer, calls this person.

What each LMS's remote id is, Kombo's guide says; that an id has the shape of another system's is a guess of ours, made
only where the synced ids are of one shape and the value is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bridge.explain.cases.unfound import Unfound, name_of
from bridge.explain.change import Change, Write
from bridge.identity.identifier import is_email
from bridge.settings.model import IdentityEntry
from bridge.store import integrations, nearby
from bridge.store.people import fold

WID = re.compile(r"[0-9a-f]{32}")
_MOSTLY = 0.9
_FEWEST = 3
_CENTRAL = re.compile(r"(?i)user_?id|person_?id_?external|username|employee_?(id|number)|assignment_?id_?external")
_SEVERAL = 10


async def workday_employee_id(unfound: Unfound) -> Change | None:
    value = unfound.value
    if not value or WID.fullmatch(value) or is_email(value) or unfound.tool != "workday":
        return None
    if not _mostly(unfound, lambda remote_id: bool(WID.fullmatch(remote_id))):
        return None
    fallback, write = await _by_address(unfound)
    return Change(
        "workday_employee_id",
        "idp",
        f"What {_source(unfound)} carries is no Workday WID: that has 32 hexadecimal digits, as the synced remote ids"
        " have. It looks like the Employee ID that people read on their pay slip, which Workday Learning does not key"
        " its users on. Let the customer's IT surface the WID (from Worker_Reference) as an attribute of its own, such"
        f" as lms_user_id, and name that one here.{fallback}",
        write,
    )


async def successfactors_employee_central(unfound: Unfound) -> Change | None:
    value = unfound.value
    last = unfound.last
    if not value or last is None or unfound.tool != "successfactors" or last.entry.tier == "email":
        return None
    central = bool(last.entry.source and _CENTRAL.search(last.entry.source)) or last.entry.source is None
    if not central and _fits_shape(unfound, value):
        return None
    fallback, write = await _by_address(unfound)
    return Change(
        "successfactors_employee_central",
        "idp",
        f"What {_source(unfound)} carries is nobody's studentID. Kombo's remote id is the studentID of SuccessFactors"
        " Learning, as Learning's own administration shows it. It equals Employee Central's userId only where that was"
        " set up so; personIdExternal and the user name are others still. Ask the customer's IT which of them its IdP"
        f" sends, and let it send the studentID.{fallback}",
        write,
    )


async def cornerstone_internal_id(unfound: Unfound) -> Change | None:
    value = unfound.value
    if not value or unfound.tool != "cornerstoneondemand" or is_email(value) or _fits_shape(unfound, value):
        return None
    fallback, write = await _by_address(unfound)
    return Change(
        "cornerstone_internal_id",
        "idp",
        f"What {_source(unfound)} carries has not the shape of the synced remote ids. Those are Cornerstone's internal"
        " user IDs, not the user name nor an employee number: let the customer's IT send that ID as an attribute of its"
        f" own, and name it here.{fallback}",
        write,
    )


async def of_another_tenant(unfound: Unfound) -> Change | None:
    """Never whom: that somebody is known elsewhere is for the operator, whose both tenants are."""
    last, value = unfound.last, unfound.value
    if last is None or not value:
        return None
    own = unfound.integration
    known = await unfound.copy.read(integrations.every)
    slugs: dict[str, str] = {}
    for tenant in unfound.configuration.tenants.values():
        slugs.setdefault(tenant.integration_id, tenant.slug)
    among = sorted({*known, *slugs} - {own})
    found = await unfound.copy.read(lambda connection: nearby.integrations_with(connection, among, value))
    if not found:
        return None
    sure = is_email(value) or WID.fullmatch(value) is not None
    of_tenants = [slugs[each] for each in found if each in slugs][:_SEVERAL]
    if of_tenants:
        caution = "" if sure else " A short id may be there by chance, so make sure first."
        return Change(
            "of_another_tenant",
            "link",
            f"Nobody of this tenant has what {_source(unfound)} carries; somebody of the tenant"
            f" {', '.join(of_tenants)} has.{caution} Either the learner came by the wrong tenant's link, or"
            f" `kombo.integration_id` of one of the two files is the other's: this one says {own}.",
        )
    return Change(
        "of_a_former_integration",
        "bridge",
        f"Nobody of {own} has what {_source(unfound)} carries; somebody of {found[0]} has, which no tenant's file"
        " names. If the customer's integration was made anew in Kombo, see that `kombo.integration_id` names the one"
        " that is synced now.",
    )


async def domain_changed(unfound: Unfound) -> Change | None:
    """jane@old.com and jane@new.com, one of which each side has."""
    value = unfound.value
    if not value or not is_email(value) or unfound.last is None or unfound.last.entry.tier != "email":
        return None
    local, _, domain = fold(value).rpartition("@")
    found = await unfound.copy.read(
        lambda connection: nearby.domains_of(connection, unfound.integration, local, _SEVERAL)
    )
    if len(found) != 1:
        return None
    return Change(
        "domain_changed",
        "lms",
        f"Nobody has the address that {_source(unfound)} carries, in {domain}; exactly one person has it with another"
        f" domain, {found[0][1]}. It seems that addresses were changed at the IdP and not in the LMS, or the other way"
        " round. Let the customer bring the two together (Kombo takes it up at its next sync); better, let its IdP send"
        " the remote id, which does not change with an address.",
    )


def _mostly(unfound: Unfound, fits: Callable[[str], bool]) -> bool:
    sample = unfound.around.sample
    return len(sample) >= _FEWEST and sum(map(fits, sample)) >= _MOSTLY * len(sample)


def _fits_shape(unfound: Unfound, value: str) -> bool:
    """Whether it looks as most of the synced ids do: digits, letters and what stands between them."""
    wanted = _shape(value)
    return not _mostly(unfound, lambda remote_id: _shape(remote_id) != wanted)


def _shape(value: str) -> str:
    return re.sub(r"[0-9]+", "0", re.sub(r"[^\W\d_]+", "a", value))


def _source(unfound: Unfound) -> str:
    return name_of(unfound.last.entry) if unfound.last else "the response"


async def _by_address(unfound: Unfound) -> tuple[str, Write | None]:
    """What lets people in meanwhile, where an address would."""
    for candidate in unfound.candidates:
        entry = IdentityEntry(tier="email", source=candidate.entry.source)
        if is_email(candidate.value) and await unfound.proven(identity := unfound.instead(entry)):
            return (
                f" Until then {candidate.source}, which is the address of exactly one active person, would do; write:",
                unfound.write(identity),
            )
    return "", None
