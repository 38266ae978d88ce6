"""How old what is known may be: every case of `ages.yaml`, for courses, people and enrollments alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bridge.errors import Code, Refusal
from bridge.kombo.model import Course, Progression, Revision
from bridge.simulator import seed
from tests.support.directories import HOUR, LONG_AGO, Directory, person
from tests.support.rooms import Rooms

CASES = yaml.safe_load(Path(__file__).with_name("ages.yaml").read_text("utf-8"))


async def said(filled: Directory, user: str, course: str = "safety") -> str:
    try:
        return (await filled.gate.check(filled.tenant, person(user), course)).gate
    except Refusal as refusal:
        return refusal.code


async def test_the_age_counts_for_yes_and_no_alike(filled: Directory) -> None:
    course = Course("c1", "c1", LONG_AGO, origin_id="safety", revisions=(Revision("r1", "r1", LONG_AGO),))
    assigned = Progression("p1", "u1", "r1", LONG_AGO, status="ENROLLED")
    expected, found = {}, {}
    for case in CASES:
        here, synced, good = filled.another(case["name"]), case["synced"], case.get("good")
        await here.fill(courses=[course], progressions=[assigned], ago=int(case.get("seen", synced) * HOUR))
        if synced is not None:
            await here.synced(ago=int(synced * HOUR))
        await here.good(None if good is None else int(good * HOUR))
        no_course = "enrollment_unknown" if case["other"] == "enrollment_unknown" else "course_unknown"
        expected[case["name"]] = case["enrolled"], case["other"], no_course
        found[case["name"]] = await said(here, "u1"), await said(here, "u2"), await said(here, "u1", "no such course")
    assert found == expected


async def test_what_an_old_copy_says_is_not_asked_for(rooms: Rooms) -> None:
    """Kombo answers, but of an integration that it has not synced for days: nothing it says can count."""
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    filled = Directory(rooms.store, tenant, rooms.live)
    await filled.good(10 * HOUR)
    hugo = await rooms.person(seed.HUGO)
    await assign(rooms, seed.HUGO)
    before = rooms.asked("/lms/course-progressions")
    access = await rooms.gate.check(tenant, hugo, "cybersecurity-101")
    assert access.gate == "stale", "a live answer is as old as Kombo's own copy"
    assert rooms.asked("/lms/course-progressions") == before + 1
    await filled.good(73 * HOUR)
    for someone in (hugo, await rooms.person(seed.JANE), await rooms.person(seed.TOM)):
        with pytest.raises(Refusal) as refused:
            await rooms.gate.check(tenant, someone, "cybersecurity-101")
        assert refused.value.code is Code.ENROLLMENT_UNKNOWN
    assert rooms.asked("/lms/course-progressions") == before + 1


async def test_an_integration_that_becomes_invalid_ages(rooms: Rooms) -> None:
    """From what Kombo says of the integration itself to what the gate says."""
    from bridge.directory.standing import refresh

    tenant = rooms.deployment.tenant("acme", kombo={"integration_id": seed.ACME, "stale_for": "48h"})
    await rooms.sync(tenant)
    await refresh(rooms.store, rooms.client(tenant), tenant)
    jane = await rooms.person(seed.JANE)
    assert (await rooms.gate.check(tenant, jane, "cybersecurity-101")).gate == "fresh"
    await rooms.control(f"integrations/{seed.ACME}", "PATCH", status="INVALID")
    await refresh(rooms.store, rooms.client(tenant), tenant)
    await rooms.sync(tenant)
    for someone in (jane, await rooms.person(seed.HUGO)):
        with pytest.raises(Refusal) as refused:
            await rooms.gate.check(tenant, someone, "cybersecurity-101")
        assert refused.value.code is Code.ENROLLMENT_UNKNOWN
    await rooms.control(f"integrations/{seed.ACME}", "PATCH", status="ACTIVE")
    await refresh(rooms.store, rooms.client(tenant), tenant)
    assert (await rooms.gate.check(tenant, jane, "cybersecurity-101")).gate == "fresh"


async def assign(rooms: Rooms, someone: seed.Person, course: str = "cybersecurity-101") -> None:
    await rooms.control(
        "progressions",
        integration=seed.ACME,
        remote_id=f"new {someone.id} {course}",
        user_id=someone.id,
        course_revision_id=seed.revision_id(seed.ACME, course, 2),
        status="ENROLLED",
    )
