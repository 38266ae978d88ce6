"""What Kombo says, and what each fault of it is called: see cases.yaml."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from bridge.checkup import kombo
from bridge.checkup.report import told
from bridge.kombo.client import KomboClient
from bridge.kombo.model import Integration
from bridge.simulator import seed

from .conftest import Looking

CASES = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text(encoding="utf-8"))


def filled(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("{acme}", seed.ACME)
    if isinstance(value, dict):
        return {name: filled(each) for name, each in value.items()}
    return [filled(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
async def test_a_fault_is_found_and_nothing_else(looking: Looking, case: dict[str, Any]) -> None:
    deployment = looking.rooms.deployment
    deployment.tenants["acme"] |= filled(case.get("tenant", {}))
    deployment.service |= case.get("service", {})
    for method, path, content in filled(case.get("control", [])):
        answer = await looking.rooms.http.request(method, f"{looking.rooms.origin}/_control/{path}", json=content)
        assert answer.status_code < 300, answer.text
    report = await looking.acme()
    found = [(finding.level, told(finding)) for finding in report.findings]
    assert [level for level, _ in found] == [level for level, _ in case["finds"]], found
    for (_, says), (_, part) in zip(found, case["finds"], strict=True):
        assert part in says
    whole = " ".join(says for _, says in found)
    assert all(part in whole for part in case.get("also", ()))
    assert seed.API_KEY[:12] not in whole
    assert seed.API_KEY[:12] not in str(report.fields)
    assert report.level == min((level for level, _ in found), key=("broken", "attention", "good").index, default="good")


async def test_nothing_is_written_at_kombo_and_hardly_anything_read(looking: Looking) -> None:
    looking.rooms.deployment.service["internal_token"] = "t"
    looking.rooms.world.requests.clear()
    report = await looking.acme()
    assert report.level == "good"
    asked = [(each.method, each.path) for each in looking.rooms.world.requests]
    assert {method for method, _ in asked} == {"GET"}
    assert len(asked) == 5
    reads = [each.query for each in looking.rooms.world.requests if each.path.startswith("/v1/lms/")]
    assert len(reads) == 3
    assert all("page_size=1" in query.split("&") for query in reads)


async def test_the_key_is_asked_for_once_however_many_tenants_go_by_it(looking: Looking) -> None:
    await looking.synced("globex", "initech", "vandelay")
    looking.rooms.world.requests.clear()
    result = await looking.look()
    assert [report.slug for report in result.reports] == ["acme", "globex", "initech", "vandelay"]
    assert looking.rooms.asked("/check-api-key") == 1
    looking.rooms.world.requests.clear()
    await looking.rooms.control("down", value=True)
    result = await looking.look()
    assert result.count("broken") == 4
    assert looking.rooms.asked("/check-api-key") == kombo.PATIENCE.attempts
    assert not looking.rooms.asked("/integrations/" + seed.ACME)


async def test_one_bad_tenant_does_not_spoil_the_others(looking: Looking) -> None:
    await looking.synced("globex", "initech", "vandelay")
    tenants = looking.rooms.deployment.tenants
    tenants["acme"]["kombo"] |= {"api_url": "http://127.0.0.1:9/v1"}
    tenants["globex"]["gate"] = "open"
    result = await looking.look()
    levels = {report.slug: report.level for report in result.reports}
    assert levels == {"acme": "broken", "globex": "broken", "initech": "good", "vandelay": "good"}


async def test_what_nobody_foresaw_is_a_finding_without_its_text(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: KomboClient) -> None:
        raise RuntimeError("with the secret hunter2 in it")

    monkeypatch.setattr(KomboClient, "integration", fails)
    [finding] = (await looking.acme()).findings
    assert (finding.level, "RuntimeError" in finding.says, "hunter2" in finding.says) == ("broken", True, False)


async def test_an_action_that_kombo_calls_otherwise_is_unknown_and_not_missing(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking.rooms.deployment.service["completion_header"] = "true"
    monkeypatch.setattr("bridge.simulator.capabilities.ACTIONS", {"lms_something_else": "Something else"})
    report = await looking.acme()
    assert report.level == "attention"
    assert [finding.says.partition(",")[0] for finding in report.findings] == [
        "Kombo says nothing of lms_create_course_progression",
        "Kombo says nothing of lms_complete_course_progression",
    ]
    assert [each["granted"] for each in report.fields["permissions"] if each["kind"] == "write"] == [None, None]


async def test_a_model_that_kombo_does_not_name_is_tried_all_the_same(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.simulator.general.read_models", lambda _: [])
    report = await looking.acme()
    assert report.level == "attention"
    await looking.rooms.control(f"integrations/{seed.ACME}", "PATCH", refusal=[403, "INTEGRATION.PERMISSION_MISSING"])
    report = await looking.acme()
    assert report.level == "broken"
    assert "Reading users from Kombo fails" in report.findings[0].says


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
async def test_a_moment_beyond_all_calendars_is_no_reason_to_give_up(
    looking: Looking, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    found = await KomboClient(
        looking.rooms.http, looking.rooms.deployment.load().tenants["acme"].kombo, seed.ACME
    ).integration()
    changed = msgspec.structs.replace(found, data_expired_at=datetime.fromisoformat(when))

    async def integration(_: KomboClient) -> Integration:
        return changed

    monkeypatch.setattr(KomboClient, "integration", integration)
    [finding] = (await looking.acme()).findings
    assert (finding.level, "has changed; Kombo has yet to sync since." in finding.says) == ("attention", True)


async def test_the_environment_is_no_more_than_a_name(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check_api_key(_: KomboClient) -> str:
        return "\x1b[2J" + "e" * 1_000_000

    monkeypatch.setattr(KomboClient, "check_api_key", check_api_key)
    report = await looking.acme()
    assert len(report.fields["kombo"]["environment"]) == 500
    assert "\x1b" not in report.fields["kombo"]["environment"]
