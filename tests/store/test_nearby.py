"""Looking for people under nearly the same value, on either kind of state."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.kombo.model import Course, User
from bridge.store import courses, directory, nearby
from bridge.store.engine import Store

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
OURS, THEIRS = "workday:ours", "workday:theirs"


def user(id: str, remote_id: str, email: str | None = None, *, deleted: bool = False) -> User:
    return User(id, remote_id, LONG_AGO, work_email=email, remote_deleted_at=LONG_AGO if deleted else None)


async def filled(store: Store) -> None:
    ours = [
        user("a", "1", "Jane@Old.com"),
        user("b", "2", "jane@new.com"),
        user("c", "3", "jane_@new.com"),
        user("d", "4", "jane.x@old.com"),
        user("e", "5"),
        user("f", "6", "jane@gone.com", deleted=True),
    ]
    await store.write(lambda c: directory.save_users(c, OURS, ours, 1))
    await store.write(lambda c: directory.save_users(c, THEIRS, [user("z", "9", "Zoe@new.com")], 1))


async def test_counts(either_store: Store) -> None:
    await filled(either_store)
    assert await either_store.read(lambda c: nearby.counts(c, OURS)) == nearby.Counts(5, 4)
    assert await either_store.read(lambda c: nearby.counts(c, "nobody's")) == nearby.Counts(0, 0)
    assert await either_store.read(lambda c: nearby.count_in_domains(c, OURS, ["NEW.com", "x.org"])) == 2


async def test_stretches_hold_everybody_once(either_store: Store) -> None:
    await filled(either_store)
    first = await either_store.read(lambda c: nearby.remote_ids(c, OURS, None, 3))
    second = await either_store.read(lambda c: nearby.remote_ids(c, OURS, first[-1][0], 3))
    assert [*first, *second] == [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")]


async def test_the_same_local_part(either_store: Store) -> None:
    await filled(either_store)
    found = await either_store.read(lambda c: nearby.domains_of(c, OURS, "JANE", 10))
    assert sorted(found) == [("a", "old.com"), ("b", "new.com")]
    assert await either_store.read(lambda c: nearby.domains_of(c, OURS, "jan%", 10)) == []


async def test_other_integrations(either_store: Store) -> None:
    await filled(either_store)
    for value, found in (("9", [THEIRS]), ("zoe@NEW.com", [THEIRS]), ("6", []), ("1", [])):
        assert await either_store.read(lambda c, v=value: nearby.integrations_with(c, [THEIRS], v)) == found
    many = [f"x:{number}" for number in range(1200)] + [THEIRS]
    assert await either_store.read(lambda c: nearby.integrations_with(c, many, "9")) == [THEIRS]


async def test_courses_without_a_name(either_store: Store) -> None:
    shown = [Course("k", "r1", LONG_AGO), Course("l", "r2", LONG_AGO, origin_id="a"), Course("m", "r3", LONG_AGO)]
    await either_store.write(lambda c: directory.save_courses(c, OURS, shown, 1))
    await either_store.write(lambda c: courses.map_courses(c, OURS, {"m": "b"}, "import"))
    assert await either_store.read(lambda c: nearby.unnamed_courses(c, OURS)) == 1
    assert await either_store.read(lambda c: nearby.push_state(c, OURS, "a")) is None
