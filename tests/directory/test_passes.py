"""Passes over pages of any shape: full ones, those over what changed, cut off and gone on with, under any clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from bridge.directory.sync import Sync
from bridge.errors import KomboRefused, KomboUnavailable, StateError
from bridge.kombo.model import Course, Revision, User
from bridge.store import directory, lookups, rows, syncs, tables
from bridge.store.engine import Store, moment_ms, now_ms
from bridge.store.syncs import CLOCKS_APART_MS, OVERLAP_MS, RESUMABLE_MS, Progress
from tests.support.listed import Asked, Listed
from tests.support.permits import only

INTEGRATION = "workday:x"
HOUR_MS = 3600 * 1000


@pytest.fixture
def kombo() -> Listed:
    """Seven people."""
    listed = Listed()
    for number in range(7):
        listed.person(f"p{number}")
    return listed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets every node's clock by so many milliseconds from what it is."""
    from time import time_ns

    apart = [0]
    monkeypatch.setattr("bridge.store.engine.time.time_ns", lambda: time_ns() + apart[0] * 1_000_000)

    def set_by(milliseconds: int) -> None:
        apart[0] = milliseconds

    return set_by


def sync(store: Store, kombo: Listed) -> Sync:
    return Sync(store, kombo.client, INTEGRATION, tenant="acme")


async def progress(store: Store) -> Progress:
    return (await store.read(lambda c: syncs.of(c, INTEGRATION)))["users"]


async def there(store: Store) -> set[str]:
    person = tables.users.c
    return set(await store.read(lambda c: c.execute(select(person.id).where(person.deleted_at.is_(None))).scalars()))


def failing(model: str, cursor: str | None, error: Exception) -> Callable[[Asked], None]:
    def trouble(asked: Asked) -> None:
        if (asked.model, asked.cursor) == (model, cursor):
            raise error

    return trouble


def fine(_: Asked) -> None:
    return None


def refused(code: str, status: int = 400) -> KomboRefused:
    return KomboRefused("refused", status=status, kombo_code=code)


async def test_after_a_full_pass_only_what_changed_is_asked_for(either_store: Store, kombo: Listed) -> None:
    first = await sync(either_store, kombo).read("users")
    assert (first.mode, first.rows) == ("full", 7)
    assert kombo.asked[0] == Asked("users", None, False, None)
    begun = (await progress(either_store)).started_at
    kombo.person("p3", work_email="new@acme.com")
    kombo.delete("p4")
    kombo.asked.clear()
    second = await sync(either_store, kombo).read("users")
    assert (second.mode, second.rows) == ("delta", 7), "all of them lie within the overlap"
    asked = kombo.asked[0]
    assert asked.deleted and asked.since and moment_ms(asked.since) == begun - OVERLAP_MS
    assert {each.since for each in kombo.asked} == {asked.since}, "filters have to be repeated with the cursor"
    assert await there(either_store) == {"p0", "p1", "p2", "p3", "p5", "p6"}
    found = await either_store.read(lambda c: lookups.people_by_email(c, INTEGRATION, "new@acme.com"))
    assert [person.id for person in found] == ["p3"]


async def test_a_pass_that_was_cut_off_goes_on_where_it_stood(either_store: Store, kombo: Listed) -> None:
    kombo.trouble = failing("users", "4", KomboUnavailable("away"))
    with pytest.raises(KomboUnavailable):
        await sync(either_store, kombo).read("users")
    standing = await progress(either_store)
    assert (standing.mode, standing.cursor, standing.rows, standing.as_of) == ("full", "4", 4, None)
    assert len(await there(either_store)) == 4
    kombo.trouble, read = fine, kombo.pages("users")
    done = await sync(either_store, kombo).read("users")
    assert (done.mode, done.rows) == ("full", 7)
    assert [asked.cursor for asked in kombo.asked[read:]] == ["4", "6"]
    assert (await progress(either_store)).as_of == standing.started_at, "a pass is as old as its beginning"


