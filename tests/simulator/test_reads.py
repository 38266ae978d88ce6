from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bridge.simulator import seed
from bridge.simulator.world import World

HERE = Path(__file__).parent
FILTERS: list[dict[str, Any]] = yaml.safe_load((HERE / "filters.yaml").read_text())
MALFORMED: list[dict[str, Any]] = yaml.safe_load((HERE / "malformed.yaml").read_text())
OWNER = {"users": "id", "course-progressions": "user_id"}

INTEGRATION_FIELDS = {"remote_data", "custom_fields", "integration_fields"}
MARKS = {"id", "remote_id", "changed_at", "remote_deleted_at", "remote_data"}
USER = {"first_name", "last_name", "work_email", "status", "remote_created_at"} | MARKS | INTEGRATION_FIELDS
COURSE = {"provider_id", "origin_id", "remote_created_at", "provider", "revisions"} | MARKS | INTEGRATION_FIELDS
REVISION = (
    {"course_id", "title", "description", "remote_url", "status", "remote_created_at", "skill_assignments"}
    | MARKS
    | INTEGRATION_FIELDS
)
PROGRESSION = {
    *{"user_id", "course_revision_id", "status", "enrolled_at", "completed_at", "user", "course_revision"},
    *MARKS,
}


def filled(text: str, integration: str) -> str:
    def value(match: re.Match[str]) -> str:
        name, _, attribute = match[1].partition(".")
        if name.startswith("course:"):
            return seed.course_id(integration, name.removeprefix("course:"))
        return str(getattr(getattr(seed, name), attribute or "id"))

    return re.sub(r"\{([^}]*)\}", value, text)


@pytest.mark.parametrize("case", FILTERS, ids=lambda case: f"{case['list']} {case['query']}")
async def test_filters(case: dict[str, Any], api: httpx.AsyncClient) -> None:
    integration = getattr(seed, case.get("integration", "ACME"))
    query = {name: filled(value, integration) for name, value in case["query"].items()}
    answer = await api.get(f"/v1/lms/{case['list']}", params=query, headers={"X-Integration-Id": integration})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["data"]["next"]) == ("success", None)
    found = [row[OWNER[case["list"]]] for row in body["data"]["results"]]
    assert sorted(found) == sorted(getattr(seed, name).id for name in case["found"])


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: str(case)[:90])
async def test_malformed_requests_get_the_error_envelope(case: dict[str, Any], api: httpx.AsyncClient) -> None:
    path = case["path"] + (f"?{case['query']}" if "query" in case else "")
    method = "POST" if "body" in case else "GET"
    answer = await api.request(method, path, content=case.get("body"), headers=case.get("headers"))
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (answer.status_code, body["status"], body["error"]["code"]) == (case["status"], "error", case["code"])
    assert set(body["error"]) == {"code", "title", "message", "log_url"}


async def every_row(api: httpx.AsyncClient, path: str, **query: str) -> list[dict[str, Any]]:
    answer = await api.get(path, params={"page_size": "250", "include_deleted": "true", **query})
    assert answer.status_code == 200
    results = answer.json()["data"]["results"]
    assert isinstance(results, list)
    return results


async def test_every_documented_key_is_present(api: httpx.AsyncClient) -> None:
    """With nothing beside them; times have milliseconds and a Z."""
    for row in await every_row(api, "/v1/lms/users"):
        assert set(row) == USER
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["changed_at"])
    for row in await every_row(api, "/v1/lms/courses"):
        assert set(row) == COURSE
        for revision in row["revisions"]:
            assert set(revision) == REVISION
    parents = []
    for row in await every_row(api, "/v1/lms/course-progressions"):
        assert set(row) == PROGRESSION
        assert set(row["user"]) == {"id", "remote_id", "first_name", "last_name", "work_email"}
        assert set(row["course_revision"]) == {"id", "remote_id", "title", "course"}
        parents.append(row["course_revision"]["course"])
    assert None in parents
    assert all(parent is None or set(parent) == {"id", "remote_id"} for parent in parents)


