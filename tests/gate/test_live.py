"""What live questions cost Kombo, and what is remembered of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, update

from bridge.directory import budget, live
from bridge.directory.budget import OF_A_LEARNER, OF_A_TENANT, Budget
from bridge.directory.live import Live
from bridge.errors import Code, KomboUnavailable, Refusal
from bridge.gate.gate import Gate
from bridge.kombo.model import Course, Progression, Revision, User
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.store import directory, lookups, questions, tables
from bridge.store.engine import Store, now_ms
from bridge.store.questions import ANSWERED_MS, FAILED_MS, FORGET_MS, Question
from tests.support.rooms import Rooms

PROGRESSIONS = "/lms/course-progressions"
COURSE = "cybersecurity-101"


@pytest.fixture
async def tenant(rooms: Rooms) -> Tenant:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    return tenant


async def refused(
    gate: Gate, rooms: Rooms, tenant: Tenant, person: seed.Person = seed.HUGO, course: str = COURSE
) -> Code:
    with pytest.raises(Refusal) as caught:
        await gate.check(tenant, await rooms.person(person), course)
    return caught.value.code


async def later(rooms: Rooms, milliseconds: int) -> None:
    """As if the questions so far had been asked so much earlier."""
    question = tables.questions
    earlier = update(question).values(asked_at=question.c.asked_at - milliseconds)
    await rooms.store.write(lambda c: c.execute(earlier))


async def test_who_keeps_clicking_costs_one_question_a_minute_whichever_process_answers(
    rooms: Rooms, tenant: Tenant
) -> None:
    before = rooms.asked(PROGRESSIONS)
    processes = [Gate(rooms.store, Live(rooms.store, rooms.client)) for _ in range(3)]
    for gate in processes * 2:
        assert await refused(gate, rooms, tenant) is Code.NOT_ENROLLED
    assert rooms.asked(PROGRESSIONS) == before + 1
    assert await refused(rooms.gate, rooms, tenant, seed.TOM) is Code.NOT_ENROLLED
    assert rooms.asked(PROGRESSIONS) == before + 2, "another learner is another question"
    await later(rooms, ANSWERED_MS)
    assert await refused(rooms.gate, rooms, tenant) is Code.NOT_ENROLLED
    assert rooms.asked(PROGRESSIONS) == before + 3


async def test_processes_that_ask_at_the_same_moment_ask_once(rooms: Rooms, tenant: Tenant) -> None:
    before = rooms.asked(PROGRESSIONS)
    gates = [Gate(rooms.store, Live(rooms.store, rooms.client)) for _ in range(4)]
    answers = await asyncio.gather(*(refused(gate, rooms, tenant) for gate in gates for _ in range(5)))
    assert set(answers) == {Code.NOT_ENROLLED}
    assert rooms.asked(PROGRESSIONS) == before + 1


async def test_a_question_that_failed_is_remembered_for_a_shorter_while(rooms: Rooms, tenant: Tenant) -> None:
    await rooms.control("down", value=True)
    assert await refused(rooms.gate, rooms, tenant) is Code.NOT_ENROLLED
    asked = rooms.asked(PROGRESSIONS)
    for _ in range(3):
        assert await refused(rooms.gate, rooms, tenant) is Code.NOT_ENROLLED
    assert rooms.asked(PROGRESSIONS) == asked
    await rooms.control("down", value=False)
    await later(rooms, FAILED_MS)
    await refused(rooms.gate, rooms, tenant)
    assert rooms.asked(PROGRESSIONS) == asked + 1


async def test_the_log_says_whether_kombo_was_asked(rooms: Rooms, tenant: Tenant) -> None:
    hugo, told = await rooms.person(seed.HUGO), []
    for down in (True, False):
        await rooms.control("down", value=down)
        await later(rooms, FAILED_MS)
        with pytest.raises(Refusal) as caught:
            await rooms.gate.check(tenant, hugo, COURSE)
        told.append("Kombo has no answer" in caught.value.reason)
    assert told == [True, False]


async def test_the_directory_is_looked_at_every_time(rooms: Rooms, tenant: Tenant) -> None:
    assert await refused(rooms.gate, rooms, tenant) is Code.NOT_ENROLLED
    before = rooms.asked(PROGRESSIONS)
    await rooms.control(
        "progressions",
        integration=seed.ACME,
        remote_id="new",
        user_id=seed.HUGO.id,
        course_revision_id=seed.revision_id(seed.ACME, COURSE, 2),
        status="ENROLLED",
    )
    await rooms.sync(tenant)
    synced = rooms.asked(PROGRESSIONS)
    assert synced > before
    assert (await rooms.gate.check(tenant, await rooms.person(seed.HUGO), COURSE)).enrollment == "ENROLLED"
    assert rooms.asked(PROGRESSIONS) == synced


async def test_a_slow_kombo_is_waited_for_up_to_the_deadline(
    rooms: Rooms, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "DEADLINE_SECONDS", 0.2)
    await rooms.control("faults", kind="slow", seconds=5.0, count=None)
    assert await refused(rooms.gate, rooms, tenant) is Code.NOT_ENROLLED
    await rooms.control("faults", "DELETE")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("remote_id", ["nobody", "nobody"]),
        ("email", ["nobody@acme.com", "NoBody@ACME.com"]),
        ("email", ["sam.lee@acme.com", "Sam.Lee@acme.com"]),
        ("remote_id", [seed.JANE.remote_id] * 2),
    ],
    ids=["nobody", "nobody by email", "two people", "somebody"],
)
async def test_people_are_asked_for_once_a_minute(rooms: Rooms, key: live.Key, values: list[str]) -> None:
    tenant = rooms.deployment.tenant("acme")
    first, again = [sorted(each.id for each in await rooms.live.people(tenant, key, value)) for value in values]
    assert first == again
    assert rooms.asked("/lms/users") == 1


async def test_who_is_gone_does_not_come_back_within_the_minute(rooms: Rooms) -> None:
    """The directory is half read and still has somebody; Kombo has just said that nobody is there."""
    tenant = rooms.deployment.tenant("acme")
    gone = User("gone", "gone", datetime.now(UTC), work_email="gone@acme.com", status="ACTIVE")
    await rooms.store.write(lambda c: directory.save_users(c, seed.ACME, [gone], now_ms() - 60_000))
    for _ in range(3):
        assert await rooms.live.people(tenant, "email", "gone@acme.com") == []
    assert rooms.asked("/lms/users") == 1


async def test_what_kombo_withdrew_is_no_answer_of_its_own(rooms: Rooms, tenant: Tenant) -> None:
    """The directory still has the progression."""
    course = await rooms.store.read(lambda c: lookups.course_ids(c, seed.ACME, COURSE))
    [enrolled] = await rooms.live.enrollments(tenant, seed.JANE.id, course)
    await later(rooms, ANSWERED_MS)
    await rooms.control(f"progressions/{enrolled.progression_id}?integration={seed.ACME}", "DELETE")
    await rooms.control("sync", integration=seed.ACME)
    for _ in range(2):
        assert await rooms.live.enrollments(tenant, seed.JANE.id, course) == []
    assert await rooms.store.read(lambda c: lookups.enrollments(c, seed.ACME, seed.JANE.id, course))


async def test_beyond_the_budget_kombo_is_not_asked(
    rooms: Rooms, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "OF_A_TENANT", replace(OF_A_TENANT, burst=2, a_minute=0))
    before = rooms.asked(PROGRESSIONS)
    for person in (seed.HUGO, seed.TOM, seed.PRIYA, seed.JONAS):
        assert await refused(rooms.gate, rooms, tenant, person) is Code.NOT_ENROLLED
    assert rooms.asked(PROGRESSIONS) == before + 2
    await rooms.sync(tenant)
    other = rooms.deployment.tenant("globex")
    assert await rooms.live.people(other, "remote_id", seed.RITA.remote_id), "another tenant has a budget of its own"


async def test_who_clicks_through_a_catalogue_leaves_questions_to_others(rooms: Rooms, tenant: Tenant) -> None:
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    many = [
        Course(f"k{n}", f"k{n}", long_ago, origin_id=f"many-{n}", revisions=(Revision(f"r{n}", f"r{n}", long_ago),))
        for n in range(OF_A_TENANT.burst + 1)
    ]
    await rooms.store.write(lambda c: directory.save_courses(c, seed.ACME, many, now_ms()))
    before = rooms.asked(PROGRESSIONS)
    clicks = (refused(rooms.gate, rooms, tenant, course=str(each.origin_id)) for each in many)
    assert set(await asyncio.gather(*clicks)) == {Code.NOT_ENROLLED}
    assert rooms.asked(PROGRESSIONS) == before + OF_A_LEARNER.burst
    assert await refused(rooms.gate, rooms, tenant, seed.TOM) is Code.NOT_ENROLLED
    assert rooms.asked(PROGRESSIONS) == before + OF_A_LEARNER.burst + 1
    assert OF_A_LEARNER.burst >= lookups.MANY_COURSES, "what is asked about together must fit"


async def test_an_answer_that_comes_late_is_not_the_one_that_others_wait_for(
    rooms: Rooms, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process was stopped while it asked; another one has begun to ask the same meanwhile, and is not done."""
    courses = await rooms.store.read(lambda c: lookups.course_ids(c, seed.ACME, COURSE))
    stopped, halted, go_on = Live(rooms.store, rooms.client), asyncio.Event(), asyncio.Event()

    async def slowly(*_: object) -> Sequence[Progression]:
        halted.set()
        await go_on.wait()
        return ()

    monkeypatch.setattr(stopped, "_progressions", slowly)
    late = asyncio.ensure_future(stopped.enrollments(tenant, seed.HUGO.id, courses))
    await halted.wait()
    await later(rooms, FAILED_MS)
    question = await rooms.store.read(lambda c: c.execute(select(tables.questions.c.digest)).scalar_one())
    assert await rooms.store.write(lambda c: questions.claim(c, question, now_ms()))
    go_on.set()
    await late
    with pytest.raises(KomboUnavailable):
        await rooms.live.enrollments(tenant, seed.HUGO.id, courses)