async def test_one_that_was_cut_off_behind_its_last_page_is_only_concluded(store: Store, kombo: Listed) -> None:
    await sync(store, kombo).read("users")
    del kombo.users["p0"]
    with pytest.raises(StateError):
        await Sync(store, kombo.client, INTEGRATION, only(4)).read("users", full=True)
    assert len(await there(store)) == 7
    read = kombo.pages("users")
    done = await sync(store, kombo).read("users", full=True)
    assert (done.mode, kombo.pages("users")) == ("full", read)
    assert len(await there(store)) == 6


@pytest.mark.parametrize(
    ("code", "status", "anew"),
    [
        ("PLATFORM.INPUT_INVALID", 400, True),
        ("", 404, True),
        ("INTEGRATION.PERMISSION_MISSING", 403, False),
        ("PLATFORM.AUTHENTICATION_INVALID", 401, False),
    ],
)
async def test_a_refused_cursor_begins_the_pass_anew(
    store: Store, kombo: Listed, code: str, status: int, anew: bool
) -> None:
    kombo.trouble = failing("users", "4", KomboUnavailable("away"))
    with pytest.raises(KomboUnavailable):
        await sync(store, kombo).read("users")
    first = (await progress(store)).started_at
    kombo.trouble, read = failing("users", "4", refused(code, status)), kombo.pages("users")
    with pytest.raises(KomboRefused):
        await sync(store, kombo).read("users")
    assert [asked.cursor for asked in kombo.asked[read:]] == (["4", None, "2", "4"] if anew else ["4"])
    assert ((await progress(store)).started_at > first) is anew


async def test_a_pass_too_old_to_go_on_begins_anew(store: Store, kombo: Listed, clock: Callable[[int], None]) -> None:
    kombo.trouble = failing("users", "4", KomboUnavailable("away"))
    with pytest.raises(KomboUnavailable):
        await sync(store, kombo).read("users")
    kombo.trouble = fine
    clock(RESUMABLE_MS + HOUR_MS)
    kombo.asked.clear()
    await sync(store, kombo).read("users")
    assert kombo.asked[0].cursor is None


async def test_a_full_pass_takes_the_place_of_one_over_what_changed(store: Store, kombo: Listed) -> None:
    await sync(store, kombo).read("users")
    kombo.trouble = failing("users", "4", KomboUnavailable("away"))
    with pytest.raises(KomboUnavailable):
        await sync(store, kombo).read("users")
    assert (await progress(store)).mode == "delta"
    kombo.trouble = fine
    assert (await sync(store, kombo).read("users", full=True)).rows == 7


async def test_only_a_completed_full_pass_is_a_proof_of_absence(either_store: Store, kombo: Listed) -> None:
    await sync(either_store, kombo).read("users")
    del kombo.users["p0"]
    await sync(either_store, kombo).read("users")
    assert "p0" in await there(either_store), "not shown among what changed"
    kombo.trouble = failing("users", "4", KomboUnavailable("away"))
    with pytest.raises(KomboUnavailable):
        await sync(either_store, kombo).read("users", full=True)
    assert "p0" in await there(either_store), "not shown so far"
    kombo.trouble = fine
    assert (await sync(either_store, kombo).read("users", full=True)).removed == 0, "lost by the fuse's leave"
    assert "p0" not in await there(either_store)


async def test_of_the_deleted_nothing_is_kept_but_that(either_store: Store, kombo: Listed) -> None:
    await sync(either_store, kombo).read("users")
    well = kombo.users["p0"]
    asked_at = now_ms()
    del kombo.users["p0"]
    await sync(either_store, kombo).read("users", full=True)
    row = await either_store.read(lambda c: c.execute(select(tables.users).where(tables.users.c.id == "p0")).one())
    assert (row.remote_id, row.email, row.first_name, row.last_name) == ("", None, None, None)
    await either_store.write(lambda c: directory.save_users(c, INTEGRATION, [well], asked_at - 1))
    assert "p0" not in await there(either_store), "a late answer to an earlier question"
    await either_store.write(lambda c: directory.save_users(c, INTEGRATION, [well], now_ms()))
    assert "p0" in await there(either_store), "it was a fault that the list had left them out"


