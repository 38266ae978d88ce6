from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from bridge.simulator.seed import (
    ACME,
    AISHA,
    GLOBEX,
    HASH,
    INITECH,
    JANE,
    NOOR,
    SLASH,
    TOM,
    course_id,
    revision_id,
)
from bridge.simulator.world import World

ENROLL = "/v1/lms/course-progressions"
REVISION = revision_id(ACME, "ergonomics")


def item(origin_id: str, **details: Any) -> dict[str, Any]:
    course = {"type": "EXTERNAL", "title": origin_id.title(), "course_url": f"https://x.example/{origin_id}"}
    return {"origin_id": origin_id, "course": course | details}


async def progressions_of(api: httpx.AsyncClient, user: str) -> list[dict[str, Any]]:
    results = (await api.get(ENROLL, params={"user_ids": user})).json()["data"]["results"]
    assert isinstance(results, list)
    return results


async def test_enroll_answers_with_the_progression_and_shows_at_once(api: httpx.AsyncClient) -> None:
    answer = await api.post(ENROLL, json={"user_id": NOOR.id, "course_revision_id": REVISION})
    assert (answer.status_code, answer.json()["status"], answer.json()["warnings"]) == (200, "success", [])
    assert (answer.headers["concurrency-limit"], answer.headers["concurrency-remaining"]) == ("30", "30")
    row = answer.json()["data"]
    assert (row["status"], row["user"]["id"], row["course_revision"]["id"]) == ("ENROLLED", NOOR.id, REVISION)
    assert row in await progressions_of(api, NOOR.id)


async def test_enrolling_twice_gives_one_progression(api: httpx.AsyncClient) -> None:
    body = {"user_id": NOOR.id, "course_revision_id": REVISION}
    first, second = [(await api.post(ENROLL, json=body)).json() for _ in range(2)]
    assert first["data"]["id"] == second["data"]["id"]
    assert len(second["warnings"]) == 1


async def test_who_dropped_or_completed_may_begin_anew(api: httpx.AsyncClient) -> None:
    dropped = [row["id"] for row in await progressions_of(api, TOM.id)]
    body = {"user_id": TOM.id, "course_revision_id": revision_id(ACME, "data-privacy-basics")}
    anew = (await api.post(ENROLL, json=body)).json()["data"]["id"]
    await api.post(f"{ENROLL}/{anew}/complete", json={})
    again = (await api.post(ENROLL, json=body)).json()["data"]["id"]
    assert len({*dropped, anew, again}) == 3


async def test_an_inactive_revision_is_closed(api: httpx.AsyncClient) -> None:
    body = {"user_id": NOOR.id, "course_revision_id": revision_id(ACME, "cybersecurity-101", 1)}
    assert (await api.post(ENROLL, json=body)).status_code == 400


@pytest.mark.parametrize("user", [f"remote:{SLASH.remote_id}", f"remote:{HASH.remote_id}", SLASH.id])
@pytest.mark.parametrize("revision", ["remote:ext-ergonomics@1", revision_id(GLOBEX, "ergonomics")])
async def test_remote_ids_where_they_are_allowed(user: str, revision: str, api: httpx.AsyncClient) -> None:
    headers = {"X-Integration-Id": GLOBEX}
    body = {"user_id": user, "course_revision_id": revision}
    enrolled = (await api.post(ENROLL, json=body, headers=headers)).json()["data"]
    path = "remote%3A" + enrolled["remote_id"].replace("/", "%2F").replace("#", "%23")
    completed = await api.post(f"{ENROLL}/{path}/complete", json={}, headers=headers)
    assert completed.json()["data"]["id"] == enrolled["id"]
    closed = await api.post("/v1/lms/courses/remote:ext-ergonomics/deactivate", headers=headers)
    assert closed.json()["data"]["id"] == course_id(GLOBEX, "ergonomics")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/lms/users", {"ids": f"remote:{JANE.remote_id}"}),
        ("/v1/lms/users", {"remote_ids": f"remote:{JANE.remote_id}"}),
        (ENROLL, {"user_ids": f"remote:{JANE.remote_id}"}),
        (ENROLL, {"course_ids": "remote:ext-cybersecurity-101"}),
    ],
)
async def test_remote_ids_where_they_are_not(path: str, query: dict[str, str], api: httpx.AsyncClient) -> None:
    assert (await api.get(path, params=query)).json()["data"]["results"] == []


