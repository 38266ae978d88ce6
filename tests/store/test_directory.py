"""The local copy of Kombo's data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import insert, select

from bridge.kombo.model import Course, Parent, Progression, ProgressionRevision, Revision, User
from bridge.store import directory, lookups, tables
from bridge.store.engine import Store, moment_ms

THEN = datetime(2026, 1, 1, tzinfo=UTC)
INTEGRATION = "workday:x"


async def save_users(store: Store, *users: User, seen_at: int = 1) -> None:
    await store.write(lambda c: directory.save_users(c, INTEGRATION, users, seen_at))


async def test_people_are_found_by_exact_remote_id(store: Store) -> None:
    await save_users(store, User("u", "E1", THEN), User("v", "e1", THEN))
    found = await store.read(lambda c: lookups.people_by_remote_id(c, INTEGRATION, "E1"))
    assert [person.id for person in found] == ["u"]
    assert await store.read(lambda c: lookups.people_by_remote_id(c, "workday:other", "E1")) == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [("jane@acme.com", True), ("JANE@ACME.COM", True), ("Jane@acme.com ", False), ("\u212aane@acme.com", False)],
)
async def test_addresses_compare_ignoring_ascii_case_alone(store: Store, asked: str, found: bool) -> None:
    await save_users(
        store, User("u", "E1", THEN, work_email="Jane@Acme.com"), User("k", "E2", THEN, work_email="kane@acme.com")
    )
    people = await store.read(lambda c: lookups.people_by_email(c, INTEGRATION, asked))
    assert [person.id for person in people] == (["u"] if found else [])


async def test_deleted_people_do_not_exist(store: Store) -> None:
    await save_users(store, User("u", "E1", THEN, work_email="a@b.c", remote_deleted_at=THEN))
    assert await store.read(lambda c: lookups.people_by_remote_id(c, INTEGRATION, "E1")) == []
    assert await store.read(lambda c: lookups.people_by_email(c, INTEGRATION, "a@b.c")) == []
    assert await store.read(lambda c: lookups.person(c, INTEGRATION, "u")) is None


@pytest.mark.parametrize(
    ("status", "active"), [(None, True), ("ACTIVE", True), ("INACTIVE", False), ("ON_LEAVE", False)]
)
async def test_a_null_status_is_active_and_an_unknown_one_is_not(
    store: Store, status: str | None, active: bool
) -> None:
    await save_users(store, User("u", "E1", THEN, status=status))
    person = await store.read(lambda c: lookups.person(c, INTEGRATION, "u"))
    assert person is not None
    assert person.active is active


async def test_an_older_answer_does_not_undo_a_newer_one(store: Store) -> None:
    await save_users(store, User("u", "E1", THEN + timedelta(seconds=1), status="INACTIVE"), seen_at=1)
    await save_users(store, User("u", "E1", THEN, status="ACTIVE"), seen_at=2)
    person = await store.read(lambda c: lookups.person(c, INTEGRATION, "u"))
    assert person is not None
    assert (person.status, person.seen_at) == ("INACTIVE", 2)


async def test_one_page_may_name_a_row_twice(store: Store) -> None:
    await save_users(store, User("u", "E2", THEN + timedelta(seconds=1)), User("u", "E1", THEN))
    person = await store.read(lambda c: lookups.person(c, INTEGRATION, "u"))
    assert person is not None
    assert person.remote_id == "E2"


def progression(id: str, revision: str, *, course: str | None = None, **more: object) -> Progression:
    nested = ProgressionRevision(revision, Parent(course) if course else None)
    return Progression(id, "u", revision, THEN, course_revision=nested, **more)


async def test_progressions_are_found_on_any_revision_of_the_course(store: Store) -> None:
    revisions = tuple(Revision(f"r{n}", f"R{n}", THEN) for n in (1, 2))
    courses = [
        Course("c", "C", THEN, origin_id="cyber", revisions=revisions),
        Course("d", "D", THEN, origin_id="other"),
    ]
    await store.write(lambda c: directory.save_courses(c, INTEGRATION, courses, 1))
    rows = [
        progression("by revision", "r1", status="COMPLETED"),
        progression("by course", "r2", course="c", status="ENROLLED"),
        progression("elsewhere", "r9", course="d", status="ENROLLED"),
        progression("nowhere", "r8", status="ENROLLED"),
        progression("no status", "r2", course="c"),
        progression("deleted", "r2", course="c", status="ENROLLED", remote_deleted_at=THEN),
    ]
    await store.write(lambda c: directory.save_progressions(c, INTEGRATION, rows, 1))
    assert await store.read(lambda c: lookups.course_ids(c, INTEGRATION, "cyber")) == ["c"]
    found = await store.read(lambda c: lookups.enrollments(c, INTEGRATION, "u", ["c"]))
    assert {row.progression_id for row in found} == {"by revision", "by course"}
    assert await store.read(lambda c: lookups.enrollments(c, INTEGRATION, "v", ["c"])) == []


async def test_a_deleted_course_is_not_on_the_map(store: Store) -> None:
    await store.write(
        lambda c: directory.save_courses(
            c, INTEGRATION, [Course("c", "C", THEN, origin_id="cyber", remote_deleted_at=THEN)], 1
        )
    )
    assert await store.read(lambda c: lookups.course_ids(c, INTEGRATION, "cyber")) == []


async def revisions(store: Store) -> dict[str, tuple[str | None, ...]]:
    row = tables.revisions.c
    found = await store.read(lambda c: c.execute(select(row.id, row.course_id, row.status, row.title)).all())
    return {id: (course, status, title) for id, course, status, title in found}


async def test_revisions_say_their_status_and_title(store: Store) -> None:
    course = Course(
        "c",
        "C",
        THEN,
        revisions=(
            Revision("r1", "R1", THEN, title="Old", status="INACTIVE"),
            Revision("r2", "R2", THEN, title="New", status="ACTIVE"),
            Revision("r3", "R3", THEN, status="ACTIVE", remote_deleted_at=THEN),
            Revision("r4", "R4", THEN),
        ),
    )
    await store.write(lambda c: directory.save_courses(c, INTEGRATION, [course], 1))
    assert await revisions(store) == {
        "r1": ("c", "INACTIVE", "Old"),
        "r2": ("c", "ACTIVE", "New"),
        "r3": ("c", "INACTIVE", None),
        "r4": ("c", None, None),
    }


async def test_an_older_revision_does_not_undo_a_newer_one(store: Store) -> None:
    for seconds, title in ((5, "five"), (4, "four"), (5, "five again")):
        revision = Revision("r", "R", THEN + timedelta(seconds=seconds), title=title)
        course = Course("c", "C", THEN, revisions=(revision,))
        await store.write(partial(directory.save_courses, integration_id=INTEGRATION, courses=[course], seen_at=1))
    assert await revisions(store) == {"r": ("c", None, "five again")}


async def test_a_revision_of_a_former_version_of_ours_is_filled_in(store: Store) -> None:
    row = {"integration_id": INTEGRATION, "id": "r", "course_id": "c", "seen_at": 1}
    await store.write(lambda c: c.execute(insert(tables.revisions), row))
    course = Course("c", "C", THEN, revisions=(Revision("r", "R", THEN, title="Title"),))
    await store.write(lambda c: directory.save_courses(c, INTEGRATION, [course], 2))
    assert await revisions(store) == {"r": ("c", None, "Title")}


async def test_when_somebody_was_enrolled(store: Store) -> None:
    row = progression("p", "r", course="c", status="ENROLLED", enrolled_at=THEN)
    await store.write(lambda c: directory.save_progressions(c, INTEGRATION, [row], 1))
    [found] = await store.read(lambda c: lookups.enrollments(c, INTEGRATION, "u", ["c"]))
    assert found.enrolled_at == moment_ms(THEN)
