"""Writes on their way to Kombo: each arrives, and once, whatever Kombo, the network and the state do meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.kombo.answers import Unusable
from bridge.kombo.client import KomboClient
from bridge.kombo.model import Progression
from bridge.simulator import seed
from bridge.store import leases, lookups
from bridge.store import outbox as rows
from bridge.store.engine import now_ms
from bridge.store.outbox import ALREADY
from tests.outbox.conftest import Post, Report, candidates

HERE = Path(__file__).parent
FAULTS = yaml.safe_load((HERE / "faults.yaml").read_text())
REFUSALS = yaml.safe_load((HERE / "refusals.yaml").read_text())
CYBER, PRIVACY, CONDUCT = "cybersecurity-101", "data-privacy-basics", "code-of-conduct"
PROGRESSIONS = "/v1/lms/course-progressions"
DAY = 86_400_000


async def progression(post: Post, person: seed.Person, course: str) -> str:
    (found,) = post.progressions(person, course)
    return found.id


async def enrolled(post: Post, number: int) -> list[Report]:
    """So many who are."""
    for person, course in candidates(post.kombo, enrolled=False)[:number]:
        post.kombo.enroll(person.id, seed.revision_id(seed.ACME, course, 2 if course == CYBER else 1))
    await post.sync()
    return candidates(post.kombo, enrolled=True)[:number]


async def fault(post: Post, at: str, report: Report | None = None, **more: Any) -> None:
    """Put a fault in front of a call; of `complete`, only where it is that report."""
    path = PROGRESSIONS
    if at == "complete" and report:
        path += f"/{await progression(post, *report)}/complete"
    wanted = {"path": path, "method": "GET" if at == "look" else "POST", **more}
    answer = await post.rooms.http.post(f"{post.rooms.origin}/_control/faults", json=wanted)
    assert answer.status_code == 200, answer.text


async def test_a_completion_reaches_kombo_and_the_directory(either_post: Post) -> None:
    post = either_post
    id = await post.complete(seed.JANE, CYBER, score=80)
    async with post.carrying():
        (entry,) = await post.settled()
    assert (entry.id, entry.state, entry.code, entry.sending) == (id, "done", None, None)
    (found,) = post.progressions(seed.JANE, CYBER)
    assert (found.status, found.score) == ("COMPLETED", 80)
    assert post.completions == {found.id: 1}
    courses = [seed.course_id(seed.ACME, CYBER)]
    (known,) = await post.rooms.store.read(lambda c: lookups.enrollments(c, seed.ACME, seed.JANE.id, courses))
    assert known.status == "COMPLETED", "without a sync"


async def test_who_is_not_enrolled_is_enrolled_first(post: Post) -> None:
    await post.complete(seed.HUGO, CYBER)
    async with post.carrying():
        (entry,) = await post.settled()
    (found,) = post.progressions(seed.HUGO, CYBER)
    assert found.course_revision_id == seed.revision_id(seed.ACME, CYBER, 2), "the active one"
    assert (found.status, entry.progression_id) == ("COMPLETED", found.id)
    assert post.completions == {found.id: 1}


async def test_a_progression_that_only_kombo_knows_is_completed(post: Post) -> None:
    made = post.kombo.enroll(seed.HUGO.id, seed.revision_id(seed.ACME, CYBER, 2))
    await post.complete(seed.HUGO, CYBER)
    async with post.carrying():
        (entry,) = await post.settled()
    assert entry.progression_id == made.id
    assert post.completions == {made.id: 1}


@pytest.mark.parametrize("at", ["complete", "enroll", "look"])
async def test_what_passes_leaves_one_completion_each(either_post: Post, at: str) -> None:
    """Every fault of the list, one after the other or each to somebody."""
    post = either_post
    cases = [case for case in FAULTS if case["at"] == at]
    reports = (
        (await enrolled(post, len(cases))) if at == "complete" else candidates(post.kombo, enrolled=False)[: len(cases)]
    )
    for case, report in zip(cases, reports, strict=True):
        await fault(post, report=report, **case)
        await post.complete(*report)
    async with post.carrying():
        await post.settled(25)
    assert {entry.state for entry in await post.entries()} == {"done"}
    assert post.completions == {await progression(post, *report): 1 for report in reports}
    method, path = ("GET", PROGRESSIONS) if at == "look" else ("POST", PROGRESSIONS)
    asked = [each for each in post.rooms.world.requests if each.method == method and each.path.startswith(path)]
    assert len(asked) > sum(case["count"] for case in cases)


async def test_what_will_not_pass_gives_up_alone(either_post: Post) -> None:
    post = either_post
    *chosen, healthy = await enrolled(post, len(REFUSALS) + 1)
    wanted: dict[str, dict[str, Any]] = {}
    for case, report in zip(REFUSALS, chosen, strict=True):
        refusal = {"status": case["status"], "code": case["code"]}
        await fault(post, "complete", report, kind="error", count=None, **refusal)
        wanted[await post.complete(*report)] = case
    await post.complete(*healthy)
    async with post.carrying():
        await post.settled()
        assert sum(post.completions.values()) == 1
        for id, case in wanted.items():
            dead = await post.entry(id)
            assert (dead.state, dead.code or "", dead.attempts) == ("dead", case["code"], case.get("tries", 1))
            assert dead.message
        again = chosen[0]
        assert await post.complete(*again) in wanted, "the same effect"
        await post.rooms.control("faults", "DELETE")
        assert await post.rooms.store.write(lambda c: rows.revive_dead(c, None, now_ms())) == len(REFUSALS)
        await post.settled()
    assert post.completions == {await progression(post, *report): 1 for report in (*chosen, healthy)}


async def test_a_course_that_takes_no_enrolments(post: Post) -> None:
    for revision in (1, 2):
        id = seed.revision_id(seed.ACME, CYBER, revision)
        await post.rooms.control(f"revisions/{id}", "PATCH", integration=seed.ACME, status="INACTIVE")
    await post.sync()
    await post.complete(seed.HUGO, CYBER)
    async with post.carrying():
        (entry,) = await post.settled()
    assert (entry.state, entry.code) == ("dead", None)
    assert "enrolments" in str(entry.message)


async def test_an_answer_about_somebody_else_completes_nothing(post: Post) -> None:
    await fault(post, "enroll", kind="rows", count=None, patch={"user_id": seed.JANE.id})
    await post.complete(seed.HUGO, CYBER)
    async with post.carrying():
        (entry,) = await post.settled()
    assert post.completions == {await progression(post, seed.HUGO, CYBER): 1}, "found by asking"
    assert entry.progression_id in post.completions


async def test_an_answer_about_another_course_completes_nothing_of_it(post: Post) -> None:
    person, course = next(
        (person, course) for person, course in candidates(post.kombo, enrolled=True) if course != CYBER
    )
    (other,) = post.progressions(person, course)
    for each in post.progressions(person, CYBER):
        post.kombo.remove(post.kombo.progressions, each.id)
    await post.sync()
    wrong = {"id": other.id, "course_revision_id": other.course_revision_id, "course_revision": None}
    await fault(post, "enroll", kind="rows", count=None, patch=wrong)
    await post.complete(person, CYBER)
    async with post.carrying():
        await post.settled()
    assert post.completions == {await progression(post, person, CYBER): 1}, "found by asking"


@pytest.mark.parametrize("lag", [False, True])
async def test_a_completion_answered_with_somebody_else(post: Post, lag: bool) -> None:
    """Done where Kombo shows it; else nobody knows what was done, and sending it again could do that again."""
    await post.rooms.control(f"integrations/{seed.ACME}", "PATCH", lag=lag)
    await fault(post, "complete", (seed.JANE, CYBER), kind="rows", count=None, patch={"user_id": seed.HUGO.id})
    await post.complete(seed.JANE, CYBER)
    async with post.carrying():
        (entry,) = await post.settled()
    assert (entry.state, entry.sending) == (("dead", "complete") if lag else ("done", None))
    assert sum(post.completions.values()) == 1
    courses = [seed.course_id(seed.ACME, CYBER)]
    assert not await post.rooms.store.read(lambda c: lookups.enrollments(c, seed.ACME, seed.HUGO.id, courses))


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("enrolled", [True, False])
async def test_after_a_crash_kombo_is_asked_first(either_post: Post, happened: bool, enrolled: bool) -> None:
    """A crash between the note and the answer, with the call made or not."""
    post = either_post
    person = seed.JANE if enrolled else seed.HUGO
    id = await post.complete(person, CYBER)
    client = post.rooms.client(post.tenant)
    if happened and enrolled:
        await client.complete(await progression(post, person, CYBER), None, None)
    elif happened:
        await client.enroll(person.id, seed.revision_id(seed.ACME, CYBER, 2))
    await post.change(id, sending="complete" if enrolled else "enroll", sent_at=now_ms())
    await post.rooms.control("requests", "DELETE")
    async with post.carrying():
        await post.settled()
    asked = [logged.method for logged in post.rooms.world.requests]
    assert asked[0] == "GET"
    assert post.completions == {await progression(post, person, CYBER): 1}


@pytest.mark.parametrize("enrolled", [True, False])
async def test_a_call_that_outlives_its_process_is_not_made_again(post: Post, enrolled: bool) -> None:
    """The LMS takes its time: the first look does not show yet what the call will have done."""
    post.pace = replace(post.pace, complete_settles=60, enroll_settles=60)
    person = seed.JANE if enrolled else seed.HUGO
    id = await post.complete(person, CYBER)
    await post.change(id, sending="complete" if enrolled else "enroll", sent_at=now_ms())
    await post.rooms.control("requests", "DELETE")
    async with post.carrying():
        await post.once(lambda _: post.rooms.asked("course-progressions") > 1)
        if enrolled:
            complete = f"{await progression(post, person, CYBER)}/complete"
            assert not post.rooms.asked(complete)
            await post.rooms.client(post.tenant).complete(complete.removesuffix("/complete"), None, None)
        else:
            post.kombo.enroll(person.id, seed.revision_id(seed.ACME, CYBER, 2))
        await post.settled()
    assert post.completions == {await progression(post, person, CYBER): 1}


async def test_an_lms_that_is_still_at_it_when_a_gateway_gives_up(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the call lasted does not count: only from its end on can it be over."""
    complete, calls = KomboClient.complete, list[asyncio.Task[Progression]]()

    async def slow(self: KomboClient, *what: Any) -> Progression:
        if calls:
            return await complete(self, *what)
        give_up, done = post.pace.complete_settles * 1.5, post.pace.complete_settles * 2

        async def lms() -> Progression:
            await asyncio.sleep(done)
            return await complete(self, *what)

        calls.append(asyncio.ensure_future(lms()))
        await asyncio.sleep(give_up)
        raise Unusable("504")

    monkeypatch.setattr(KomboClient, "complete", slow)
    await post.complete(seed.JANE, CYBER)
    async with post.carrying():
        await post.settled()
        await calls[0]
    assert post.completions == {await progression(post, seed.JANE, CYBER): 1}


