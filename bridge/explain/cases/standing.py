"""People who are known and may not come in as they are, and a copy that cannot say."""

from __future__ import annotations

from bridge.directory.freshness import freshness
from bridge.directory.standing import ACTIVE, COMPLETED
from bridge.explain.cases.sources import another_source
from bridge.explain.cases.unfound import Unfound, name_of
from bridge.explain.change import Change
from bridge.moments import moment
from bridge.printable import printable
from bridge.settings.model import Tenant
from bridge.store import lookups, nearby
from bridge.store.integrations import Standing
from bridge.store.lookups import Person

_SHOWN = 5


async def never_synced(unfound: Unfound) -> Change | None:
    if unfound.around.known_at:
        return None
    return Change(
        "never_synced",
        "bridge",
        f"The people of {unfound.integration} were never read completely, so nobody can be told apart from somebody who"
        f" is not there.{_kombo_says(unfound.around.standing)} See that `kombo.integration_id`, `kombo.api_key` and"
        f" `kombo.api_url` are right, and run `kombo-bridge sync --tenant {unfound.tenant.slug}`, which says what is"
        " wrong.",
    )


async def copy_too_old(unfound: Unfound) -> Change | None:
    known_at = unfound.around.known_at
    if freshness(unfound.tenant, known_at) != "too_old":
        return None
    return Change("copy_too_old", "kombo", copy_is_old(unfound.tenant, "people", known_at, unfound.around.standing))


def copy_is_old(tenant: Tenant, what: str, known_at: int, standing: Standing | None) -> str:
    """What to do about a copy that is older than `kombo.stale_for` allows."""
    if not known_at:
        return (
            f"The {what} of {tenant.integration_id} were never read completely.{_kombo_says(standing)} Run"
            f" `kombo-bridge sync --tenant {tenant.slug}`, which says what is wrong."
        )
    return (
        f"What is known of the {what} is good as of {moment(known_at)}, which is longer ago than `kombo.stale_for`"
        f" allows.{_kombo_says(standing)} Run `kombo-bridge sync --tenant {tenant.slug}`, which says what is wrong; if"
        " Kombo itself no longer reads the LMS, have the customer link it again."
    )


async def nobody_there(unfound: Unfound) -> Change | None:
    counts = unfound.around.counts
    if counts.people:
        return None
    return Change(
        "nobody_synced",
        "kombo",
        f"The integration {unfound.integration} has nobody in it, though it was read completely."
        f"{_kombo_says(unfound.around.standing)} See at Kombo whether it is the customer's, and whether its scope lets"
        " users be read.",
    )


async def wrong_integration(unfound: Unfound) -> Change | None:
    domains = unfound.tenant.email_domains
    counts = unfound.around.counts
    if not domains or counts.addresses < _SHOWN:
        return None
    within = await unfound.copy.read(
        lambda connection: nearby.count_in_domains(connection, unfound.integration, domains)
    )
    if within:
        return None
    return Change(
        "wrong_integration",
        "bridge",
        f"None of the {counts.addresses} addresses in {unfound.integration} lies in the tenant's `email_domains`"
        f" ({', '.join(domains)}): it seems to be another customer's. See at Kombo which integration is this"
        " customer's, and write its id as `kombo.integration_id`.",
    )


async def not_in_the_copy(unfound: Unfound) -> Change:
    """What is left: the LMS does not have them, or not yet."""
    known_at = unfound.around.known_at
    as_of = f"as of {moment(known_at)}" if known_at else "which was never complete"
    source = name_of(unfound.last.entry) if unfound.last else "the response"
    return Change(
        "not_in_the_copy",
        "lms",
        f"Nobody has what {source} carries: not in the synced copy, {as_of}, and nothing else in the response fits"
        " anybody either. Kombo itself was not asked. Ask those who run the LMS whether the learner has an account"
        " there, under exactly that id. Somebody new appears with Kombo's next sync of the LMS (`kombo-bridge sync`"
        " brings what Kombo has by now); of whoever was deleted or anonymised there, the copy keeps nothing.",
    )


async def inactive(unfound: Unfound) -> Change:
    """Who has left is known, so that an id of somebody else in the response, such as the manager's, is not theirs."""
    if change := await another_source(unfound, surely=True):
        return change
    people = [person for person in await _under_the_value(unfound) if not person.active]
    ids = ", ".join(printable(person.id) for person in people[:_SHOWN])
    statuses = ", ".join(sorted({printable(str(person.status)) for person in people}))
    return Change(
        "inactive",
        "lms",
        f"The learner is known and not active{f' ({statuses})' if statuses else ''}"
        f"{f', as Kombo user {ids}' if ids else ''}. Let those who run the LMS activate the account; Kombo takes that"
        " up at its next sync of the LMS.",
    )


async def several_people(unfound: Unfound) -> Change:
    if change := await another_source(unfound):
        return change
    last = unfound.last
    people = [person for person in await _under_the_value(unfound) if person.active]
    ids = ", ".join(printable(person.id) for person in people[:_SHOWN])
    which = f" (Kombo users {ids})" if ids else ""
    if last is not None and last.entry.remote_extract is not None:
        return Change(
            "several_people",
            "bridge",
            f"`remote_extract: {last.entry.remote_extract}` finds several active people{which}. Narrow it: say word by"
            " word whichever other part of the remote id is always the same for this customer.",
        )
    what = "address" if last is None or last.entry.tier == "email" else "id"
    return Change(
        "several_people",
        "idp",
        f"Several active people have the {what} that {name_of(last.entry) if last else 'the response'} carries{which},"
        " and which of them came is not for the bridge to guess. Let the customer's IT send the remote id, which is one"
        " person's, and put its entry before this one; or let those who run the LMS give each their own address.",
    )


async def _under_the_value(unfound: Unfound) -> list[Person]:
    last, value = unfound.last, unfound.value
    if last is None or not value or last.entry.remote_extract is not None:
        return []
    find = lookups.people_by_email if last.entry.tier == "email" else lookups.people_by_remote_id
    return await unfound.copy.read(lambda connection: find(connection, unfound.integration, value))


def _kombo_says(standing: Standing | None) -> str:
    """How the integration stands, where that explains something."""
    if standing is None:
        return ""
    said = ""
    if standing.status and standing.status != ACTIVE:
        said += f" Kombo says that the integration is {printable(standing.status)}."
    if standing.setup_status and standing.setup_status != COMPLETED:
        said += f" Kombo says that its setup is {printable(standing.setup_status)}."
    if standing.held_at and not standing.confirmed_at:
        said += f" A sync that would lose {standing.held} of {standing.held_of} people is held."
    return said