async def test_inactive_stays_so_through_deletion_until_an_explicit_active(either_store: Store, kombo: Listed) -> None:
    async def person() -> Any:
        return await either_store.read(lambda c: lookups.person(c, INTEGRATION, "p0"))

    kombo.person("p0", status="INACTIVE")
    await sync(either_store, kombo).read("users")
    kombo.person("p0", status=None)
    await sync(either_store, kombo).read("users")
    assert (await person()).status == "INACTIVE"
    kombo.person("p0", status=None)
    late = kombo.users["p0"]
    await either_store.write(lambda c: directory.save_users(c, INTEGRATION, [late], now_ms()))
    assert not (await person()).active
    kombo.delete("p0")
    await sync(either_store, kombo).read("users")
    assert await person() is None
    kombo.person("p0", status=None)
    await sync(either_store, kombo).read("users", full=True)
    assert not (await person()).active
    kombo.person("p0", status="ACTIVE")
    await sync(either_store, kombo).read("users")
    assert (await person()).active


async def test_a_row_that_cannot_be_read_is_asked_for_until_it_can(either_store: Store, kombo: Listed) -> None:
    await sync(either_store, kombo).read("users")
    good = await progress(either_store)
    kombo.person("p0", work_email="later@acme.com")
    kombo.unreadable = {"p0"}
    assert (await sync(either_store, kombo).read("users")).unreadable == 1
    now = await progress(either_store)
    assert (now.as_of, now.mode) == (good.as_of, None)
    assert now.finished_at and good.finished_at and now.finished_at > good.finished_at
    kombo.unreadable = set()
    kombo.asked.clear()
    assert (await sync(either_store, kombo).read("users")).unreadable == 0
    assert kombo.asked[0].since and moment_ms(kombo.asked[0].since) == good.started_at - OVERLAP_MS
    found = await either_store.read(lambda c: lookups.people_by_email(c, INTEGRATION, "later@acme.com"))
    assert len(found) == 1
    later = (await progress(either_store)).as_of
    assert later and good.as_of and later > good.as_of


async def test_nothing_is_concluded_after_a_full_pass_with_unreadable_rows(store: Store, kombo: Listed) -> None:
    await sync(store, kombo).read("users")
    good = await progress(store)
    del kombo.users["p0"]
    kombo.unreadable = {"p1"}
    done = await sync(store, kombo).read("users", full=True)
    assert (done.unreadable, done.removed) == (1, 0)
    assert len(await there(store)) == 7
    kombo.unreadable = set()
    assert (await sync(store, kombo).read("users")).mode == "delta", "what is said is taken from then on"
    assert (await progress(store)).as_of == good.as_of, "but what was left out before is still unknown"
    await sync(store, kombo).read("users", full=True)
    assert len(await there(store)) == 6
    later = (await progress(store)).as_of
    assert later and good.as_of and later > good.as_of


async def test_unreadable_rows_count_across_a_crash(store: Store, kombo: Listed) -> None:
    await sync(store, kombo).read("users")
    del kombo.users["p6"]
    kombo.unreadable = {"p0"}
    kombo.trouble = failing("users", "4", KomboUnavailable("away"))
    with pytest.raises(KomboUnavailable):
        await sync(store, kombo).read("users", full=True)
    kombo.trouble, kombo.unreadable = fine, set()
    assert (await sync(store, kombo).read("users")).unreadable == 1
    assert "p6" in await there(store)