async def test_a_budget_fills_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(budget.time, "monotonic", lambda: moment)
    tenants, burst = Budget(OF_A_TENANT), OF_A_TENANT.burst

    async def spend(questions: int) -> bool:
        try:
            async with tenants.spend(questions):
                return True
        except KomboUnavailable:
            return False

    assert [await spend(1) for _ in range(burst + 1)] == [True] * burst + [False]
    moment += 1.0
    assert [await spend(1) for _ in range(3)] == [True, True, False]
    moment += 3600.0
    assert not await spend(burst + 1)
    assert await spend(burst)


async def test_a_few_questions_are_asked_at_once() -> None:
    tenants, running, most = Budget(OF_A_TENANT), 0, 0

    async def ask() -> None:
        nonlocal running, most
        async with tenants.spend(1):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(ask() for _ in range(OF_A_TENANT.burst)))
    assert most == OF_A_TENANT.at_once


async def test_one_claims_a_question(either_store: Store) -> None:
    moment = now_ms()

    async def claimed(at: int) -> bool:
        return await either_store.write(lambda c: questions.claim(c, "q", at))

    assert sorted(await asyncio.gather(*(claimed(moment) for _ in range(5)))) == [False] * 4 + [True]
    assert not await claimed(moment + FAILED_MS - 1)
    assert await claimed(moment + FAILED_MS)
    await either_store.write(lambda c: questions.answered(c, "q", moment, moment + FAILED_MS))
    assert await either_store.read(lambda c: questions.last(c, "q")) == Question(moment + FAILED_MS, None), "too late"
    await either_store.write(lambda c: questions.answered(c, "q", moment + FAILED_MS, moment + FAILED_MS))
    assert not await claimed(moment + FAILED_MS + ANSWERED_MS - 1)
    assert await claimed(moment + FAILED_MS + ANSWERED_MS)
    assert await claimed(moment), "a clock that was set back does not keep anybody from asking"


async def test_old_questions_are_forgotten(either_store: Store) -> None:
    moment = now_ms()
    ages = (FORGET_MS + 1, FORGET_MS, 0, -FORGET_MS - 1)
    rows = [{"digest": f"q{age}", "asked_at": moment - age, "answered_at": None} for age in ages]
    await either_store.write(lambda c: c.execute(insert(tables.questions), rows))
    assert await either_store.write(lambda c: questions.claim(c, "now", moment))
    kept = await either_store.read(lambda c: c.execute(select(tables.questions.c.digest)).scalars().all())
    assert set(kept) == {"now", f"q{FORGET_MS}", "q0"}
