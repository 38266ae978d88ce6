from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from bridge.simulator.app import create
from bridge.simulator.records import kombo_id
from bridge.simulator.seed import ACME, JANE, TOM, revision_id
from bridge.simulator.serving import running
from bridge.simulator.world import World

USERS = "/v1/lms/users"


async def fault(api: httpx.AsyncClient, **details: Any) -> None:
    assert (await api.post("/_control/faults", json=details)).status_code == 200


@pytest.mark.parametrize(
    ("details", "status", "content_type", "code"),
    [
        ({"kind": "429"}, 429, "application/json", "PLATFORM.RATE_LIMIT_EXCEEDED"),
        ({"kind": "429-concurrency"}, 429, "application/json", "PLATFORM.CONCURRENCY_LIMIT_EXCEEDED"),
        ({"kind": "500"}, 500, "application/json", "PLATFORM.UNKNOWN_ERROR"),
        (
            {"kind": "error", "status": 403, "code": "INTEGRATION.MODEL_DISABLED"},
            403,
            "application/json",
            "INTEGRATION.MODEL_DISABLED",
        ),
        ({"kind": "html502"}, 502, "text/html; charset=utf-8", None),
        ({"kind": "empty500"}, 500, None, None),
    ],
)
async def test_faults_happen_as_often_as_asked(
    details: dict[str, Any], status: int, content_type: str | None, code: str | None, api: httpx.AsyncClient
) -> None:
    await fault(api, count=2, **details)
    for _ in range(2):
        answer = await api.get(USERS)
        assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
        if code:
            assert answer.json()["error"]["code"] == code
    assert (await api.get(USERS)).status_code == 200


async def test_faults_of_one_path_or_method(api: httpx.AsyncClient) -> None:
    await fault(api, kind="500", path="/v1/lms/courses", count=None)
    await fault(api, kind="429", method="POST", retry_after="7")
    assert (await api.get(USERS)).status_code == 200
    assert [(await api.get("/v1/lms/courses")).status_code for _ in range(3)] == [500] * 3
    busy = await api.post("/v1/force-sync")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")
    await api.delete("/_control/faults")
    assert (await api.get("/v1/lms/courses")).status_code == 200


async def test_slow(api: httpx.AsyncClient) -> None:
    await fault(api, kind="slow", seconds=0.2)
    started = time.monotonic()
    assert (await api.get(USERS)).status_code == 200
    assert time.monotonic() - started >= 0.2


async def test_spoilt_rows(api: httpx.AsyncClient) -> None:
    await fault(api, kind="rows", patch={"status": "NAPPING", "novel": 1}, without=["remote_id"])
    row = (await api.get(USERS, params={"ids": JANE.id})).json()["data"]["results"][0]
    assert (row["status"], row["novel"], "remote_id" in row, row["id"]) == ("NAPPING", 1, False, JANE.id)


async def test_cut_off_after_the_write_was_made(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.api_key}", "X-Integration-Id": ACME}
    async with running(create(world)) as origin, httpx.AsyncClient(base_url=origin, headers=headers) as api:
        await fault(api, kind="cut", method="POST")
        body = {"user_id": TOM.id, "course_revision_id": revision_id(ACME, "ergonomics")}
        with pytest.raises(httpx.RemoteProtocolError):
            await api.post("/v1/lms/course-progressions", json=body)
        rows = (await api.get("/v1/lms/course-progressions", params={"user_ids": TOM.id})).json()["data"]["results"]
    assert [row["status"] for row in rows] == ["DROPPED", "ENROLLED"]


async def test_down(api: httpx.AsyncClient) -> None:
    await api.post("/_control/down", json={"value": True})
    assert (await api.get(USERS)).status_code == 503
    await api.post("/_control/down", json={"value": False})
    assert (await api.get(USERS)).status_code == 200


async def test_the_request_log_tells_all_but_the_key(api: httpx.AsyncClient, world: World) -> None:
    await api.get(USERS, params={"work_emails": "jane.doe@acme.com"})
    await api.post("/v1/force-sync")
    log = (await api.get("/_control/requests")).json()
    assert [(entry["method"], entry["path"], entry["query"], entry["integration"]) for entry in log] == [
        ("GET", USERS, "work_emails=jane.doe%40acme.com", ACME),
        ("POST", "/v1/force-sync", "", ACME),
    ]
    assert world.api_key not in str(log)
    await api.delete("/_control/requests")
    assert (await api.get("/_control/requests")).json() == []


