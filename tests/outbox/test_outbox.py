"""Accepting: on disk before it is answered, and one effect however often it is reported."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from bridge.errors import Code, Refusal, StateError
from bridge.simulator import seed
from bridge.store import outbox as rows
from bridge.store.engine import Store, moment_ms
from bridge.store.outbox import ALREADY
from tests.outbox.conftest import Post, candidates

CYBER, PRIVACY = "cybersecurity-101", "data-privacy-basics"


async def test_reports_at_once_are_one_entry(either_post: Post) -> None:
    post = either_post
    for person in (seed.JANE, seed.HUGO):
        ids = await asyncio.gather(*(post.complete(person, CYBER) for _ in range(10)))
        assert len(set(ids)) == 1
    assert len(await post.entries()) == 2


async def test_what_is_accepted_is_there_for_whoever_opens_the_state(either_post: Post) -> None:
    post = either_post
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    id = await post.complete(seed.JANE, CYBER, completed_at=at, score=7)
    other = Store(post.rooms.store.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    try:
        found = other.read_here(lambda c: rows.find(c, id))
    finally:
        other.close()
    assert found
    assert (found.state, found.completed_at, found.score, found.user_id) == ("waiting", moment_ms(at), 7, seed.JANE.id)


async def test_a_completion_keeps_its_moment_however_late_it_is_sent(post: Post) -> None:
    before = datetime.now(UTC)
    await post.complete(seed.JANE, CYBER)
    async with post.carrying():
        await post.settled()
    (done,) = post.rooms.world.completions
    assert timedelta(milliseconds=-1) <= done.completed_at - before < timedelta(seconds=10)


async def test_nothing_is_completed_later_than_it_is_reported(post: Post) -> None:
    id = await post.complete(seed.JANE, CYBER, completed_at=datetime.now(UTC) + timedelta(days=400))
    entry = await post.entry(id)
    assert entry.completed_at is not None
    assert entry.completed_at <= entry.created_at


@pytest.mark.parametrize("more", [{"score": 101}, {"score": -1}, {"completed_at": datetime(2026, 1, 1)}])
async def test_what_no_caller_may_ask(post: Post, more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"score|zone"):
        await post.complete(seed.JANE, CYBER, **more)
    assert await post.entries() == []


@pytest.mark.parametrize("course", ["no-such-course", "", "x" * 600, "nul\0", "half \ud800", "%", "cybersecurity-10_"])
async def test_a_course_that_is_none(post: Post, course: str) -> None:
    for attempt in (post.complete, post.enroll):
        with pytest.raises(Refusal) as refused:
            await attempt(seed.JANE, course)
        assert refused.value.code is Code.COURSE_UNKNOWN
    assert await post.entries() == []


async def test_before_any_course_is_known(post: Post) -> None:
    globex = post.configuration.tenants["globex"]
    person = await post.rooms.person(seed.JANE)
    with pytest.raises(Refusal) as refused:
        await post.outbox.complete(globex, person, CYBER, source="api")
    assert refused.value.code is Code.ENROLLMENT_UNKNOWN


async def test_a_launch_enrols_only_who_is_not(either_post: Post) -> None:
    post = either_post
    assert await post.enroll(seed.JANE, CYBER) is None
    id = await post.enroll(seed.TOM, PRIVACY)
    assert id is not None, "whoever dropped out is not enrolled"
    assert await post.enroll(seed.TOM, PRIVACY) == id
    assert len(await post.entries()) == 1


async def test_next_years_certification_completes_again(either_post: Post) -> None:
    post = either_post
    first = await post.complete(seed.JANE, CYBER)
    async with post.carrying():
        await post.settled()
        assert await post.complete(seed.JANE, CYBER) == first
        revision = seed.revision_id(seed.ACME, CYBER, 2)
        later = datetime.now(UTC) + timedelta(seconds=5)
        again = post.kombo.enroll(seed.JANE.id, revision, enrolled_at=later)
        await post.sync()
        second = await post.complete(seed.JANE, CYBER)
        assert second != first
        assert await post.complete(seed.JANE, CYBER) == second
        await post.settled()
    assert post.completions == {each.id: 1 for each in post.progressions(seed.JANE, CYBER)}
    assert again.id in post.completions


async def test_last_years_report_does_not_count_for_this_years_progression(post: Post) -> None:
    at = datetime(2025, 11, 1, tzinfo=UTC)
    first = await post.complete(seed.JANE, CYBER, completed_at=at)
    async with post.carrying():
        await post.settled()
    again = post.kombo.enroll(seed.JANE.id, seed.revision_id(seed.ACME, CYBER, 2))
    await post.sync()
    assert await post.complete(seed.JANE, CYBER, completed_at=at) == first
    assert again.id not in post.completions


@pytest.mark.parametrize("seconds", [1, 400 * 86_400])
async def test_history_from_another_source(post: Post, seconds: int) -> None:
    """Reported by traffic, and told again by the platform's own time, which is a little or long before."""
    first = await post.complete(seed.JANE, CYBER)
    async with post.carrying():
        await post.settled()
        again = post.kombo.enroll(
            seed.JANE.id, seed.revision_id(seed.ACME, CYBER, 2), enrolled_at=datetime.now(UTC) + timedelta(seconds=2)
        )
        await post.sync()
        entry = await post.entry(first)
        assert entry.completed_at
        at = datetime.fromtimestamp(entry.completed_at / 1000 - seconds, UTC)
        assert await post.complete(seed.JANE, CYBER, completed_at=at) == first
        await post.settled()
    assert again.id not in post.completions


