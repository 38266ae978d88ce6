"""A gate that did not open."""

from __future__ import annotations

import difflib

from bridge.errors import Code, Refusal
from bridge.explain.cases.standing import copy_is_old
from bridge.explain.change import Change
from bridge.explain.copy import Copy
from bridge.moments import moment
from bridge.printable import printable
from bridge.settings.model import Tenant
from bridge.store import courses as rows
from bridge.store import integrations, lookups, nearby
from bridge.store.lookups import Person

CLOSE = 3


async def change_of(copy: Copy, tenant: Tenant, person: Person | None, course: str, refusal: Refusal) -> Change | None:
    match refusal.code:
        case Code.COURSE_UNKNOWN:
            return await _unknown(copy, tenant, course)
        case Code.NOT_ENROLLED:
            return await _not_enrolled(copy, tenant, person, course)
        case Code.ENROLLMENT_UNKNOWN:
            return await _nobody_can_tell(copy, tenant, course)
        case _:
            return None


async def _unknown(copy: Copy, tenant: Tenant, course: str) -> Change:
    integration = tenant.integration_id
    origins = await copy.read(lambda connection: rows.known_origins(connection, integration))
    near = [each for each in sorted(origins) if each.strip().casefold() == course.strip().casefold()]
    near = near or difflib.get_close_matches(course, sorted(origins), n=CLOSE, cutoff=0.75)
    push = await copy.read(lambda connection: nearby.push_state(connection, integration, course))
    unnamed = await copy.read(lambda connection: nearby.unnamed_courses(connection, integration))
    if push in ("sending", "pending", "failed", "closed"):
        return Change(
            "course_not_pushed",
            "bridge",
            f"The course {printable(course)!r} was pushed, and that push is {push}. `kombo-bridge courses list --tenant"
            f" {tenant.slug}` says more; push it again once that is settled.",
        )
    if near:
        return Change(
            "course_misspelt",
            "link",
            f"No course has the origin id {printable(course)!r}. Nearly the same are:"
            f" {', '.join(map(printable, near))}. Ids compare exactly: let the link in the LMS name the one that is"
            " meant.",
        )
    if unnamed:
        return Change(
            "course_map_missing",
            "bridge",
            f"No course has the origin id {printable(course)!r}, and of {unnamed} courses this LMS does not say which"
            " origin id they have. If this is one that was pushed before the bridge came, write `origin_id,course_id`"
            f" lines and run `kombo-bridge courses map import FILE.csv --tenant {tenant.slug}`.",
        )
    return Change(
        "course_unknown",
        "bridge",
        f"No course of {integration} has the origin id {printable(course)!r}. Push it (`kombo-bridge courses push"
        f" CATALOG.yaml --tenant {tenant.slug}`), or correct the link in the LMS.",
    )


async def _not_enrolled(copy: Copy, tenant: Tenant, person: Person | None, course: str) -> Change:
    integration = tenant.integration_id
    ages = await copy.read(lambda connection: integrations.ages(connection, integration))
    known_at = ages.of("progressions")
    as_of = f"as of {moment(known_at)}" if known_at else "which was never complete"
    found = []
    if person:
        ids = await copy.read(lambda connection: lookups.course_ids(connection, integration, course))
        found = await copy.read(lambda connection: lookups.enrollments(connection, integration, person.id, ids))
    who = f"Kombo user {printable(person.id)}" if person else "The learner, whom nobody matched,"
    if found:
        statuses = ", ".join(sorted({printable(each.status) for each in found}))
        return Change(
            "enrollment_does_not_open",
            "lms",
            f"{who} has an enrollment in {printable(course)!r} that opens nothing: {statuses}. ENROLLED, IN_PROGRESS"
            " and COMPLETED do. Let those who run the LMS assign the course again.",
        )
    return Change(
        "not_assigned",
        "lms",
        f"{who} has no enrollment in {printable(course)!r} in the synced copy, {as_of}; Kombo itself was not asked. Let"
        " those who run the LMS assign the course. If they just did, Kombo learns of it at its next sync of the LMS,"
        f" within minutes to hours; `kombo-bridge sync --tenant {tenant.slug}` brings what Kombo has by now. If"
        " everybody who signs in may see it, that is `gate: library`.",
    )


async def _nobody_can_tell(copy: Copy, tenant: Tenant, course: str) -> Change:
    integration = tenant.integration_id
    ages = await copy.read(lambda connection: integrations.ages(connection, integration))
    standing = await copy.read(lambda connection: integrations.standing(connection, integration))
    known = await copy.read(lambda connection: lookups.course_ids(connection, integration, course))
    what, known_at = ("enrollments", ages.of("progressions")) if known else ("courses", ages.of("courses"))
    return Change("copy_too_old", "kombo", copy_is_old(tenant, what, known_at, standing))
