from __future__ import annotations

from typing import Any

import httpx
import pytest

from bridge.simulator.app import create
from bridge.simulator.records import kombo_id
from bridge.simulator.seed import ACME, JANE, revision_id
from bridge.simulator.world import World

USERS = "/v1/lms/users"


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


@pytest.mark.parametrize(
    ("status", "code"), [("INVALID", "INTEGRATION.AUTHENTICATION_INVALID"), ("INACTIVE", "INTEGRATION.INACTIVE")]
)
async def test_one_that_is_not_active_answers_from_what_kombo_has_and_does_nothing(
    status: str, code: str, api: httpx.AsyncClient
) -> None:
    path = f"/_control/integrations/{ACME}"
    await api.patch(path, json={"status": status})
    assert (await api.get(USERS)).status_code == 200
    body = {"user_id": JANE.id, "course_revision_id": revision_id(ACME, "ergonomics")}
    for answer in (
        await api.post("/v1/lms/course-progressions", json=body),
        await api.post("/v1/force-sync", json={}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
    await api.patch(path, json={"refuse_reads": True})
    assert (await api.get(USERS)).json()["error"]["code"] == code
    await api.patch(path, json={"status": "ACTIVE"})
    assert (await api.get(USERS)).status_code == 200


async def test_a_failed_quality_check(api: httpx.AsyncClient) -> None:
    await api.patch(f"/_control/integrations/{ACME}", json={"qa_status": "FAILED"})
    answer = await api.get(USERS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INTEGRATION.QA_FAILED")


async def test_an_integration_made_anew_has_other_ids_for_the_same_people(api: httpx.AsyncClient) -> None:
    new = {"id": "workday:anew", "organization": "Acme Corporation", "copy_of": ACME}
    assert (await api.post("/_control/integrations", json=new)).status_code == 201
    assert (await api.post("/_control/integrations", json=new)).status_code == 409
    headers = {"X-Integration-Id": "workday:anew"}
    query = {"remote_ids": JANE.remote_id}
    [jane] = (await api.get(USERS, params=query, headers=headers)).json()["data"]["results"]
    assert jane["id"] != JANE.id
    query = {"user_ids": jane["id"]}
    rows = (await api.get("/v1/lms/course-progressions", params=query, headers=headers)).json()["data"]["results"]
    assert [row["course_revision"]["course"]["remote_id"] for row in rows] == ["ext-cybersecurity-101"]


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
        ("PATCH", "/_control/webhooks", {"typo": 1}, 400),
        ("PATCH", f"/_control/integrations/{ACME}", {"status": "SLEEPING"}, 400),
        ("PATCH", "/_control/scope", {"integration": ACME, "model": "dogs"}, 400),
        ("POST", "/_control/sync", {"outcome": "PERHAPS"}, 400),
        ("POST", "/_control/connections", {"token": "nobody"}, 404),
        ("POST", "/_control/faults", {"kind": "500", "rate": 2}, 400),
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