@pytest.mark.parametrize("apart", [-3 * HOUR_MS, 60_000 - CLOCKS_APART_MS, -OVERLAP_MS, 0, HOUR_MS, 400 * 24 * HOUR_MS])
async def test_no_clock_loses_a_change_or_a_person(
    either_store: Store, kombo: Listed, clock: Callable[[int], None], apart: int
) -> None:
    """`kombo.clock` is right; ours is ahead at the first pass, and then set by so much."""
    for id in kombo.users:
        kombo.person(id)
    clock(max(-apart, 0))
    await sync(either_store, kombo).read("users", full=True)
    clock(max(apart, 0))
    kombo.clock += timedelta(seconds=20)
    kombo.person("p1", work_email="changed@acme.com")
    await sync(either_store, kombo).read("users")
    found = await either_store.read(lambda c: lookups.people_by_email(c, INTEGRATION, "changed@acme.com"))
    assert [person.id for person in found] == ["p1"]
    del kombo.users["p2"]
    kombo.person("p7")
    await sync(either_store, kombo).read("users", full=True)
    assert await there(either_store) == {"p0", "p1", "p3", "p4", "p5", "p6", "p7"}
    as_of = (await progress(either_store)).as_of
    assert as_of is not None and as_of <= now_ms(), "no moment of a clock that was wrong stays"


async def test_a_row_seen_under_a_clock_that_was_ahead_is_still_missed(
    store: Store, kombo: Listed, clock: Callable[[int], None]
) -> None:
    clock(30 * 24 * HOUR_MS)
    await sync(store, kombo).read("users")
    live = kombo.users["p0"]
    await store.write(lambda c: directory.save_users(c, INTEGRATION, [live], now_ms()))
    clock(0)
    del kombo.users["p0"]
    await sync(store, kombo).read("users")
    assert "p0" not in await there(store)
    assert max(await store.read(lambda c: c.execute(select(tables.users.c.seen_at)).scalars().all())) > now_ms()
    kept = tables.users.c.deleted_at.is_(None)
    seen = await store.read(lambda c: c.execute(select(tables.users.c.seen_at).where(kept)).scalars().all())
    assert max(seen) <= now_ms()


@pytest.mark.parametrize("ahead", [2 * 60_000, HOUR_MS, 30 * 24 * HOUR_MS])
async def test_who_was_taken_for_deleted_by_a_clock_that_was_ahead_comes_back(
    either_store: Store, kombo: Listed, clock: Callable[[int], None], ahead: int
) -> None:
    await sync(either_store, kombo).run()
    kombo.progression("e", "p0")
    await sync(either_store, kombo).run()
    left, withdrawn = kombo.users.pop("p0"), kombo.progressions.pop("e")
    clock(ahead)
    await sync(either_store, kombo).run(full=True)
    assert "p0" not in await there(either_store)
    clock(0)
    kombo.users["p0"], kombo.progressions["e"] = left, withdrawn
    await sync(either_store, kombo).run(full=True)
    assert "p0" in await there(either_store)
    progression = tables.progressions.c.deleted_at
    assert await either_store.read(lambda c: c.execute(select(progression)).scalars().all()) == [None]


@pytest.mark.parametrize(("ahead", "back"), [(2 * 60_000, False), (HOUR_MS, True)])
async def test_a_live_answer_after_a_deletion_by_a_clock_ahead(
    either_store: Store, kombo: Listed, clock: Callable[[int], None], ahead: int, back: bool
) -> None:
    """It may have been asked for before, where that clock is of another node; further ahead it is of a wrong one."""
    await sync(either_store, kombo).read("users")
    well = kombo.users.pop("p0")
    clock(ahead)
    await sync(either_store, kombo).read("users", full=True)
    clock(0)
    await either_store.write(lambda c: directory.save_users(c, INTEGRATION, [well], now_ms()))
    assert ("p0" in await there(either_store)) is back