async def test_paging_goes_through_everything_once(api: httpx.AsyncClient) -> None:
    for path in ("/v1/lms/users", "/v1/lms/courses", "/v1/lms/course-progressions"):
        whole = [row["id"] for row in await every_row(api, path)]
        for size in (1, 7, len(whole) - 1, len(whole)):
            seen, cursor = [], None
            while True:
                query = {"page_size": str(size), "include_deleted": "true"} | ({"cursor": cursor} if cursor else {})
                data = (await api.get(path, params=query)).json()["data"]
                assert 1 <= len(data["results"]) <= size
                seen += [row["id"] for row in data["results"]]
                cursor = data["next"]
                if cursor is None:
                    break
            assert seen == whole


async def test_the_default_page_has_a_hundred(api: httpx.AsyncClient, world: World) -> None:
    from bridge.simulator.records import User

    for number in range(150):
        world.integrations[seed.ACME].put(User(id=f"u{number}", remote_id=f"n{number}"))
    assert len((await api.get("/v1/lms/users")).json()["data"]["results"]) == 100


async def test_a_cursor_is_good_only_with_its_own_filters(api: httpx.AsyncClient) -> None:
    first = (await api.get("/v1/lms/users", params={"page_size": "2"})).json()["data"]
    for other in ({"include_deleted": "true"}, {"ids": "x"}):
        answer = await api.get("/v1/lms/users", params={"cursor": first["next"], **other})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "PLATFORM.INPUT_INVALID")
    elsewhere = await api.get("/v1/lms/courses", params={"cursor": first["next"]})
    assert elsewhere.status_code == 400
    bigger = await api.get("/v1/lms/users", params={"cursor": first["next"], "page_size": "5"})
    assert len(bigger.json()["data"]["results"]) == 5


async def test_filters_that_the_connector_does_not_know(api: httpx.AsyncClient, world: World) -> None:
    world.integrations[seed.ACME].unsupported = frozenset({"work_emails"})
    query = {"work_emails": "jane.doe@acme.com", "ids": f"{seed.JANE.id},{seed.TOM.id}"}
    strict = await api.get("/v1/lms/users", params=query)
    assert strict.json()["data"] == {"next": None, "results": []}
    loose = await api.get("/v1/lms/users", params={**query, "ignore_unsupported_filters": "true"})
    assert len(loose.json()["data"]["results"]) == 2


async def test_a_changed_revision_changes_its_course(api: httpx.AsyncClient, world: World) -> None:
    acme = world.integrations[seed.ACME]
    acme.remove(acme.revisions, seed.revision_id(seed.ACME, "cybersecurity-101", 1))
    rows = await every_row(api, "/v1/lms/courses", updated_after="2025-09-02")
    assert [row["origin_id"] for row in rows] == ["cybersecurity-101"]
    assert [bool(each["remote_deleted_at"]) for each in rows[0]["revisions"]] == [True, False]


async def test_skills_and_providers_are_where_they_are_due(api: httpx.AsyncClient) -> None:
    [skill] = await every_row(api, "/v1/lms/skills")
    assert set(skill) == MARKS | INTEGRATION_FIELDS | {"name", "remote_created_at"}
    assert (skill["remote_id"], skill["name"]) == (None, "Compliance")
    named = {"id": skill["id"], "remote_id": None, "name": "Compliance"}
    for row in await every_row(api, "/v1/lms/courses"):
        compliance = row["provider"] is None
        assert (row["provider_id"] is None) == compliance
        if not compliance:
            assert row["provider"] == {
                "id": row["provider_id"],
                "remote_id": "provider",
                "name": "Content Provider",
            }
        for each in row["revisions"]:
            assert each["skill_assignments"] == ([{"skill": named}] if compliance else [])
    assert await every_row(api, "/v1/lms/skills", ids=seed.JANE.id) == []


async def test_ids_are_unique_per_model_only(api: httpx.AsyncClient) -> None:
    headers = {"X-Integration-Id": seed.INITECH}
    for path in ("/v1/lms/users", "/v1/lms/courses"):
        answer = await api.get(path, params={"ids": seed.MILTON.id}, headers=headers)
        assert len(answer.json()["data"]["results"]) == 1