@pytest.mark.parametrize("at", ["enroll", "complete"])
async def test_with_lag_nothing_is_lost(post: Post, at: str) -> None:
    """Kombo does not show what was written before its next sync, so that looking proves nothing."""
    await post.rooms.control(f"integrations/{seed.ACME}", "PATCH", lag=True)
    person = seed.JANE if at == "complete" else seed.HUGO
    await fault(post, at, (person, CYBER), kind="cut", count=1)
    await post.complete(person, CYBER)
    async with post.carrying():
        await post.settled()
        await post.rooms.control("sync")
        await post.sync()
        await post.complete(person, CYBER)
        await post.settled()
    (found,) = post.progressions(person, CYBER)
    assert found.status == "COMPLETED"
    assert len(await post.entries()) == 1


async def test_with_lag_an_enrolment_of_ours_is_known(post: Post) -> None:
    """Even where a full sync has dropped it from the directory meanwhile."""
    await post.rooms.control(f"integrations/{seed.ACME}", "PATCH", lag=True)
    await post.enroll(seed.HUGO, CYBER)
    async with post.carrying():
        await post.settled()
        await post.sync()
        await post.complete(seed.HUGO, CYBER)
        await post.settled()
        id = await progression(post, seed.HUGO, CYBER)
        await post.sync()
        await post.complete(seed.HUGO, CYBER)
        await post.settled()
    assert post.completions == {id: 1}
    assert post.rooms.asked("course-progressions") - len(post.completions) >= 1
    posted = [each.path for each in post.rooms.world.requests if each.method == "POST"]
    assert posted.count(PROGRESSIONS) == 1, "enrolled once"


