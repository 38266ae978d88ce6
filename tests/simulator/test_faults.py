from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bridge.simulator.app import create
from bridge.simulator.seed import ACME, JANE, TOM, revision_id, seeded
from bridge.simulator.serving import running
from bridge.simulator.world import World

USERS = "/v1/lms/users"
PROGRESSIONS = "/v1/lms/course-progressions"
CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text())


async def fault(api: httpx.AsyncClient, **details: Any) -> None:
    answer = await api.post("/_control/faults", json=details)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["fault"]))
async def test_faults_happen_as_often_as_asked(case: dict[str, Any]) -> None:
    world = seeded(people=300)
    headers = {"Authorization": f"Bearer {world.api_key}", "X-Integration-Id": ACME}
    transport = httpx.ASGITransport(create(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as api:
        await fault(api, count=2, **case["fault"])
        for _ in range(2):
            answer = await api.get(USERS, params={"page_size": "250"})
            assert (answer.status_code, answer.headers.get("content-type")) == (case["status"], case["type"])
            assert answer.headers.get("retry-after") == case.get("retry_after")
            if "code" in case:
                assert answer.json()["error"]["code"] == case["code"]
            if "rows" in case:
                assert len(answer.json()["data"]["results"]) == case["rows"]
        assert (await api.get("/_control/faults")).json()[0]["count"] == 0
        assert len((await api.get(USERS)).json()["data"]["results"]) == 100


async def test_a_garbled_body_is_no_json(api: httpx.AsyncClient) -> None:
    await fault(api, kind="garbled")
    with pytest.raises(ValueError):
        (await api.get(USERS)).json()


async def test_faults_of_one_path_or_method(api: httpx.AsyncClient) -> None:
    await fault(api, kind="500", path="/v1/lms/courses", count=None)
    await fault(api, kind="429", method="POST", retry_after="7")
    assert (await api.get(USERS)).status_code == 200
    assert [(await api.get("/v1/lms/courses")).status_code for _ in range(3)] == [500] * 3
    busy = await api.post("/v1/force-sync")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")
    await api.delete("/_control/faults")
    assert (await api.get("/v1/lms/courses")).status_code == 200


async def test_a_share_of_the_requests_and_always_the_same_one(api: httpx.AsyncClient) -> None:
    runs = []
    for _ in range(2):
        await fault(api, kind="empty500", rate=0.3, seed=7, count=None)
        runs.append([(await api.get("/v1/check-api-key")).status_code for _ in range(100)])
        await api.delete("/_control/faults")
    assert runs[0] == runs[1]
    assert 15 < runs[0].count(500) < 45


async def test_a_share_and_a_count(api: httpx.AsyncClient) -> None:
    await fault(api, kind="empty500", rate=0.5, count=3)
    assert [(await api.get("/v1/check-api-key")).status_code for _ in range(50)].count(500) == 3


async def test_slow(api: httpx.AsyncClient) -> None:
    await fault(api, kind="slow", seconds=0.2)
    started = time.monotonic()
    assert (await api.get(USERS)).status_code == 200
    assert time.monotonic() - started >= 0.2


async def test_spoilt_rows(api: httpx.AsyncClient) -> None:
    await fault(api, kind="rows", patch={"status": "NAPPING", "novel": 1}, without=["remote_id"])
    row = (await api.get(USERS, params={"ids": JANE.id})).json()["data"]["results"][0]
    assert (row["status"], row["novel"], "remote_id" in row, row["id"]) == ("NAPPING", 1, False, JANE.id)


async def test_a_cursor_that_never_ends(api: httpx.AsyncClient) -> None:
    await fault(api, kind="endless", count=None)
    cursors, cursor = [], None
    for _ in range(5):
        query = {"page_size": "5"} | ({"cursor": cursor} if cursor else {})
        data = (await api.get(USERS, params=query)).json()["data"]
        assert len(data["results"]) == 5
        cursor = data["next"]
        cursors.append(cursor)
    assert len(set(cursors)) == 5


async def test_a_cursor_that_goes_in_a_circle(api: httpx.AsyncClient) -> None:
    await fault(api, kind="circle", count=None)
    cursors = [(await api.get(USERS, params={"cursor": "circle"})).json()["data"]["next"] for _ in range(2)]
    assert cursors == ["circle", "circle"]


@pytest.mark.parametrize(("kind", "written"), [("cut", True), ("cut-before", False)])
async def test_cut_off_before_or_after_the_write_was_made(kind: str, written: bool, world: World) -> None:
    headers = {"Authorization": f"Bearer {world.api_key}", "X-Integration-Id": ACME}
    async with running(create(world)) as origin, httpx.AsyncClient(base_url=origin, headers=headers) as api:
        await fault(api, kind=kind, method="POST")
        body = {"user_id": TOM.id, "course_revision_id": revision_id(ACME, "ergonomics")}
        with pytest.raises(httpx.RemoteProtocolError):
            await api.post(PROGRESSIONS, json=body)
        rows = (await api.get(PROGRESSIONS, params={"user_ids": TOM.id})).json()["data"]["results"]
        enrollments = (await api.get("/_control/enrollments")).json()
    assert [row["status"] for row in rows] == ["DROPPED", *["ENROLLED"] * written]
    assert [each["user"] for each in enrollments] == [TOM.id] * written


async def test_down(api: httpx.AsyncClient) -> None:
    await api.post("/_control/down", json={"value": True})
    assert (await api.get(USERS)).status_code == 503
    await api.post("/_control/down", json={"value": False})
    assert (await api.get(USERS)).status_code == 200


@pytest.mark.parametrize("retry_after", [None, "12"])
async def test_a_limit_on_requests_of_all_kinds(retry_after: str | None, api: httpx.AsyncClient) -> None:
    await api.patch("/_control/world", json={"requests_per_minute": 3, "retry_after": retry_after})
    answers = [await api.get(path) for path in (USERS, "/v1/check-api-key", f"/v1/integrations/{ACME}", USERS)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["error"]["code"] == "PLATFORM.RATE_LIMIT_EXCEEDED"
    assert answers[3].headers.get("retry-after") == retry_after
    await api.patch("/_control/world", json={"clock_ahead": 61})
    assert (await api.get(USERS)).status_code == 200