async def test_a_page_of_any_size_is_written_in_parts(either_store: Store, kombo: Listed) -> None:
    """Kombo may not heed `page_size`, and a course may have any number of revisions."""
    kombo.size = 3000
    for number in range(1200):
        kombo.person(f"many{number}")
        revisions = (Revision(f"r{number}", f"R{number}", kombo.now()), Revision(f"s{number}", "S", kombo.now()))
        kombo.courses[f"c{number}"] = Course(f"c{number}", f"C{number}", kombo.now(), revisions=revisions)
    writes: list[int] = []

    def permit(connection: Connection) -> None:
        writes.append(len(connection.execute(select(tables.users.c.id)).all()))

    done = await Sync(either_store, kombo.client, INTEGRATION, permit).read("users")
    assert (done.rows, kombo.pages("users")) == (1207, 1)
    assert max(after - before for before, after in pairwise(writes)) <= rows.CHUNK
    for _ in range(2):
        assert (await sync(either_store, kombo).read("courses", full=True)).rows == 1200
    for table, count in ((tables.courses, 1200), (tables.revisions, 2400)):
        found = await either_store.read(lambda c, table=table: c.execute(select(table.c.id)).all())
        assert len(found) == count


async def test_a_page_cut_off_between_its_parts_is_read_again(store: Store, kombo: Listed) -> None:
    await sync(store, kombo).read("users")
    kombo.size = 3000
    for number in range(1200):
        kombo.person(f"many{number}")
    with pytest.raises(StateError):
        await Sync(store, kombo.client, INTEGRATION, only(3)).read("users", full=True)
    standing = await progress(store)
    assert (standing.mode, standing.cursor) == ("full", None)
    assert (await sync(store, kombo).read("users", full=True)).rows == 1207
    assert len(await there(store)) == 1207