@pytest.mark.parametrize("hours", [0, -24 * 8, 1])
async def test_a_certification_of_which_kombo_knows_later(either_post: Post, hours: int) -> None:
    """Last year's opens the gate, so that this year's can be finished before Kombo shows it. One that began after the
    report was made is of an assignment that nobody has worked on, and one of long ago Kombo would have shown.
    """
    post = either_post
    await post.rooms.control(f"integrations/{seed.ACME}", "PATCH", lag=True)
    began = datetime.now(UTC) + timedelta(hours=hours)
    again = post.kombo.enroll(seed.AISHA.id, seed.revision_id(seed.ACME, CYBER, 2), enrolled_at=began)
    id = await post.complete(seed.AISHA, CYBER)
    async with post.carrying():
        await post.settled()
        assert (await post.entry(id)).code == ALREADY
        await post.rooms.control("sync")
        await post.sync()
        if hours == 0:
            await post.once(lambda _: bool(post.completions))
        await asyncio.sleep(0.3)
        await post.settled()
        assert await post.complete(seed.AISHA, CYBER) == id or hours
    assert post.completions == ({} if hours else {again.id: 1})


async def crowd(post: Post) -> int:
    """Completions of many people, enrolled and not; how many."""
    reports = candidates(post.kombo, enrolled=True) + candidates(post.kombo, enrolled=False)[:20]
    for report in reports:
        await post.complete(*report)
    return len(reports)


