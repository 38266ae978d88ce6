"""Who may see which course, and what is said where Kombo cannot say."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bridge.errors import Code, Refusal
from bridge.settings.model import Tenant
from bridge.simulator import seed
from tests.support.rooms import Rooms


async def refused(rooms: Rooms, tenant: Tenant, person: seed.Person, course: str) -> Code:
    with pytest.raises(Refusal) as caught:
        await rooms.gate.check(tenant, await rooms.person(person), course)
    return caught.value.code


@pytest.mark.parametrize(
    ("person", "course", "enrollment"),
    [
        (seed.JANE, "cybersecurity-101", "ENROLLED"),
        (seed.CARLOS, "data-privacy-basics", "IN_PROGRESS"),
        (seed.AISHA, "cybersecurity-101", "COMPLETED"),
    ],
    ids=["enrolled", "in progress", "completed in an older revision"],
)
async def test_a_live_progression_opens(rooms: Rooms, person: seed.Person, course: str, enrollment: str) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    asked = rooms.asked("/lms/course-progressions")
    access = await rooms.gate.check(tenant, await rooms.person(person), course)
    assert (access.course, access.enrollment, access.gate) == (course, enrollment, "fresh")
    assert access.progression
    assert rooms.asked("/lms/course-progressions") == asked, "a local yes asks nobody"


@pytest.mark.parametrize(
    ("person", "course"),
    [
        (seed.HUGO, "cybersecurity-101"),
        (seed.TOM, "data-privacy-basics"),
        (seed.PRIYA, "data-privacy-basics"),
        (seed.JONAS, "cybersecurity-101"),
        (seed.JANE, "data-privacy-basics"),
    ],
    ids=["nothing", "dropped", "null status", "null course", "another course"],
)
async def test_anything_else_does_not(rooms: Rooms, person: seed.Person, course: str) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    assert await refused(rooms, tenant, person, course) is Code.NOT_ENROLLED


async def test_a_progression_of_another_tenant_opens_nothing(rooms: Rooms) -> None:
    acme, globex = rooms.deployment.tenant("acme"), rooms.deployment.tenant("globex")
    await rooms.sync(acme)
    await rooms.sync(globex)
    jane = await rooms.person(seed.JANE)
    with pytest.raises(Refusal) as caught:
        await rooms.gate.check(globex, jane, "cybersecurity-101")
    assert caught.value.code is Code.NOT_ENROLLED


async def test_a_local_no_is_asked_live_once_a_minute(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    before = rooms.asked("/lms/course-progressions")
    answers = await asyncio.gather(*(refused(rooms, tenant, seed.HUGO, "cybersecurity-101") for _ in range(20)))
    assert set(answers) == {Code.NOT_ENROLLED}
    assert await refused(rooms, tenant, seed.HUGO, "cybersecurity-101") is Code.NOT_ENROLLED
    assert rooms.asked("/lms/course-progressions") == before + 1


async def test_an_assignment_since_the_last_sync_opens_at_once(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    await rooms.control(
        "progressions",
        integration=seed.ACME,
        remote_id="new",
        user_id=seed.HUGO.id,
        course_revision_id=seed.revision_id(seed.ACME, "cybersecurity-101", 2),
        status="ENROLLED",
    )
    access = await rooms.gate.check(tenant, await rooms.person(seed.HUGO), "cybersecurity-101")
    assert (access.enrollment, access.gate) == ("ENROLLED", "fresh")
    await rooms.control("down", value=True)
    again = await rooms.gate.check(tenant, await rooms.person(seed.HUGO), "cybersecurity-101")
    assert again.progression == access.progression, "the live answer is kept"


async def test_with_kombo_down_what_is_known_counts_for_yes_and_no(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    await rooms.control("down", value=True)
    assert (await rooms.gate.check(tenant, await rooms.person(seed.JANE), "cybersecurity-101")).enrollment == "ENROLLED"
    assert await refused(rooms, tenant, seed.HUGO, "cybersecurity-101") is Code.NOT_ENROLLED


async def test_what_kombo_no_longer_has_opens_nothing_because_it_was_once_known(rooms: Rooms) -> None:
    """Syncs have failed for longer than `stale_for`, the progression was withdrawn, and Kombo can be asked again."""
    tenant = rooms.deployment.tenant("acme", kombo={"integration_id": seed.ACME, "stale_for": "1s"})
    await rooms.sync(tenant)
    jane = await rooms.person(seed.JANE)
    known = await rooms.gate.check(tenant, jane, "cybersecurity-101")
    assert known.progression
    del rooms.world.integrations[seed.ACME].progressions.seen[known.progression]
    await asyncio.sleep(1.1)
    assert await refused(rooms, tenant, seed.JANE, "cybersecurity-101") is Code.NOT_ENROLLED


async def test_an_id_that_no_filter_can_carry_is_answered_from_what_is_known(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    odd = replace(await rooms.person(seed.JANE), id="odd,id")
    with pytest.raises(Refusal) as caught:
        await rooms.gate.check(tenant, odd, "cybersecurity-101")
    assert caught.value.code is Code.NOT_ENROLLED


async def test_an_unknown_course_needs_a_completed_course_sync(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.live.people(tenant, "remote_id", seed.JANE.remote_id)
    assert await refused(rooms, tenant, seed.JANE, "no-such-course") is Code.ENROLLMENT_UNKNOWN
    assert await refused(rooms, tenant, seed.JANE, "cybersecurity-101") is Code.ENROLLMENT_UNKNOWN
    await rooms.sync(tenant)
    assert await refused(rooms, tenant, seed.JANE, "no-such-course") is Code.COURSE_UNKNOWN
    assert await refused(rooms, tenant, seed.JANE, "CYBERSECURITY-101") is Code.COURSE_UNKNOWN


async def test_a_library_asks_for_nothing_but_an_employee(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme", gate={"default": "assigned", "library": ["lib-*"]})
    await rooms.sync(tenant)
    hugo = await rooms.person(seed.HUGO)
    access = await rooms.gate.check(tenant, hugo, "lib-anything")
    assert (access.enrollment, access.gate, access.progression) == ("LIBRARY", "library", None)
    assert await refused(rooms, tenant, seed.HUGO, "LIB-anything") is Code.COURSE_UNKNOWN
    library = rooms.deployment.tenant("acme", gate="library")
    known = await rooms.gate.check(library, await rooms.person(seed.JANE), "cybersecurity-101")
    assert known.enrollment == "LIBRARY"
    assert known.progression


async def test_somebody_unmatched_is_assigned_nothing(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    with pytest.raises(Refusal) as caught:
        await rooms.gate.check(tenant, None, "cybersecurity-101")
    assert caught.value.code is Code.NOT_ENROLLED
