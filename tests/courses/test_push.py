"""Pushing an offer: what is sent, what is not, and what is left where a push is cut off anywhere."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from bridge.courses.push import CHUNK, GIVEN_UP_MS, Push
from bridge.courses.tasks import LEASE_MS, lease_of
from bridge.errors import StateError
from bridge.simulator import seed
from bridge.store import courses, leases, syncs, tables
from bridge.store.courses import Fate
from bridge.store.engine import now_ms

from .conftest import QUICK, Desk, offered


def outcomes(results: dict[str, Any]) -> dict[str, str]:
    return {origin_id: result.outcome for origin_id, result in results.items()}


async def test_each_course_gets_its_kombo_id_and_is_on_the_map(either_desk: Desk) -> None:
    results = await either_desk.push(offered("new"), offered("code-of-conduct"))
    assert outcomes(results) == {"new": "pushed", "code-of-conduct": "pushed"}
    assert results["code-of-conduct"].course_id == seed.course_id(seed.GLOBEX, "code-of-conduct")
    assert await either_desk.course_ids("new") == [results["new"].course_id]
    course = either_desk.lms.courses.find(results["new"].course_id)
    assert course.origin_id == "new"
    assert either_desk.shown[-1] == (2, 2)


async def test_after_a_sync_it_is_known_which_are_new(desk: Desk) -> None:
    await desk.rooms.sync(desk.tenant)
    results = await desk.push(offered("new"), offered("code-of-conduct"))
    assert outcomes(results) == {"new": "created", "code-of-conduct": "updated"}


async def test_only_what_changed_is_sent_again(either_desk: Desk) -> None:
    await either_desk.push(offered("a"), offered("b"))
    assert outcomes(await either_desk.push(offered("a"), offered("b"))) == {"a": "unchanged", "b": "unchanged"}
    assert either_desk.posts == 1
    results = await either_desk.push(offered("a"), offered("b", "Another title"), offered("c"))
    assert outcomes(results) == {"a": "unchanged", "b": "updated", "c": "pushed"}
    assert [item["origin_id"] for item in [*either_desk.lms.tasks.values()][-1].items] == ["b", "c"]
    assert outcomes(await either_desk.push(offered("a"), again=True)) == {"a": "updated"}


async def test_one_fails_and_is_sent_again_next_time(desk: Desk) -> None:
    desk.rooms.world.failing_items = {"b": "LMS.COURSE_UPDATE_NOT_SUPPORTED"}
    results = await desk.push(offered("a"), offered("b"))
    assert outcomes(results) == {"a": "pushed", "b": "failed"}
    assert (results["b"].code, results["b"].message) == (
        "LMS.COURSE_UPDATE_NOT_SUPPORTED",
        desk.lms.tasks[(await desk.rows())["b"].task_id].data[1]["error"]["message"],
    )
    assert await desk.course_ids("b") == []
    desk.rooms.world.failing_items = {}
    assert outcomes(await desk.push(offered("a"), offered("b"))) == {"a": "unchanged", "b": "pushed"}


async def test_a_task_that_fails_as_a_whole_is_each_courses_failure(desk: Desk) -> None:
    desk.rooms.world.failing_task = "PLATFORM.TASK_TIMED_OUT"
    results = await desk.push(offered("a"), offered("b"))
    assert {(each.outcome, each.code) for each in results.values()} == {("failed", "PLATFORM.TASK_TIMED_OUT")}


async def test_courses_go_in_chunks_and_each_is_polled_to_its_end(desk: Desk) -> None:
    desk.rooms.world.task_delay = 0.1
    items = [offered(f"c{number}") for number in range(2 * CHUNK + 1)]
    results = await desk.push(*items)
    assert set(outcomes(results).values()) == {"pushed"}
    assert [len(task.items) for task in desk.lms.tasks.values()] == [CHUNK, CHUNK, 1]
    assert desk.shown[0] == (0, len(items))
    assert desk.shown[-1] == (len(items), len(items))


async def test_what_is_not_awaited_is_found_by_the_next_push(desk: Desk) -> None:
    desk.rooms.world.task_delay = 0.2
    assert outcomes(await desk.push(offered("a"), wait=0)) == {"a": "pending"}
    assert await desk.course_ids("a") == []
    assert outcomes(await desk.push(offered("a"))) == {"a": "pushed"}
    assert desk.posts == 1
    assert len(await desk.course_ids("a")) == 1


async def test_a_newer_version_waits_for_the_older_one(either_desk: Desk) -> None:
    """Nobody knows which of two tasks would win."""
    either_desk.rooms.world.task_delay = 3600
    await either_desk.push(offered("a"), wait=0)
    results = await either_desk.push(offered("a", "Newer"), offered("b"), wait=0)
    assert outcomes(results) == {"a": "pending", "b": "pending"}
    assert "an earlier version is under way" in results["a"].message
    assert results["b"].message == ""
    assert [[item["origin_id"] for item in task.items] for task in either_desk.lms.tasks.values()] == [["a"], ["b"]]
    either_desk.rooms.world.task_delay = 0
    assert outcomes(await either_desk.push(offered("a", "Newer"))) == {"a": "updated"}
    assert [*either_desk.lms.tasks.values()][-1].items[0]["course"]["title"] == "Newer"


async def test_cancelled_while_polling_it_goes_on(desk: Desk) -> None:
    desk.rooms.world.task_delay = 3600
    pushing = asyncio.ensure_future(desk.push(offered("a")))
    while not desk.asked("GET", "/lms/courses/bulk/"):
        await asyncio.sleep(0.01)
    pushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pushing
    desk.rooms.world.task_delay = 0
    assert outcomes(await desk.push(offered("a"))) == {"a": "pushed"}
    assert desk.posts == 1


@pytest.mark.parametrize("kind", ["cut", "empty500", "html502"])
async def test_what_got_no_answer_is_unknown_and_sent_again(desk: Desk, kind: str) -> None:
    await desk.fault(kind=kind, path="/v1/lms/courses/bulk", method="POST")
    results = await desk.push(offered("a"), offered("b"))
    assert outcomes(results) == {"a": "unknown", "b": "unknown"}
    assert "the next push sends it again, which does no harm" in results["a"].message
    assert {row.state for row in (await desk.rows()).values()} == {"sending"}
    assert set(outcomes(await desk.push(offered("a"), offered("b"))).values()) == {"pushed"}
    assert [course.origin_id for course in desk.lms.courses.lms.values()].count("a") == 1


async def test_what_was_cut_off_counts_as_changed_even_if_the_catalogue_goes_back(either_desk: Desk) -> None:
    await either_desk.push(offered("a", "Old"))
    await either_desk.fault(kind="cut", path="/v1/lms/courses/bulk", method="POST")
    await either_desk.push(offered("a", "New"))
    assert outcomes(await either_desk.push(offered("a", "Old"))) == {"a": "updated"}
    assert [*either_desk.lms.tasks.values()][-1].items[0]["course"]["title"] == "Old"


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "INTEGRATION.SETUP_SYNC_PENDING"), (403, "INTEGRATION.PERMISSION_MISSING"), (401, "PLATFORM.X")],
)
async def test_what_meets_every_course_ends_the_push(desk: Desk, status: int, code: str) -> None:
    await desk.fault(kind="error", count=None, status=status, code=code, path="/v1/lms/courses/bulk")
    items = [offered(f"c{number}") for number in range(CHUNK + 1)]
    results = await desk.push(*items)
    assert desk.posts == 1
    assert (results["c0"].outcome, results["c0"].code) == ("failed", code)
    assert results[f"c{CHUNK}"].outcome == "not sent"
    assert code in results[f"c{CHUNK}"].message
    await desk.rooms.control("faults", "DELETE")
    assert set(outcomes(await desk.push(*items)).values()) == {"pushed"}


async def test_what_is_wrong_with_one_chunk_does_not_hold_up_the_next(desk: Desk) -> None:
    await desk.fault(
        kind="error", status=400, code="PLATFORM.INPUT_INVALID", path="/v1/lms/courses/bulk", method="POST"
    )
    results = await desk.push(*(offered(f"c{number}") for number in range(CHUNK + 1)))
    assert (results["c0"].outcome, results["c0"].code) == ("failed", "PLATFORM.INPUT_INVALID")
    assert results[f"c{CHUNK}"].outcome == "pushed"


async def test_slowing_down_is_obeyed(desk: Desk) -> None:
    for kind in ("429", "429-concurrency"):
        await desk.fault(kind=kind, path="/v1/lms/courses/bulk", method="POST")
        assert set(outcomes(await desk.push(offered(kind))).values()) == {"pushed"}


async def test_kombo_down_for_ever_ends_in_not_sent_or_unknown(desk: Desk) -> None:
    desk.rooms.world.down = True
    results = await desk.push(*(offered(f"c{number}") for number in range(CHUNK + 1)))
    assert (results["c0"].outcome, results[f"c{CHUNK}"].outcome) == ("unknown", "not sent")
    assert desk.shown == [(0, CHUNK + 1)]
    desk.rooms.world.down = False
    assert set(outcomes(await desk.push(*(offered(f"c{number}") for number in range(3)))).values()) == {"pushed"}


async def test_kombo_down_while_polling_is_waited_for(desk: Desk) -> None:
    desk.rooms.world.task_delay = 0.1
    await desk.fault(kind="html502", count=6, path="/v1/lms/courses/bulk/", method="GET")
    assert outcomes(await desk.push(offered("a"))) == {"a": "pushed"}


async def test_kombo_refusing_to_tell_leaves_it_pending(desk: Desk) -> None:
    desk.rooms.world.task_delay = 3600
    await desk.push(offered("a"), wait=0)
    desk.lms.refusal = (409, "INTEGRATION.INACTIVE")
    results = await desk.push(offered("a"), offered("b"))
    assert outcomes(results) == {"a": "pending", "b": "not sent"}
    assert "INTEGRATION.INACTIVE" in results["a"].message
    assert "switched off in Kombo" in results["b"].message


async def test_a_task_that_kombo_has_forgotten_is_sent_again(desk: Desk) -> None:
    desk.rooms.world.task_delay = 3600
    await desk.push(offered("a"), wait=0)
    desk.lms.tasks.clear()
    desk.rooms.world.task_delay = 0
    assert outcomes(await desk.push(offered("a"))) == {"a": "pushed"}
    assert desk.posts == 2


@pytest.mark.parametrize(("status", "code"), [(404, "PLATFORM.NOT_FOUND"), (410, "GONE"), (400, None)])
async def test_whatever_kombo_calls_a_task_that_it_has_forgotten(desk: Desk, status: int, code: str | None) -> None:
    """Otherwise every later push would end at it."""
    desk.rooms.world.task_delay = 3600
    await desk.push(offered("a"), wait=0)
    await desk.fault(kind="error", status=status, code=code, path="/v1/lms/courses/bulk/", method="GET")
    desk.rooms.world.task_delay = 0
    assert outcomes(await desk.push(offered("a"))) == {"a": "pushed"}
    assert desk.posts == 2


async def test_a_task_without_an_end_is_given_up_when_asked_after_a_day(desk: Desk) -> None:
    desk.rooms.world.task_delay = 10**9
    await desk.push(offered("a"), wait=0)
    assert outcomes(await desk.push(offered("a"), wait=0, again=True)) == {"a": "pending"}
    assert desk.posts == 1
    before = now_ms() - GIVEN_UP_MS - 1000
    await desk.store.write(lambda c: c.execute(update(tables.pushes).values(changed_at=before)))
    assert outcomes(await desk.push(offered("a"), wait=0)) == {"a": "pending"}
    assert desk.posts == 1
    await desk.push(offered("a"), wait=0, again=True)
    assert desk.posts == 2


async def test_the_courses_of_a_push_are_read_soon(desk: Desk) -> None:
    """Nobody can be enrolled in a course before its revision is known."""
    await desk.rooms.sync(desk.tenant)
    wanted = partial(syncs.wanted, moment=now_ms() + 10**6)
    assert await desk.store.read(wanted) == set()
    desk.rooms.world.failing_items = {"a": "LMS.X"}
    await desk.push(offered("a"))
    assert await desk.store.read(wanted) == set()
    await desk.push(offered("b"))
    assert await desk.store.read(wanted) == {desk.id}


@pytest.mark.parametrize("task_id", [".", "..", "x" * 513, "", 7, None])
async def test_a_task_id_that_is_none(desk: Desk, task_id: object) -> None:
    await desk.fault(kind="rows", path="/v1/lms/courses/bulk", method="POST", patch={"task_id": task_id})
    assert outcomes(await desk.push(offered("a")))["a"] in ("failed", "unknown")
    assert outcomes(await desk.push(offered("a"))) == {"a": "pushed"}
    assert len(await desk.course_ids("a")) == 1


@pytest.mark.parametrize(
    "patch",
    [
        {"data": []},
        {"data": None},
        {"data": [{"origin_id": "code-of-conduct", "status": "SUCCEEDED", "data": {"id": "x"}}]},
        {"task_id": "another"},
        {"status": "FAILED", "error": {"code": "X\x1b[2J", "message": "\x1b[2J" * 2000}},
    ],
)
async def test_an_answer_that_cannot_be_believed_maps_nothing(desk: Desk, patch: dict[str, Any]) -> None:
    await desk.fault(kind="rows", path="/v1/lms/courses/bulk/", method="GET", count=None, patch=patch)
    result = (await desk.push(offered("a")))["a"]
    assert result.outcome == "failed"
    assert (result.code + result.message).isprintable()
    assert len(result.message) <= 1000
    assert await desk.course_ids("a") == []
    assert await desk.course_ids("code-of-conduct") == []


async def test_an_answer_of_garbage_leaves_it_pending(desk: Desk) -> None:
    await desk.fault(
        kind="rows", path="/v1/lms/courses/bulk/", method="GET", count=None, patch={"data": [7], "status": 7}
    )
    await desk.push(offered("a"), wait=0)
    result = (await desk.push(offered("a"), wait=0))["a"]
    assert result.outcome == "pending"
    assert "cannot be read" in result.message


async def test_a_course_that_is_another_ones_has_failed(either_desk: Desk) -> None:
    """By Kombo's own word, which the sync brought."""
    await either_desk.rooms.sync(either_desk.tenant)
    taken = seed.course_id(seed.GLOBEX, "code-of-conduct")
    answer = [{"origin_id": "a", "status": "SUCCEEDED", "data": {"id": taken}}]
    await either_desk.fault(kind="rows", path="/v1/lms/courses/bulk/", method="GET", patch={"data": answer})
    result = (await either_desk.push(offered("a")))["a"]
    assert result.outcome == "failed"
    assert "Kombo says that its origin id is code-of-conduct" in result.message
    assert await either_desk.course_ids("a") == []
    assert await either_desk.course_ids("code-of-conduct") == [taken]


