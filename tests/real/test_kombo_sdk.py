"""Kombo's own client, unmodified, against the simulator: it parses strictly, so what it accepts is what Kombo says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.simulator import seed
from bridge.simulator.app import create
from bridge.simulator.fields import IntegrationField
from bridge.simulator.records import kombo_id
from bridge.simulator.serving import running
from bridge.simulator.world import World
from tests.support.needs import need

HOME = Path(__file__).parent / "servers" / "kombo_sdk"
PYTHON = HOME / ".venv" / "bin" / "python"
LINK = {"end_user_email": "it@new.example", "end_user_organization_name": "New", "integration_category": "LMS"}
Call = tuple[str, dict[str, Any]]


class Sdk:
    """The client, in a process and an environment of its own."""

    def __init__(self, world: World, origin: str) -> None:
        self.world, self.origin = world, origin

    async def __call__(
        self, *calls: Call, api_key: str | None = None, webhooks: Sequence[tuple[str, str]] = ()
    ) -> dict[str, Any]:
        script = {
            "server_url": f"{self.origin}/v1",
            "api_key": api_key or self.world.api_key,
            "integration_id": seed.ACME,
            "calls": calls,
            "webhooks": webhooks,
        }
        process = await asyncio.create_subprocess_exec(
            PYTHON, HOME / "calls.py", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate(json.dumps(script).encode())
        assert process.returncode == 0
        said: dict[str, Any] = json.loads(told)
        return said


@pytest.fixture
async def sdk() -> AsyncIterator[Sdk]:
    need(PYTHON.exists(), f"Kombo's client in {HOME.name}/.venv, from requirements/kombo-sdk.txt")
    world = seed.seeded()
    async with running(create(world)) as origin:
        yield Sdk(world, origin)


def results(said: dict[str, Any]) -> list[Any]:
    return [call["result"] for call in said["calls"]]


async def test_what_is_read(sdk: Sdk) -> None:
    said = await sdk(
        ("general.check_api_key", {}),
        ("general.get_integration_details", {"integration_id": seed.GLOBEX}),
        ("general.get_tools", {"category": "lms"}),
        ("general.get_tools", {"category": "hris"}),
        ("general.get_custom_fields", {"integration_id": seed.ACME}),
    )
    key, details, tools, others, custom = results(said)
    assert key == {"environment_id": sdk.world.environment_id}
    assert (details["id"], details["category"], details["status"]) == (seed.GLOBEX, "LMS", "ACTIVE")
    assert {model["id"] for model in details["read_models"]} > {"lms_users", "lms_course_progressions"}
    assert {tool["id"] for tool in tools["tools"]} > {"workday", "successfactors", "cornerstoneondemand", "docebo"}
    assert others == {"tools": []}
    assert [field["key"] for field in custom["results"]] == ["cost_center_number"]


async def test_a_sync_and_one_that_is_running_already(sdk: Sdk) -> None:
    sdk.world.sync_seconds = 60
    first, second = results(
        await sdk(("general.trigger_sync", {"type_": "DELTA"}), ("general.trigger_sync", {"type_": "FULL"}))
    )
    assert (first["already_queued"], first["type"]) == (False, "DELTA")
    assert second == {**first, "already_queued": True}


async def test_switching_off_and_on_and_deleting(sdk: Sdk) -> None:
    on = [("general.set_integration_enabled", {"integration_id": seed.ACME, "value": value}) for value in (False, True)]
    details = ("general.get_integration_details", {"integration_id": seed.ACME})
    deleted = ("general.delete_integration", {"integration_id": seed.ACME, "body": {}})
    said = await sdk(on[0], details, on[1], details, deleted, details)
    *states, missing = said["calls"]
    assert [state["result"].get("status") for state in states] == [None, "INACTIVE", None, "ACTIVE", None]
    assert missing == {"error": "KomboGeneralError", "status": 404, "code": "PLATFORM.INTEGRATION_NOT_FOUND"}


async def test_fields_are_switched_on_and_mapped(sdk: Sdk) -> None:
    acme = sdk.world.integrations[seed.ACME]
    field, custom = acme.integration_fields[0].id, acme.custom_fields[0].id
    on, mapped = results(
        await sdk(
            (
                "general.update_integration_field",
                {"integration_id": seed.ACME, "integration_field_id": field, "enable_passthrough": True},
            ),
            (
                "general.update_custom_field_mapping",
                {"integration_id": seed.ACME, "custom_field_id": custom, "integration_field_id": field},
            ),
        )
    )
    assert on["is_passthrough_enabled"] is True
    assert mapped["integration_field"]["id"] == field
    headers = {"Authorization": f"Bearer {sdk.world.api_key}", "X-Integration-Id": seed.ACME}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        answer = await client.get(f"{sdk.origin}/v1/lms/users", params={"ids": seed.JANE.id})
    [jane] = answer.json()["data"]["results"]
    [shown] = jane["integration_fields"]
    assert jane["custom_fields"] == {"cost_center_number": shown["value"]}
    assert (shown["id"], len(shown["value"])) == (field, 4)


async def test_a_list_of_several_pages(sdk: Sdk) -> None:
    acme = sdk.world.integrations[seed.ACME]
    acme.integration_fields += [
        IntegrationField(kombo_id("more", str(number)), f"more_{number}", "lms_users") for number in range(6)
    ]
    [ids] = results(await sdk(("every general.get_integration_fields", {"integration_id": seed.ACME, "page_size": 3})))
    assert ids == [field.id for field in acme.integration_fields]


async def test_links_and_what_becomes_of_them(sdk: Sdk) -> None:
    sdk.world.integrations[seed.ACME].setup_status = "INCOMPLETE"
    made, relink, setup = results(
        await sdk(
            ("connect.create_connection_link", {**LINK, "integration_tool": "moodle"}),
            ("general.create_reconnection_link", {"integration_id": seed.ACME}),
            ("general.create_setup_link", {"integration_id": seed.ACME, "link_type": "MAGIC_LINK"}),
        )
    )
    tokens = [link["link"].partition("token=")[2] for link in (made, relink, setup)]
    asked = [("connect.get_integration_by_token", {"token": token}) for token in tokens]
    before = (await sdk(*asked))["calls"]
    assert before[0] == {"error": "KomboGeneralError", "status": 404, "code": "PLATFORM.INPUT_INVALID"}
    assert [call["result"]["id"] for call in before[1:]] == [seed.ACME] * 2
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.post(f"{sdk.origin}/_control/connections", json={"token": tokens[0]})
    [after] = results(await sdk(asked[0]))
    assert (after["tool"], after["end_user_organization_name"], after["setup_status"]) == ("moodle", "New", "COMPLETED")


async def test_errors_are_those_that_the_client_knows(sdk: Sdk) -> None:
    said = await sdk(("general.check_api_key", {}), api_key="wrong")
    assert said["calls"] == [{"error": "KomboGeneralError", "status": 401, "code": "PLATFORM.AUTHENTICATION_INVALID"}]
    sdk.world.requests_per_minute = 1
    said = await sdk(
        ("general.check_api_key", {}),
        ("general.check_api_key", {}),
    )
    assert said["calls"][1] == {"error": "KomboGeneralError", "status": 429, "code": "PLATFORM.RATE_LIMIT_EXCEEDED"}


async def test_a_setup_link_without_any_step_to_set_up_is_refused(sdk: Sdk) -> None:
    said = await sdk(("general.create_setup_link", {"integration_id": seed.ACME, "link_type": "EMBEDDED"}))
    assert said["calls"] == [{"error": "KomboGeneralError", "status": 400, "code": "PLATFORM.INPUT_INVALID"}]


async def test_the_client_knows_the_webhooks(sdk: Sdk) -> None:
    hooks, acme = sdk.world.webhooks, sdk.world.integrations[seed.ACME]
    hooks.url, hooks.attempts, hooks.timeout = "http://127.0.0.1:9/", 1, 0.1
    acme.patch(acme.users, seed.JANE.id, first_name="Janet")
    acme.sync()
    acme.change(status="INVALID")
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {sdk.world.api_key}"}) as client:
        await client.post(f"{sdk.origin}/_control/integrations", json={"id": "docebo:new", "organization": "New"})
        await client.request("DELETE", f"{sdk.origin}/v1/integrations/docebo:new", json={})
    async with asyncio.timeout(10):
        while len(hooks.sent) < 5:
            await asyncio.sleep(0.02)
    classes = [
        *("DataChangedWebhookPayload", "SyncFinishedWebhookPayload", "IntegrationStateChangedWebhookPayload"),
        *("IntegrationCreatedWebhookPayload", "IntegrationDeletedWebhookPayload"),
    ]
    said = await sdk(webhooks=[(name, sent.body) for name, sent in zip(classes, hooks.sent, strict=True)])
    assert [event["type"] for event in said["webhooks"]] == [
        *("data-changed", "sync-finished", "integration-state-changed", "integration-created", "integration-deleted")
    ]
    assert said["webhooks"][0]["data"]["changed_models"] == [{"name": "lms_users"}]