@pytest.mark.parametrize(
    ("body", "completed_at"),
    [
        ({"completed_at": "2024-04-15"}, "2024-04-15T00:00:00.000Z"),
        ({"completed_at": "2024-04-15T10:00:00.5Z", "score": 0}, "2024-04-15T10:00:00.500Z"),
        ({"completed_at": "2024-04-15T10:00:00+02:00", "score": 100}, "2024-04-15T08:00:00.000Z"),
        ({"completed_at": "2024-04-15T10:00:00Z", "score": None}, "2024-04-15T10:00:00.000Z"),
    ],
)
async def test_complete(body: dict[str, Any], completed_at: str, api: httpx.AsyncClient, world: World) -> None:
    [row] = await progressions_of(api, JANE.id)
    answer = await api.post(f"{ENROLL}/{row['id']}/complete", json=body)
    data = answer.json()["data"]
    assert (data["status"], data["completed_at"], data["id"]) == ("COMPLETED", completed_at, row["id"])
    assert "score" not in data
    assert [each.score for each in world.completions] == [body.get("score")]


@pytest.mark.parametrize("moment", ["yesterday", "2024-13-01", "15.04.2024", 20240415])
async def test_a_completion_at_no_time(moment: Any, api: httpx.AsyncClient, world: World) -> None:
    [row] = await progressions_of(api, JANE.id)
    answer = await api.post(f"{ENROLL}/{row['id']}/complete", json={"completed_at": moment})
    assert answer.status_code == 400
    assert world.completions == []


async def test_deactivating_keeps_progress_and_stops_enrolment(api: httpx.AsyncClient) -> None:
    id = course_id(ACME, "cybersecurity-101")
    answer = await api.post(f"/v1/lms/courses/{id}/deactivate")
    assert {each["status"] for each in answer.json()["data"]["revisions"]} == {"INACTIVE"}
    assert [row["status"] for row in await progressions_of(api, AISHA.id)] == ["COMPLETED"]
    body = {"user_id": TOM.id, "course_revision_id": revision_id(ACME, "cybersecurity-101", 2)}
    assert (await api.post(ENROLL, json=body)).status_code == 400


async def test_cornerstone_cannot_deactivate(api: httpx.AsyncClient) -> None:
    path = f"/v1/lms/courses/{course_id(INITECH, 'ergonomics')}/deactivate"
    answer = await api.post(path, headers={"X-Integration-Id": INITECH})
    assert answer.json()["error"]["code"] == "INTEGRATION.ACTION_NOT_AVAILABLE"


async def test_a_push_is_pending_and_then_has_a_fate_for_each_course(api: httpx.AsyncClient, world: World) -> None:
    world.task_delay = 0.1
    world.failing_items = {"bad": "REMOTE.INPUT_INVALID"}
    started = (await api.post("/v1/lms/courses/bulk", json={"items": [item("new"), item("bad")]})).json()
    assert started["warnings"] == []
    url = f"/v1/lms/courses/bulk/{started['data']['task_id']}"
    pending = (await api.get(url)).json()["data"]
    assert (pending["status"], pending["completed_at"], "data" in pending) == ("PENDING", None, False)
    await asyncio.sleep(0.12)
    done = (await api.get(url)).json()["data"]
    assert (done["status"], [each["status"] for each in done["data"]]) == ("COMPLETED", ["SUCCEEDED", "FAILED"])
    assert done["data"][1]["error"]["code"] == "REMOTE.INPUT_INVALID"
    assert set(done["data"][1]["error"]) == {"code", "title", "message", "log_url"}
    course = (await api.get("/v1/lms/courses", params={"ids": done["data"][0]["data"]["id"]})).json()["data"]["results"]
    assert [(each["origin_id"], each["revisions"][0]["title"]) for each in course] == [("new", "New")]


async def test_a_push_updates_what_has_the_same_origin_id(api: httpx.AsyncClient) -> None:
    for title in ("One", "Two"):
        await api.post("/v1/lms/courses/bulk", json={"items": [item("new", title=title)]})
    rows = (await api.get("/v1/lms/courses", params={"page_size": "250"})).json()["data"]["results"]
    assert [each["revisions"][0]["title"] for each in rows if each["origin_id"] == "new"] == ["Two"]


async def test_a_push_that_fails_as_a_whole(api: httpx.AsyncClient, world: World) -> None:
    world.failing_task = "PLATFORM.TASK_TIMED_OUT"
    task = (await api.post("/v1/lms/courses/bulk", json={"items": [item("new")]})).json()["data"]["task_id"]
    data = (await api.get(f"/v1/lms/courses/bulk/{task}")).json()["data"]
    assert (data["status"], data["error"]["code"], "data" in data) == ("FAILED", "PLATFORM.TASK_TIMED_OUT", False)


async def fates(api: httpx.AsyncClient, *items: dict[str, Any]) -> list[tuple[str, str | None]]:
    task = (await api.post("/v1/lms/courses/bulk", json={"items": items})).json()["data"]["task_id"]
    data = (await api.get(f"/v1/lms/courses/bulk/{task}")).json()["data"]
    return [(each["status"], each["error"]["code"] if "error" in each else None) for each in data["data"]]


