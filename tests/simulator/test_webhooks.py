from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.simulator.app import create
from bridge.simulator.seed import ACME, JANE, NOOR, course_id, revision_id
from bridge.simulator.serving import running
from bridge.simulator.webhooks import event_body, signature
from bridge.simulator.world import World

SECRET = "test-webhook-secret"
VECTOR = Path(__file__).parents[1] / "kombo" / "webhook-vector.json"


@dataclass
class Receiver:
    """What came, and how it is answered: by each status once, then by 200; not while it is held."""

    statuses: list[int] = field(default_factory=list)
    held: asyncio.Event | None = None
    got: list[dict[str, Any]] = field(default_factory=list)
    raw: list[tuple[bytes, str | None]] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.got]

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        self.raw.append((body, request.headers.get("x-kombo-signature")))
        self.got.append(json.loads(body))
        if self.held:
            await self.held.wait()
        return Response(status_code=self.statuses.pop(0) if self.statuses else 200)


@dataclass
class Scene:
    world: World
    api: httpx.AsyncClient
    receiver: Receiver

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not done():
                await asyncio.sleep(0.01)

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The first so many, once no more follow at once."""
        await self.until(lambda: len(self.receiver.got) >= count)
        await asyncio.sleep(0.15)
        assert len(self.receiver.got) == count, self.receiver.types
        return self.receiver.got


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[Scene]:
    receiver = Receiver()
    headers = {"Authorization": f"Bearer {world.api_key}", "X-Integration-Id": ACME}

    async def receive(request: Request) -> Response:
        return await receiver(request)

    app = Starlette(routes=[Route("/hook", receive, methods=["POST"])])
    async with (
        running(create(world)) as origin,
        running(app) as there,
        httpx.AsyncClient(base_url=origin, headers=headers, trust_env=False) as api,
    ):
        settings = {"url": f"{there}/hook", "secret": SECRET, "retry_pause": 0.05}
        assert (await api.patch("/_control/webhooks", json=settings)).status_code == 200
        yield Scene(world, api, receiver)


@pytest.fixture
async def scene(world: World) -> AsyncIterator[Scene]:
    world.integrations[ACME].lag = True
    async with opened(world) as scene:
        yield scene


def test_the_signature_of_a_known_body() -> None:
    body = VECTOR.read_bytes()
    assert signature(SECRET, body) == "gFhBqhiVCV4Csgt1KL8v0PY3DfIWmBkfJhM_EzwOkyc"
    assert event_body(json.loads(body)) == body


async def test_a_sync_tells_which_models_changed_and_that_it_is_over(scene: Scene) -> None:
    acme = scene.world.integrations[ACME]
    acme.patch(acme.users, JANE.id, first_name="Jürgen")
    acme.patch(acme.revisions, revision_id(ACME, "ergonomics"), title="Sitting", skills=())
    acme.enroll(NOOR.id, revision_id(ACME, "ergonomics"))
    await scene.api.post("/v1/force-sync", json={"type": "DELTA"})
    changed, finished = await scene.events(2)
    assert (changed["type"], finished["type"]) == ("data-changed", "sync-finished")
    assert changed["data"] == {
        "integration_id": ACME,
        "integration_tool": "workday",
        "integration_category": "LMS",
        "changed_models": [
            {"name": name}
            for name in ("lms_course_progressions", "lms_course_revisions", "lms_join_revisions_skills", "lms_users")
        ],
    }
    data = finished["data"]
    assert (data["sync_state"], data["integration_id"], data["sync_duration_seconds"]) == ("SUCCEEDED", ACME, 0)
    assert data["end_user"] == {"organization_name": "Acme Corporation", "creator_email": None, "origin_id": "acme"}
    assert len({changed["id"], finished["id"]}) == 2
    for body, signed in scene.receiver.raw:
        assert signed == signature(SECRET, body)
        assert body == json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode()


async def test_nothing_is_said_of_data_where_nothing_changed(scene: Scene) -> None:
    await scene.api.post("/v1/force-sync", json={})
    assert [event["type"] for event in await scene.events(1)] == ["sync-finished"]


async def test_under_lag_nothing_is_said_before_the_sync(scene: Scene) -> None:
    acme = scene.world.integrations[ACME]
    acme.patch(acme.users, JANE.id, first_name="Janet")
    await scene.events(0)
    acme.sync(outcome="FAILED")
    [event] = await scene.events(1)
    assert (event["type"], event["data"]["sync_state"]) == ("sync-finished", "FAILED")


async def test_without_lag_each_change_is_told_at_once(scene: Scene) -> None:
    acme = scene.world.integrations[ACME]
    acme.lag = False
    await scene.api.post(f"/v1/lms/courses/{course_id(ACME, 'ergonomics')}/deactivate")
    [event] = await scene.events(1)
    assert event["data"]["changed_models"] == [{"name": "lms_course_revisions"}]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "INVALID"}, {"state": "INVALID", "setup_status": "COMPLETED", "qa_status": "PASSED"}),
        ({"setup_status": "INCOMPLETE"}, {"state": "ACTIVE", "setup_status": "INCOMPLETE", "qa_status": "PASSED"}),
        ({"qa_status": "FAILED"}, {"state": "ACTIVE", "setup_status": "COMPLETED", "qa_status": "FAILED"}),
    ],
)
async def test_a_state_that_changes(change: dict[str, str], told: dict[str, str], scene: Scene) -> None:
    for _ in range(2):
        await scene.api.patch(f"/_control/integrations/{ACME}", json=change)
    [event] = await scene.events(1)
    assert event["type"] == "integration-state-changed"
    assert {name: event["data"][name] for name in told} == told


async def test_switching_off_cancels_a_running_sync(scene: Scene) -> None:
    scene.world.sync_seconds = 60
    await scene.api.post("/v1/force-sync", json={})
    await scene.api.put(f"/v1/integrations/{ACME}/enabled", json={"value": False})
    finished, state = await scene.events(2)
    assert (finished["data"]["sync_state"], state["data"]["state"]) == ("CANCELLED", "INACTIVE")


async def test_integrations_come_and_go(scene: Scene) -> None:
    await scene.api.post("/_control/integrations", json={"id": "docebo:new", "organization": "New"})
    await scene.api.delete("/v1/integrations/docebo:new")
    created, deleted = await scene.events(2)
    assert (created["type"], deleted["type"]) == ("integration-created", "integration-deleted")
    assert created["data"]["id"] == deleted["data"]["id"] == "docebo:new"
    gone = await scene.api.get("/v1/lms/users", headers={"X-Integration-Id": "docebo:new"})
    assert gone.json()["error"]["code"] == "PLATFORM.INTEGRATION_NOT_FOUND"


async def test_an_event_is_tried_again_and_everything_is_on_record(scene: Scene) -> None:
    scene.receiver.statuses = [500, 302]
    await scene.api.post("/v1/force-sync", json={})
    events = await scene.events(3)
    assert len({event["id"] for event in events}) == 1
    assert len(set(scene.receiver.raw)) == 1
    sent = (await scene.api.get("/_control/webhooks/sent")).json()
    assert [(each["attempt"], each["status"], each["error"]) for each in sent] == [
        (1, 500, None),
        (2, 302, None),
        (3, 200, None),
    ]
    await scene.api.delete("/_control/webhooks/sent")
    assert (await scene.api.get("/_control/webhooks/sent")).json() == []


async def test_no_more_than_a_few_tries(scene: Scene) -> None:
    scene.receiver.statuses = [503] * 10
    await scene.api.post("/v1/force-sync", json={})
    await scene.events(3)


@pytest.mark.parametrize(
    ("settings", "types"),
    [
        ({"duplicates": 1}, ["data-changed", "data-changed", "sync-finished", "sync-finished"]),
        ({"reorder": True}, ["sync-finished", "data-changed"]),
        ({"delay": 0.2}, ["data-changed", "sync-finished"]),
        ({"on": False}, []),
        ({"url": None}, []),
    ],
)
async def test_what_may_happen_on_the_way(settings: dict[str, Any], types: list[str], scene: Scene) -> None:
    await scene.api.patch("/_control/webhooks", json=settings)
    acme = scene.world.integrations[ACME]
    acme.patch(acme.users, JANE.id, first_name="Janet")
    acme.sync()
    await scene.events(len(types))
    assert scene.receiver.types == types


async def test_without_a_secret_nothing_is_signed(scene: Scene) -> None:
    await scene.api.patch("/_control/webhooks", json={"secret": None})
    await scene.api.post("/v1/force-sync", json={})
    await scene.events(1)
    assert scene.receiver.raw[0][1] is None


async def test_any_event_at_all(scene: Scene) -> None:
    event = {"type": "issue-status-changed", "data": {"change": "raised"}}
    await scene.api.post("/_control/webhooks", json=event)
    [got] = await scene.events(1)
    assert {name: got[name] for name in event} == event


async def test_a_slow_receiver_holds_up_nobody_but_itself(scene: Scene) -> None:
    scene.receiver.held = asyncio.Event()
    for _ in range(3):
        assert (await scene.api.post("/v1/force-sync", json={})).status_code == 200
    await scene.until(lambda: scene.receiver.got)
    assert (await scene.api.get("/v1/lms/users")).status_code == 200
    assert not scene.world.webhooks.sent
    scene.receiver.held.set()
    await scene.events(3)


async def test_a_receiver_that_never_answers_is_left(scene: Scene) -> None:
    scene.receiver.held = asyncio.Event()
    scene.world.webhooks.timeout, scene.world.webhooks.attempts = 0.1, 2
    await scene.api.post("/v1/force-sync", json={})
    await scene.until(lambda: len(scene.world.webhooks.sent) == 2)
    scene.receiver.held.set()
    assert [(each.status, each.error) for each in scene.world.webhooks.sent] == [(None, "TimeoutError")] * 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "no url", "http://[", "ftp://127.0.0.1/"])
async def test_a_receiver_that_is_not_there(url: str, scene: Scene) -> None:
    scene.world.webhooks.attempts = 1
    await scene.api.patch("/_control/webhooks", json={"url": url})
    await scene.api.post("/v1/force-sync", json={})
    await scene.until(lambda: scene.world.webhooks.sent)
    assert scene.world.webhooks.sent[0].error
    assert (await scene.api.get("/v1/lms/users")).status_code == 200