async def test_two_carriers_send_nothing_twice(either_post: Post) -> None:
    post = either_post
    await post.rooms.control("world", "PATCH", action_delay=0.01)
    reports = await crowd(post)
    async with post.carrying(carriers=2):
        await post.settled(30)
    assert len(post.completions) == reports
    assert set(post.completions.values()) == {1}
    posted = [each.path for each in post.rooms.world.requests if each.method == "POST"]
    assert len(posted) == len(set(posted) - {PROGRESSIONS}) + posted.count(PROGRESSIONS)
    done = await post.rooms.store.read(rows.totals)
    assert done == [("acme", "complete", reports)]


async def test_a_lease_lost_in_the_middle(either_post: Post) -> None:
    """The answer can no longer be noted; whoever has the lease then finds out what happened."""
    post = either_post
    await post.rooms.control("world", "PATCH", action_delay=1)
    id = await post.complete(seed.JANE, CYBER)
    name = f"outbox {seed.ACME}"
    async with post.carrying():
        await post.once(lambda entries: entries[0].sending == "complete")
        taken = {"holder": "another", "epoch": 99, "expires_at": now_ms() + 3000}
        await post.rooms.store.write(
            lambda c: c.execute(leases.tables.leases.update().where(leases.tables.leases.c.name == name).values(taken))
        )
        await post.rooms.control("world", "PATCH", action_delay=0)
        await post.once(lambda _: post.kombo.in_flight == 0)
        assert (await post.entry(id)).state == "waiting"
        await post.settled()
    assert post.completions == {await progression(post, seed.JANE, CYBER): 1}


async def test_one_that_kombo_cannot_digest_holds_nobody_up(post: Post) -> None:
    await fault(post, "complete", (seed.JANE, CYBER), kind="500", count=None)
    await post.complete(seed.JANE, CYBER)
    others = [await post.complete(person, CYBER) for person in (seed.LENA, seed.NOOR, seed.INGRID, seed.HUGO)]
    async with post.carrying():
        await post.once(lambda entries: all(each.state == "done" for each in entries if each.id in others))
    assert sum(post.completions.values()) == len(others)


async def test_several_that_kombo_cannot_digest_hold_nobody_up(post: Post) -> None:
    """So many that the first is due again before the last has been tried."""
    *sick, healthy = await enrolled(post, 8)
    for report in sick:
        await fault(post, "complete", report, kind="500", count=None)
        await post.complete(*report)
    async with post.carrying():
        await post.once(lambda entries: min(each.attempts for each in entries) > 2)
        id = await post.complete(*healthy)
        await post.once(lambda entries: any((each.id, each.state) == (id, "done") for each in entries))


async def test_what_is_due_is_in_order_of_that(either_post: Post) -> None:
    post, moment = either_post, now_ms()
    ids = [await post.complete(person, CYBER) for person in (seed.JANE, seed.LENA, seed.NOOR, seed.HUGO)]
    for id, ago in zip(ids, (1000, 3000, -2000, -DAY), strict=True):
        await post.change(id, not_before=moment - ago)
    store = post.rooms.store
    for limit in (1, 2, 3, 9):
        due = await store.read(lambda c, limit=limit: rows.due(c, seed.ACME, moment, 300_000, limit=limit))
        assert [each.id for each in due] == [ids[1], ids[0], ids[3]][:limit]


