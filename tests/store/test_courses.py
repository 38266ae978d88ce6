"""The course map, what was pushed, and both beside the directory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.kombo.model import Course, Revision
from bridge.store import courses, directory, lookups
from bridge.store.courses import Claim, Fate, Push
from bridge.store.engine import Store
from bridge.store.listing import listing

THEN = datetime(2026, 1, 1, tzinfo=UTC)
INTEGRATION = "successfactors:x"


async def seen(store: Store, *found: Course) -> None:
    await store.write(lambda c: directory.save_courses(c, INTEGRATION, found, 1))


async def mapped(store: Store, **origin_ids: str) -> None:
    await store.write(lambda c: courses.map_courses(c, INTEGRATION, origin_ids, "push"))


async def ids(store: Store, origin_id: str, integration: str = INTEGRATION) -> list[str]:
    return await store.read(lambda c: lookups.course_ids(c, integration, origin_id))


async def test_kombos_own_word_comes_before_the_map(store: Store) -> None:
    await mapped(store, named="x", blank="x", silent="x", unseen="x")
    await seen(
        store,
        Course("named", "R1", THEN, origin_id="y"),
        Course("blank", "R2", THEN + timedelta(days=1), origin_id=""),
        Course("silent", "R3", THEN),
        Course("own", "R4", THEN + timedelta(days=2), origin_id="x"),
    )
    assert await ids(store, "x") == ["unseen", "own", "blank", "silent"]
    assert await ids(store, "y") == ["named"]
    assert await ids(store, "z") == []
    assert await ids(store, "x", "other:x") == []


async def test_the_map_does_not_bring_back_a_deleted_course(store: Store) -> None:
    await mapped(store, a="x", b="x")
    await seen(store, Course("a", "R", THEN, remote_deleted_at=THEN))
    assert await ids(store, "x") == ["b"]


async def test_a_course_on_the_map_and_named_alike_is_one(store: Store) -> None:
    await mapped(store, a="x")
    await seen(store, Course("a", "R", THEN, origin_id="x"))
    assert await ids(store, "x") == ["a"]


async def test_what_has_no_origin_id_is_not_found_by_the_empty_one(store: Store) -> None:
    await seen(store, Course("blank", "R", THEN, origin_id=""))
    assert await ids(store, "") == []


async def test_the_map_ignores_no_case(store: Store) -> None:
    await mapped(store, a="Cyber", b="cyber")
    assert await ids(store, "cyber") == ["b"]


async def test_who_says_otherwise(store: Store) -> None:
    await mapped(store, a="x", b="x", c="x")
    await seen(store, Course("b", "R", THEN, origin_id="y"), Course("d", "S", THEN, remote_deleted_at=THEN))
    named = {"a": "other", "b": "other", "c": "x", "d": "free", "e": "free"}
    found = await store.read(lambda c: courses.claims(c, INTEGRATION, named))
    assert found == {"a": Claim("x", "push"), "b": Claim("y", "kombo")}
    assert await store.read(lambda c: courses.claims(c, "other:x", named)) == {}


async def test_many_at_once(store: Store) -> None:
    named = {f"c{number}": f"o{number}" for number in range(1200)}
    await store.write(lambda c: courses.map_courses(c, INTEGRATION, named, "import"))
    swapped = dict.fromkeys(named, "o7")
    assert len(await store.read(lambda c: courses.claims(c, INTEGRATION, swapped))) == 1199
    assert await store.write(lambda c: courses.forget_imports(c, INTEGRATION)) == 1200


def push(origin_id: str, digest: str = "d") -> Push:
    return Push(origin_id, digest, origin_id.upper(), "sending", 0)


async def test_a_push_from_sending_to_its_end(store: Store) -> None:
    sent = [push("a"), push("b"), push("c")]
    await store.write(lambda c: courses.begin(c, INTEGRATION, sent))
    assert await store.read(lambda c: courses.tasks(c, INTEGRATION)) == {}
    await store.write(lambda c: courses.started(c, INTEGRATION, sent, "t"))
    assert await store.read(lambda c: courses.tasks(c, INTEGRATION)) == {"t": frozenset("abc")}
    fates = {"a": Fate("A"), "b": Fate(code="X", message="why"), "c": Fate("C")}
    await seen(store, Course("C", "R", THEN, origin_id="elsewhere"))
    await store.write(lambda c: courses.settle(c, INTEGRATION, "t", fates))
    found = await store.read(lambda c: courses.pushes(c, INTEGRATION))
    assert {origin: (row.state, row.course_id, row.code) for origin, row in found.items()} == {
        "a": ("done", "A", None),
        "b": ("failed", None, "X"),
        "c": ("failed", None, None),
    }
    assert found["c"].message == "Kombo says that its course is C, but Kombo says that its origin id is elsewhere"
    assert await store.read(lambda c: courses.tasks(c, INTEGRATION)) == {}
    assert (await ids(store, "a"), await ids(store, "c")) == (["A"], [])
    assert await store.read(lambda c: courses.known_origins(c, INTEGRATION)) == {"a", "elsewhere"}


async def test_the_course_id_outlives_a_push_that_fails(store: Store) -> None:
    await store.write(lambda c: courses.begin(c, INTEGRATION, [push("a")]))
    await store.write(lambda c: courses.started(c, INTEGRATION, [push("a")], "t"))
    await store.write(lambda c: courses.settle(c, INTEGRATION, "t", {"a": Fate("A")}))
    newer = push("a", "newer")
    await store.write(lambda c: courses.begin(c, INTEGRATION, [newer]))
    await store.write(lambda c: courses.refused(c, INTEGRATION, [newer], Fate(code="X", message="why")))
    found = (await store.read(lambda c: courses.pushes(c, INTEGRATION)))["a"]
    assert replace(found, changed_at=0) == Push("a", "newer", "A", "failed", 0, None, "A", "X", "why")
    assert await ids(store, "a") == ["A"]


async def test_what_is_listed(store: Store) -> None:
    closed = Revision("r1", "R1", THEN, title="Old", status="INACTIVE")
    open_ = Revision("r2", "R2", THEN + timedelta(days=1), title="New", status="ACTIVE")
    await seen(
        store,
        Course("own", "E1", THEN, origin_id="a", revisions=(open_, closed)),
        Course("by-map", "E2", THEN, revisions=(Revision("r3", "R3", THEN, status="INACTIVE"),)),
        Course("theirs", "E3", THEN, revisions=(Revision("r4", "R4", THEN, title="Theirs"),)),
        Course("gone", "E4", THEN, origin_id="g", remote_deleted_at=THEN),
    )
    await mapped(store, **{"by-map": "b", "unseen": "u"})
    await store.write(lambda c: courses.begin(c, INTEGRATION, [push("a"), push("p")]))
    found = await store.read(lambda c: listing(c, INTEGRATION))
    shown = [
        (r.origin_id, r.course_id, r.status, r.title, r.revisions, r.named_by, r.push and r.push.state) for r in found
    ]
    assert shown == [
        ("a", "own", "active", "New", 2, "kombo", "sending"),
        ("b", "by-map", "inactive", None, 1, "push", None),
        ("g", "gone", "deleted", None, 0, "kombo", None),
        ("p", None, "not seen yet", "P", 0, None, "sending"),
        ("u", "unseen", "not seen yet", None, 0, "push", None),
    ]
    everything = await store.read(lambda c: listing(c, INTEGRATION, everything=True))
    assert [(row.origin_id, row.course_id, row.remote_id) for row in everything][-1] == (None, "theirs", "E3")
    assert await store.read(lambda c: listing(c, "other:x", everything=True)) == []


@pytest.mark.parametrize("state", ["done", "failed"])
async def test_a_closed_course_is_news_to_the_next_push(store: Store, state: str) -> None:
    await store.write(lambda c: courses.begin(c, INTEGRATION, [push("a")]))
    await store.write(lambda c: courses.started(c, INTEGRATION, [push("a")], "t"))
    fate = Fate("A") if state == "done" else Fate(message="why")
    await store.write(lambda c: courses.settle(c, INTEGRATION, "t", {"a": fate}))
    await store.write(lambda c: courses.close(c, INTEGRATION, "a"))
    assert (await store.read(lambda c: courses.pushes(c, INTEGRATION)))["a"].state == "closed"