async def test_what_an_import_says_otherwise_has_to_be_put_right_first(desk: Desk) -> None:
    results = await desk.push(offered("a"))
    id = str(results["a"].course_id)
    await desk.store.write(lambda c: courses.map_courses(c, desk.id, {id: "other"}, "import"))
    result = (await desk.push(offered("a", "Newer")))["a"]
    assert result.outcome == "failed"
    assert "an import of the course map says that its origin id is other" in result.message
    assert await desk.course_ids("other") == [id]


async def test_tasks_of_other_courses_are_settled_on_the_way_and_not_waited_for(desk: Desk) -> None:
    desk.rooms.world.task_delay = 3600
    await desk.push(offered("slow"), wait=0)
    desk.rooms.world.task_delay = 0
    await desk.push(offered("quick"))
    assert (await desk.rows())["slow"].state == "done"


async def test_two_pushes_at_once_end_alike(either_desk: Desk) -> None:
    either_desk.rooms.world.action_delay = 0.05
    either_desk.rooms.world.task_delay = 0.05
    results = await asyncio.gather(*(either_desk.push(offered("a"), offered("b")) for _ in range(2)))
    assert {outcome for each in results for outcome in outcomes(each).values()} <= {"pushed", "unchanged", "updated"}
    assert {row.state for row in (await either_desk.rows()).values()} == {"done"}