async def test_no_integration_holds_up_another(post: Post) -> None:
    globex = post.configuration.tenants["globex"]
    await post.rooms.sync(globex)
    await post.rooms.control(f"integrations/{seed.ACME}", "PATCH", refusal=[403, "INTEGRATION.INACTIVE"])
    await post.complete(seed.JANE, CYBER)
    rita = await post.rooms.person(seed.RITA)
    id = await post.outbox.complete(globex, rita, CONDUCT, source="api")
    async with post.carrying():
        await post.once(lambda entries: entries[1].state == "done")
    assert (await post.entry(id)).state == "done"
    assert [entry.state for entry in await post.entries()] == ["waiting", "done"]


async def test_what_no_tenant_has_waits(post: Post) -> None:
    """Never with another integration's key, and at once when a tenant has it again."""
    before = post.configuration
    id = await post.complete(seed.JANE, CYBER)
    post.rooms.deployment.tenants["acme"]["kombo"] = {"integration_id": "workday:another"}
    post.configuration = post.rooms.deployment.load()
    await post.rooms.control("requests", "DELETE")
    async with post.carrying():
        await asyncio.sleep(0.3)
        assert not post.rooms.world.requests
        assert (await post.entry(id)).state == "waiting"
        post.configuration = before
        await post.settled()
    assert sum(post.completions.values()) == 1


async def test_in_order(either_post: Post) -> None:
    """One learner's writes one after the other: the completion finds the enrolment that came before it."""
    post = either_post
    first = await post.enroll(seed.HUGO, CYBER)
    second = await post.complete(seed.HUGO, CYBER)
    await post.rooms.control("world", "PATCH", action_delay=0.05)
    async with post.carrying():
        await post.settled()
    assert [(await post.entry(id)).state for id in (first, second)] == ["done", "done"]
    posted = [each.path for each in post.rooms.world.requests if each.method == "POST"]
    assert posted == [PROGRESSIONS, f"{PROGRESSIONS}/{await progression(post, seed.HUGO, CYBER)}/complete"]


async def test_never_more_than_a_few_in_flight(post: Post) -> None:
    await post.rooms.control("world", "PATCH", action_delay=0.02)
    await crowd(post)
    most = 0
    async with post.carrying():
        while any(each.state == "waiting" for each in await post.entries()):
            most = max(most, post.kombo.in_flight)
            await asyncio.sleep(0.005)
    assert 1 < most <= post.pace.in_flight


async def test_a_clock_that_was_ahead_parks_nothing(post: Post) -> None:
    id = await post.complete(seed.JANE, CYBER)
    tomorrow = now_ms() + DAY
    await post.change(id, not_before=tomorrow, sending="complete", sent_at=tomorrow, created_at=tomorrow)
    async with post.carrying():
        await post.settled()
    assert sum(post.completions.values()) == 1


async def test_a_state_that_is_away_loses_nothing(either_post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    post = either_post
    monkeypatch.setattr("bridge.outbox.carrier.STATE_PAUSE_SECONDS", 0.05)
    await post.rooms.control("world", "PATCH", action_delay=0.05)
    reports = await crowd(post)

    async def rename(old: str, new: str) -> None:
        await post.rooms.store.write(lambda c: c.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}"))

    async with post.carrying():
        await post.once(lambda entries: any(each.state == "done" for each in entries))
        await rename("outbox", "away")
        await asyncio.sleep(0.3)
        await rename("away", "outbox")
        await post.settled(30)
    assert len(post.completions) == reports
    assert set(post.completions.values()) == {1}


async def test_done_entries_are_swept_when_nobody_certifies_again_any_more(either_post: Post) -> None:
    post = either_post
    ids = [await post.complete(person, CYBER) for person in (seed.JANE, seed.LENA, seed.NOOR)]
    old = now_ms() - 401 * DAY
    await post.change(ids[0], created_at=old, state="done", settled_at=old)
    await post.change(ids[1], created_at=old, state="dead", settled_at=old)
    await post.change(ids[2], created_at=old)
    async with post.carrying():
        await post.once(lambda entries: len(entries) == 2)
        await post.settled()
    assert {entry.id: entry.state for entry in await post.entries()} == {ids[1]: "dead", ids[2]: "done"}