async def test_changing_the_lms_side(api: httpx.AsyncClient) -> None:
    user = {"integration": ACME, "remote_id": "n1", "first_name": "New", "work_email": "new@acme.com"}
    added = (await api.post("/_control/users", json=user)).json()
    assert added["id"] == kombo_id("n1", ACME)
    await api.patch(f"/_control/users/{added['id']}", json={"integration": ACME, "status": "INACTIVE"})
    [row] = (await api.get(USERS, params={"work_emails": "new@acme.com"})).json()["data"]["results"]
    assert (row["id"], row["status"], row["first_name"]) == (added["id"], "INACTIVE", "New")
    progression = {
        "integration": ACME,
        "remote_id": "n1-p",
        "user_id": added["id"],
        "course_revision_id": revision_id(ACME, "ergonomics"),
        "enrolled_at": "2025-09-02T10:00:00Z",
    }
    assert (await api.post("/_control/progressions", json=progression)).status_code == 201
    query = {"user_ids": added["id"]}
    rows = (await api.get("/v1/lms/course-progressions", params=query)).json()["data"]["results"]
    assert [(each["status"], each["enrolled_at"]) for each in rows] == [("ENROLLED", "2025-09-02T10:00:00.000Z")]
    await api.delete(f"/_control/users/{added['id']}", params={"integration": ACME})
    assert (await api.get(USERS, params={"work_emails": "new@acme.com"})).json()["data"]["results"] == []


async def test_lag_and_sync(api: httpx.AsyncClient) -> None:
    await api.patch(f"/_control/integrations/{ACME}", json={"lag": True})
    await api.patch(f"/_control/users/{JANE.id}", json={"integration": ACME, "last_name": "Roe"})

    async def name() -> str:
        return str((await api.get(USERS, params={"ids": JANE.id})).json()["data"]["results"][0]["last_name"])

    assert await name() == "Doe"
    await api.post("/_control/sync", json={"integration": ACME})
    assert await name() == "Roe"


@pytest.mark.parametrize(
    ("setup_status", "code"),
    [("INCOMPLETE", "INTEGRATION.SETUP_INCOMPLETE"), ("FINAL_SYNC_PENDING", "INTEGRATION.SETUP_SYNC_PENDING")],
)
async def test_states_of_an_integration(setup_status: str, code: str, api: httpx.AsyncClient) -> None:
    await api.patch(f"/_control/integrations/{ACME}", json={"setup_status": setup_status, "status": "INVALID"})
    answer = await api.get(USERS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)
    data = (await api.get(f"/v1/integrations/{ACME}")).json()["data"]
    assert (data["status"], data["setup_status"]) == ("INVALID", setup_status)


async def test_a_refusal_of_an_integration(api: httpx.AsyncClient) -> None:
    await api.patch(f"/_control/integrations/{ACME}", json={"refusal": [403, "INTEGRATION.PERMISSION_MISSING"]})
    assert (await api.get(USERS)).json()["error"]["code"] == "INTEGRATION.PERMISSION_MISSING"
    await api.patch(f"/_control/integrations/{ACME}", json={"refusal": None})
    assert (await api.get(USERS)).status_code == 200


async def test_completions_can_be_counted(api: httpx.AsyncClient) -> None:
    rows = (await api.get("/v1/lms/course-progressions", params={"user_ids": JANE.id})).json()["data"]["results"]
    for score in (1, 2):
        await api.post(f"/v1/lms/course-progressions/{rows[0]['id']}/complete", json={"score": score})
    log = (await api.get("/_control/completions")).json()
    assert [(entry["progression"], entry["score"]) for entry in log] == [(rows[0]["id"], 1), (rows[0]["id"], 2)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/_control/faults", {"kind": "plague"}, 400),
        ("POST", "/_control/faults", {"kind": "500", "typo": 1}, 400),
        ("POST", "/_control/users", {"integration": "nobody", "remote_id": "x"}, 404),
        ("POST", "/_control/users", {"integration": ACME, "remote_id": "x", "typo": 1}, 400),
        ("POST", "/_control/dogs", {"integration": ACME, "remote_id": "x"}, 404),
        ("PATCH", "/_control/users/nobody", {"integration": ACME}, 404),
        ("PATCH", "/_control/integrations/nobody", {}, 404),
        ("PATCH", "/_control/world", {"typo": 1}, 400),
    ],
)
async def test_what_control_refuses(
    method: str, path: str, body: dict[str, Any], status: int, api: httpx.AsyncClient
) -> None:
    assert (await api.request(method, path, json=body)).status_code == status


@pytest.mark.parametrize(
    ("peer", "host", "content_type", "status"),
    [
        ("127.0.0.1", "127.0.0.1:80", "application/json", 200),
        ("::1", "[::1]:80", "application/json", 200),
        ("127.0.0.1", "localhost", "application/json", 200),
        ("192.0.2.7", "127.0.0.1", "application/json", 403),
        ("127.0.0.1", "rebound.example", "application/json", 403),
        ("127.0.0.1", "127.0.0.1", "text/plain", 403),
    ],
)
async def test_control_is_for_this_machine_only(
    peer: str, host: str, content_type: str, status: int, world: World
) -> None:
    transport = httpx.ASGITransport(create(world), client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
        headers = {"Host": host, "Content-Type": content_type}
        answer = await api.post("/_control/down", content='{"value": true}', headers=headers)
    assert (answer.status_code, world.down) == (status, status == 200)