async def test_with_a_batch_api_courses_share_a_fate(api: httpx.AsyncClient, world: World) -> None:
    world.failing_items = {"bad": "REMOTE.INPUT_INVALID"}
    world.batch_size = 2
    refused, fine = ("FAILED", "REMOTE.INPUT_INVALID"), ("SUCCEEDED", None)
    found = await fates(api, item("one"), item("bad"), item("two"), item("three"), item("four"))
    assert found == [refused, refused, fine, fine, fine]


async def test_where_courses_cannot_be_changed(api: httpx.AsyncClient, world: World) -> None:
    world.integrations[ACME].course_updates = False
    assert await fates(api, item("new")) == [("SUCCEEDED", None)]
    assert await fates(api, item("new")) == [("FAILED", "LMS.COURSE_UPDATE_NOT_SUPPORTED")]


async def test_a_task_may_take_as_long_as_its_courses(api: httpx.AsyncClient, world: World) -> None:
    world.item_delay = 500
    task = (await api.post("/v1/lms/courses/bulk", json={"items": [item("a"), item("b")]})).json()["data"]["task_id"]
    statuses = []
    for seconds in (0, 999, 1001):
        world.clock_ahead = seconds
        statuses.append((await api.get(f"/v1/lms/courses/bulk/{task}")).json()["data"]["status"])
    assert statuses == ["PENDING", "PENDING", "COMPLETED"]


async def test_what_was_pushed_is_on_record(api: httpx.AsyncClient) -> None:
    await fates(api, item("new", languages=["de", "en-GB"], duration=12))
    [task] = (await api.get("/_control/tasks", params={"integration": ACME})).json()
    assert (task["items"][0]["origin_id"], task["items"][0]["course"]["languages"]) == ("new", ["de", "en-GB"])


async def test_an_action_that_is_switched_off(api: httpx.AsyncClient) -> None:
    await api.patch(f"/_control/integrations/{ACME}", json={"disabled_actions": ["lms_create_course_progression"]})
    answer = await api.post(ENROLL, json={"user_id": NOOR.id, "course_revision_id": REVISION})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "INTEGRATION.ACTION_DISABLED")
    details = (await api.get(f"/v1/integrations/{ACME}")).json()["data"]["write_actions"]
    assert [action["id"] for action in details if not action["is_available"]] == ["lms_create_course_progression"]


async def test_fragile_tools_have_lower_limits(api: httpx.AsyncClient, world: World) -> None:
    world.action_delay = 0.1
    world.integrations[ACME].concurrency_limit = 2
    body = {"user_id": NOOR.id, "course_revision_id": REVISION}
    answers = await asyncio.gather(*(api.post(ENROLL, json=body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    assert {answer.headers["concurrency-limit"] for answer in answers} == {"2"}


async def test_a_refused_action_says_in_its_headers_what_is_left(api: httpx.AsyncClient) -> None:
    answer = await api.post(ENROLL, json={})
    assert answer.status_code == 400
    assert (answer.headers["concurrency-limit"], answer.headers["concurrency-remaining"]) == ("30", "30")


async def test_thirty_actions_at_a_time(api: httpx.AsyncClient, world: World) -> None:
    world.action_delay = 0.2
    body = {"user_id": NOOR.id, "course_revision_id": REVISION}
    answers = await asyncio.gather(*(api.post(ENROLL, json=body) for _ in range(32)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.json()["error"]["code"] for answer in refused] == ["PLATFORM.CONCURRENCY_LIMIT_EXCEEDED"] * 2
    assert {answer.headers["concurrency-remaining"] for answer in refused} == {"0"}
    assert (await api.get("/v1/lms/users")).status_code == 200


async def test_under_lag_a_write_shows_after_the_next_sync(api: httpx.AsyncClient, world: World) -> None:
    acme = world.integrations[ACME]
    acme.lag = True
    before = await progressions_of(api, NOOR.id)
    await api.post(ENROLL, json={"user_id": NOOR.id, "course_revision_id": REVISION})
    assert await progressions_of(api, NOOR.id) == before
    assert (await api.post("/v1/force-sync", json={"type": "DELTA"})).json()["data"]["type"] == "DELTA"
    assert len(await progressions_of(api, NOOR.id)) == len(before) + 1


async def test_only_a_full_sync_notices_deletions(api: httpx.AsyncClient, world: World) -> None:
    acme = world.integrations[ACME]
    acme.lag = True
    acme.remove(acme.users, JANE.id)
    acme.patch(acme.users, TOM.id, first_name="Thomas")
    query = {"ids": f"{JANE.id},{TOM.id}"}
    names = []
    for kind in ("DELTA", "FULL"):
        await api.post("/v1/force-sync", json={"type": kind})
        rows = (await api.get("/v1/lms/users", params=query)).json()["data"]["results"]
        names.append([row["first_name"] for row in rows])
    assert names == [["Jane", "Thomas"], ["Thomas"]]