async def test_of_two_versions_at_once_kombo_gets_the_later_one_last(either_desk: Desk) -> None:
    either_desk.rooms.world.action_delay = 0.5
    older = asyncio.ensure_future(either_desk.push(offered("a", "Older")))
    while not either_desk.posts:
        await asyncio.sleep(0.01)
    either_desk.rooms.world.action_delay = 0
    held_up = await either_desk.push(offered("a", "Newer"), wait=0)
    assert (held_up["a"].outcome, either_desk.posts) == ("not sent", 1)
    assert "another process sends or closes courses" in held_up["a"].message
    results = await either_desk.push(offered("a", "Newer"))
    await older
    assert results["a"].outcome in ("pushed", "updated")
    assert [task.items[0]["course"]["title"] for task in either_desk.lms.tasks.values()] == ["Older", "Newer"]


async def test_a_killed_push_holds_up_the_next_one_for_seconds_only(desk: Desk) -> None:
    await desk.store.write(lambda c: leases.take(c, lease_of(desk.id), "killed", 300))
    assert outcomes(await desk.push(offered("a"))) == {"a": "pushed"}
    assert LEASE_MS <= 15_000


async def test_a_task_named_late_does_not_touch_a_newer_version(either_desk: Desk) -> None:
    old = courses.Push("a", "old", "A", "sending", 0)
    new = courses.Push("a", "new", "A", "sending", 0)
    await either_desk.store.write(lambda c: courses.begin(c, either_desk.id, [old]))
    await either_desk.store.write(lambda c: courses.begin(c, either_desk.id, [new]))
    await either_desk.store.write(lambda c: courses.started(c, either_desk.id, [old], "t1"))
    assert (await either_desk.rows())["a"].state == "sending"
    await either_desk.store.write(lambda c: courses.started(c, either_desk.id, [new], "t2"))
    await either_desk.store.write(lambda c: courses.settle(c, either_desk.id, "t1", {"a": Fate(message="late")}))
    assert ((await either_desk.rows())["a"].state, (await either_desk.rows())["a"].task_id) == ("pending", "t2")


async def test_a_state_that_cannot_be_written_sends_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_work: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(desk.store, "write", full)
    with pytest.raises(StateError):
        await desk.push(offered("a"))
    assert desk.posts == 0


async def test_run_again_it_goes_on_waiting(desk: Desk) -> None:
    await desk.rooms.sync(desk.tenant)
    desk.rooms.world.task_delay = 0.1
    push = Push(desk.store, desk.client, desk.id, [offered("a")], pace=QUICK)
    assert [each.outcome for each in await push.run(0)] == ["pending"]
    assert [each.outcome for each in await push.run(10)] == ["created"]