async def test_history_of_before_the_bridge(post: Post) -> None:
    again = post.kombo.enroll(seed.AISHA.id, seed.revision_id(seed.ACME, CYBER, 2))
    await post.sync()
    id = await post.complete(seed.AISHA, CYBER, completed_at=again.enrolled_at - timedelta(days=100))
    async with post.carrying():
        await post.settled()
    assert (await post.entry(id)).code == ALREADY
    assert post.completions == {}


async def test_completed_by_others_already(post: Post) -> None:
    """Kombo is asked, as it may have a newer progression than the directory."""
    id = await post.complete(seed.AISHA, CYBER)
    async with post.carrying():
        await post.settled()
    assert (await post.entry(id)).code == ALREADY
    assert post.completions == {}
    assert await post.complete(seed.AISHA, CYBER) == id


async def test_two_open_progressions_and_a_nervous_finger(post: Post) -> None:
    post.kombo.enroll(seed.JANE.id, seed.revision_id(seed.ACME, CYBER, 1), enrolled_at=seed.SEEDED_AT)
    await post.sync()
    ids = [await post.complete(seed.JANE, CYBER)]
    async with post.carrying():
        await post.settled()
        ids += [await post.complete(seed.JANE, CYBER) for _ in range(3)]
        await post.settled()
    assert len(set(ids)) == 1
    assert sum(post.completions.values()) == 1


async def test_a_full_disk_is_said_to_whoever_reports(post: Post) -> None:
    """What was answered with an id is there; what was not may be reported again, and then is."""
    engine, accepted = post.rooms.store.engine, list[str]()

    def no_more_pages(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count=1")  # SQLite takes that for "no more than there are"

    event.listen(engine, "connect", no_more_pages)
    engine.dispose()
    reports = candidates(post.kombo, enrolled=False)
    with pytest.raises(StateError):
        for report in reports:
            accepted.append(await post.complete(*report))
    assert [entry.id for entry in await post.entries()] == accepted
    event.remove(engine, "connect", no_more_pages)
    engine.dispose()
    again = [await post.complete(*report) for report in reports]
    assert again[: len(accepted)] == accepted
    assert len(await post.entries()) == len(reports)