async def test_a_list_without_an_end_is_given_up(store: Store, kombo: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by who goes on with it: otherwise each try would read as much again."""
    monkeypatch.setattr("bridge.directory.sync.MOST_ROWS", 4)
    for pages in (3, 1, 1):
        read = kombo.pages("users")
        with pytest.raises(KomboUnavailable, match="list of users does not end: 4 rows so far"):
            await sync(store, kombo).read("users")
        assert kombo.pages("users") - read == pages
    assert len(await there(store)) == 4


async def test_all_that_is_absent_is_found_in_stretches(
    either_store: Store, kombo: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.rows.STRETCH", 3)
    monkeypatch.setattr("bridge.store.rows.CHUNK", 2)
    for number in range(20):
        kombo.progression(f"e{number:02}", "p0")
    await sync(either_store, kombo).read("progressions")
    stay = {"e01", "e09", "e10", "e11", "e12", "e13", "e14", "e18"}
    kombo.progressions = {id: row for id, row in kombo.progressions.items() if id in stay}
    assert (await sync(either_store, kombo).read("progressions", full=True)).removed == 12
    row = tables.progressions.c
    living = select(row.id).where(row.deleted_at.is_(None))
    assert set(await either_store.read(lambda c: c.execute(living).scalars())) == stay


@pytest.mark.parametrize("year", [1, 9999])
async def test_changes_of_any_year(store: Store, kombo: Listed, year: int) -> None:
    zone = timezone(timedelta(hours=14 if year == 1 else -14))
    kombo.clock = datetime(year, 1, 1, tzinfo=zone) if year == 1 else datetime(year, 12, 31, 23, 59, tzinfo=zone)
    kombo.users = {"p": User("p", "E", kombo.clock)}
    for _ in range(2):
        await sync(store, kombo).read("users")
    assert await there(store) == {"p"}


async def test_a_page_does_not_make_a_live_answer_older(store: Store, kombo: Listed) -> None:
    """Who waits for a live answer looks for rows that were seen since."""
    await sync(store, kombo).read("users")
    moment = now_ms() + 1000
    live = kombo.users["p0"]
    await store.write(lambda c: directory.save_users(c, INTEGRATION, [live], moment))
    await sync(store, kombo).read("users", full=True)
    person = await store.read(lambda c: lookups.person(c, INTEGRATION, "p0"))
    assert person and person.seen_at == moment


async def test_what_is_wanted_is_answered_by_the_next_pass_that_begins(either_store: Store, kombo: Listed) -> None:
    async def want(moment: int) -> None:
        await either_store.write(lambda c: syncs.want(c, INTEGRATION, {"users"}, moment))

    async def wanted() -> set[str]:
        return await either_store.read(lambda c: syncs.wanted(c, now_ms()))

    await want(1)
    assert await wanted() == set(), "what was never read is due anyway"
    await sync(either_store, kombo).read("users")
    await want(now_ms() + HOUR_MS)
    await want(now_ms())
    assert await wanted() == {INTEGRATION}
    kombo.trouble = failing("users", "2", KomboUnavailable("away"))
    with pytest.raises(KomboUnavailable):
        await sync(either_store, kombo).read("users")
    assert await wanted() == set(), "it is under way"
    await want(now_ms())
    kombo.trouble = fine
    await sync(either_store, kombo).read("users")
    assert await wanted() == {INTEGRATION}, "the rest of a pass is no answer to what came after its beginning"
    await either_store.write(lambda c: syncs.fail(c, INTEGRATION, "users", 1, now_ms() + HOUR_MS))
    assert await wanted() == set(), "not while Kombo is left alone"


async def test_one_model_refused_does_not_keep_the_others_from_being_read(store: Store, kombo: Listed) -> None:
    kombo.progression("e", "p0")
    kombo.trouble = failing("courses", None, refused("INTEGRATION.MODEL_NOT_AVAILABLE"))
    with pytest.raises(KomboRefused):
        await sync(store, kombo).run()
    assert set(await store.read(lambda c: lookups.synced(c, INTEGRATION))) == {"users", "progressions"}


async def test_courses_and_progressions_that_are_not_shown_are_gone(either_store: Store, kombo: Listed) -> None:
    for number in range(3):
        revisions = (Revision(f"r{number}", f"R{number}", kombo.now()),)
        kombo.courses[f"c{number}"] = Course(
            f"c{number}", f"C{number}", kombo.now(), origin_id=f"o{number}", revisions=revisions
        )
        kombo.progression(f"e{number}", "p0", f"r{number}")
    await sync(either_store, kombo).run()
    shown = kombo.progressions.pop("e0")
    asked_at = now_ms() - 1
    del kombo.courses["c1"]
    done = {each.model: each.removed for each in await sync(either_store, kombo).run(full=True)}
    assert done == {"users": 0, "courses": 1, "progressions": 1}
    assert await either_store.read(lambda c: lookups.course_ids(c, INTEGRATION, "o1")) == []
    assert await either_store.read(lambda c: lookups.enrollments(c, INTEGRATION, "p0", ["c0"])) == []
    await either_store.write(lambda c: directory.save_progressions(c, INTEGRATION, [shown], asked_at))
    assert await either_store.read(lambda c: lookups.enrollments(c, INTEGRATION, "p0", ["c0"])) == []
    assert len(await either_store.read(lambda c: lookups.enrollments(c, INTEGRATION, "p0", ["c2"]))) == 1
    revisions = await either_store.read(lambda c: c.execute(select(tables.revisions.c.id)).scalars().all())
    assert set(revisions) == {"r0", "r2"}


async def test_what_was_deleted_long_ago_is_forgotten(either_store: Store, kombo: Listed) -> None:
    await sync(either_store, kombo).read("users")
    kombo.delete("p0")
    await sync(either_store, kombo).read("users")
    long_ago = now_ms() - 31 * 24 * HOUR_MS
    await either_store.write(
        lambda c: c.execute(update(tables.users).where(tables.users.c.id == "p0").values(seen_at=long_ago))
    )
    await sync(either_store, kombo).read("users", full=True)
    ids = await either_store.read(lambda c: c.execute(select(tables.users.c.id)).scalars().all())
    assert set(ids) == {"p1", "p2", "p3", "p4", "p5", "p6"}
