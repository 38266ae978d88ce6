"""How an integration stands: the rules, and what is made of Kombo's answers and refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy import Connection
from structlog.testing import capture_logs

from bridge.directory import standing
from bridge.directory.standing import Said, refresh
from bridge.errors import StateError
from bridge.kombo.client import KomboClient
from bridge.kombo.model import User
from bridge.kombo.pauses import Patience
from bridge.kombo.transport import http_client
from bridge.kombo.webhooks import StateChanged
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.simulator.app import create
from bridge.simulator.serving import running
from bridge.simulator.world import Integration, World
from bridge.store import directory, integrations, tables
from bridge.store.engine import Store, now_ms, upsert
from bridge.store.integrations import Standing
from tests.support.deployment import Deployment

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "standings.yaml").read_text())
HOUR = 3_600_000
ABOUT_ANOTHER = ("integration_recreated", "integration_people_compared")


def ms(hours: int | None) -> int | None:
    return None if hours is None else hours * HOUR


def time(hours: int | None) -> datetime | None:
    return None if hours is None else datetime.fromtimestamp(hours * 3600, UTC)


def after(known: Standing, step: dict[str, Any]) -> Standing:
    now, setup = step["at"] * HOUR, step.get("setup")
    if "asked" in step:
        return standing.heard(
            known, Said(step["asked"], setup, None, ms(step.get("expired"))), now, ms(step.get("person"))
        )
    if "told" in step:
        return standing.told(known, StateChanged(step["told"], setup, time(step.get("updated"))), now)
    if "sync" in step:
        return standing.finished(known, step["sync"], time(step.get("began")), now)
    return standing.deleted(known, now)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_what_one_word_after_the_other_makes_of_it(case: dict[str, Any]) -> None:
    known = Standing("i", "acme")
    for step in case["steps"]:
        known = after(known, step)
        found = {"good": known.good_at, "failing": known.failing_at, "status": known.status}
        expected = {name: ms(step[name]) if name != "status" else step[name] for name in found if name in step}
        assert {name: found[name] for name in expected} == expected, step


@dataclass
class Desk:
    """A simulated Kombo on a socket, a store of either kind, and Acme over both."""

    store: Store
    world: World
    origin: str
    http: httpx.AsyncClient
    deployment: Deployment
    tenant: Tenant = field(init=False)

    def __post_init__(self) -> None:
        self.tenant = self.deployment.load().tenants["acme"]

    @property
    def integration(self) -> Integration:
        return self.world.integrations[self.tenant.integration_id]

    @property
    def client(self) -> KomboClient:
        patience = Patience(page=0.5, attempts=2, backoff=0.01)
        return KomboClient(self.http, self.tenant.kombo, self.tenant.integration_id, patience)

    async def refresh(self) -> Standing | None:
        return await refresh(self.store, self.client, self.tenant)

    async def noted(self) -> Standing | None:
        return await self.store.read(lambda c: integrations.standing(c, self.tenant.integration_id))

    async def fault(self, **content: object) -> None:
        """Something goes wrong with every question about the integration from now on."""
        fault = {"count": None, "path": "/v1/integrations/", **content}
        answer = await self.http.post(f"{self.origin}/_control/faults", json=fault)
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def desk(either_store: Store, tmp_path: Path) -> AsyncIterator[Desk]:
    world = seed.seeded()
    async with running(create(world)) as origin, http_client() as http:
        deployment = Deployment(tmp_path, kombo_url=f"{origin}/v1")
        yield Desk(either_store, world, origin, http, deployment)


async def test_what_kombo_says_is_noted(desk: Desk) -> None:
    before = now_ms()
    found = await desk.refresh()
    assert found is not None
    assert found == await desk.noted()
    assert (found.status, found.setup_status, found.tenant) == ("ACTIVE", "COMPLETED", "acme")
    assert found.customer == desk.integration.origin_id
    assert found.good_at is not None
    assert before <= found.good_at <= now_ms()


async def test_what_others_noted_stays(desk: Desk) -> None:
    integration = desk.tenant.integration_id
    await desk.store.write(lambda c: integrations.note(c, integration, "acme", held_at=1, held=2, held_of=3))
    found = await desk.refresh()
    assert found is not None
    assert (found.held_at, found.held, found.held_of) == (1, 2, 3)


async def test_notes_made_at_once_are_all_kept(desk: Desk) -> None:
    integration = desk.tenant.integration_id
    words = ("held_at", "held", "held_of", "confirmed_at", "failing_at", "succeeded_at")

    def noting(word: str) -> Any:
        return desk.store.write(lambda c: integrations.note(c, integration, "acme", **{word: 7}))

    await asyncio.gather(*map(noting, words))
    found = await desk.noted()
    assert [getattr(found, word) for word in words] == [7] * len(words)


NO_ANSWERS: list[dict[str, Any]] = [
    {"kind": "html502"},
    {"kind": "empty500"},
    {"kind": "429"},
    {"kind": "cut"},
    {"kind": "slow", "seconds": 2},
    {"kind": "rows", "without": ["status"]},
    {"kind": "rows", "patch": {"id": "workday:another"}},
    {"kind": "rows", "patch": {"status": "A" * 65}},
    {"kind": "error", "status": 401, "code": "PLATFORM.AUTHENTICATION_INVALID"},
    {"kind": "error", "status": 403, "code": "PLATFORM.IP_NOT_WHITELISTED"},
    {"kind": "error", "status": 403, "code": "INTEGRATION.PERMISSION_MISSING"},
    {"kind": "error", "status": 404, "code": "PLATFORM.INPUT_INVALID"},
    {"kind": "error", "status": 409, "code": "INTEGRATION.AUTHENTICATION_INVALID"},
    {"kind": "error", "status": 400, "code": "SOMETHING.NEW"},
]


async def test_an_answer_that_says_nothing_changes_nothing(desk: Desk) -> None:
    known = await desk.refresh()
    for fault in NO_ANSWERS:
        await desk.http.delete(f"{desk.origin}/_control/faults")
        await desk.fault(**fault)
        assert await desk.refresh() is None, fault
        assert await desk.noted() == known, fault


async def test_nothing_is_noted_of_what_was_never_heard(desk: Desk) -> None:
    await desk.fault(kind="html502")
    assert await desk.refresh() is None
    assert await desk.noted() is None


@pytest.mark.parametrize(
    ("code", "status", "setup"),
    [
        ("PLATFORM.INTEGRATION_NOT_FOUND", "DELETED", "COMPLETED"),
        ("INTEGRATION.INACTIVE", "INACTIVE", "COMPLETED"),
        ("INTEGRATION.SETUP_INCOMPLETE", "ACTIVE", "INCOMPLETE"),
        ("INTEGRATION.SETUP_SYNC_PENDING", "ACTIVE", "FINAL_SYNC_PENDING"),
    ],
)
def test_a_refusal_that_says_how_it_stands(code: str, status: str, setup: str) -> None:
    known = Standing("i", "acme", status="ACTIVE", setup_status="COMPLETED", heard_at=1, good_at=1)
    said = standing.REFUSALS[code]
    found = standing.heard(known, said, 2)
    assert (found.status, found.setup_status, found.good_at) == (status, setup, 1)


async def test_an_integration_that_is_gone(desk: Desk) -> None:
    known = await desk.refresh()
    await desk.fault(kind="error", status=404, code="PLATFORM.INTEGRATION_NOT_FOUND")
    found = await desk.refresh()
    assert known is not None
    assert found is not None
    assert (found.status, found.good_at) == (standing.GONE, known.good_at)


async def test_a_change_is_logged_once(desk: Desk) -> None:
    await desk.refresh()
    desk.integration.status = "INVALID"
    with capture_logs() as logs:
        await desk.refresh()
        await desk.refresh()
    [line] = [line for line in logs if line["event"] == "integration_state_changed"]
    assert (line["log_level"], line["state"], line["before"], line["tenant"]) == (
        "warning",
        "INVALID",
        "ACTIVE",
        "acme",
    )
    desk.integration.status = "ACTIVE"
    with capture_logs() as logs:
        await desk.refresh()
    assert [line["log_level"] for line in logs if line["event"] == "integration_state_changed"] == ["info"]


async def test_what_kombo_says_cannot_forge_a_line_of_the_log(desk: Desk) -> None:
    await desk.fault(kind="rows", patch={"status": "PAU\nSED"})
    with capture_logs() as logs:
        await desk.refresh()
    [line] = [line for line in logs if line["event"] == "integration_state_changed"]
    assert line["state"] == "PAU\N{REPLACEMENT CHARACTER}SED"


def person(changed_at: int, id: str, remote_id: str, deleted: bool = False) -> User:
    moment = datetime.fromtimestamp(changed_at / 1000, UTC)
    return User(id=id, remote_id=remote_id, changed_at=moment, remote_deleted_at=moment if deleted else None)


def read(connection: Connection, integration_id: str, model: str, newest_at: int) -> None:
    """As after a pass over a model."""
    row = dict.fromkeys(tables.syncs.columns.keys()) | {"integration_id": integration_id, "model": model}
    upsert(connection, tables.syncs, [row | {"started_at": 1, "as_of": 1, "newest_at": newest_at}])


async def test_only_changes_of_this_integrations_people_are_evidence(desk: Desk) -> None:
    integration = desk.tenant.integration_id
    old = now_ms() - 100 * HOUR

    def work(connection: Connection) -> None:
        read(connection, integration, "users", old)
        read(connection, integration, "progressions", old + HOUR)
        read(connection, integration, "courses", old + HOUR)
        read(connection, "moodle:other", "users", old + HOUR)

    await desk.store.write(work)
    desk.integration.status = "INVALID"
    found = await desk.refresh()
    assert found is not None
    assert found.good_at == old


async def test_a_failed_sync_holds_only_while_webhooks_can_say_that_it_is_over(desk: Desk) -> None:
    await desk.refresh()
    integration, since = desk.tenant.integration_id, now_ms() - HOUR
    await desk.store.write(lambda c: integrations.note(c, integration, "acme", failing_at=since, good_at=since))
    with_webhooks = desk.tenant.kombo.model_copy(update={"webhook_secret": SecretStr("secret")})
    told = desk.tenant.model_copy(update={"kombo": with_webhooks})
    held = await refresh(desk.store, desk.client, told)
    assert held is not None
    assert (held.failing_at, held.good_at) == (since, since)
    free = await desk.refresh()
    assert free is not None
    assert free.failing_at is None
    assert free.good_at is not None
    assert free.good_at > since


async def test_who_may_not_write_writes_nothing(desk: Desk) -> None:
    def forbidden(_: Connection) -> None:
        raise StateError("another process has taken over")

    with pytest.raises(StateError, match="taken over"):
        await refresh(desk.store, desk.client, desk.tenant, forbidden)
    assert await desk.noted() is None


async def reconnect(desk: Desk, **changes: Any) -> Tenant:
    """The customer is connected anew, and the tenant's file changed."""
    new = "workday:newnewnewnewnewnewnewnew"
    desk.world.add(
        Integration(id=new, organization=desk.integration.organization, origin_id=desk.integration.origin_id)
    )
    for name, value in changes.items():
        setattr(desk.world.integrations[new], name, value)
    return desk.deployment.tenant("acme", kombo={"integration_id": new})


async def test_another_integration_of_the_same_customer_is_said_once(desk: Desk) -> None:
    was = desk.tenant.integration_id
    await desk.refresh()
    await desk.store.write(
        lambda c: directory.save_users(
            c, was, [person(1, "a", "E1"), person(1, "b", "E2"), person(1, "c", "E3", deleted=True)], 1
        )
    )
    desk.tenant = await reconnect(desk)
    with capture_logs() as logs:
        await desk.refresh()
        await desk.refresh()
    [line] = [line for line in logs if line["event"] in ABOUT_ANOTHER]
    assert (line["tenant"], line["was"], line["now"]) == ("acme", was, desk.tenant.integration_id)

    def pass_over_people(connection: Connection) -> None:
        now = desk.tenant.integration_id
        directory.save_users(connection, now, [person(1, "x", "E1"), person(1, "y", "E3")], 1)
        read(connection, now, "users", 1)

    await desk.store.write(pass_over_people)
    with capture_logs() as logs:
        await desk.refresh()
        await desk.refresh()
    [line] = [line for line in logs if line["event"] in ABOUT_ANOTHER]
    assert (line["event"], line["same_remote_id"], line["former_people"]) == ("integration_people_compared", 1, 2)


async def test_the_integration_of_another_customer_is_no_re_creation(desk: Desk) -> None:
    await desk.refresh()
    desk.tenant = await reconnect(desk, origin_id="somebody-else")
    with capture_logs() as logs:
        await desk.refresh()
    assert not [line for line in logs if line["event"] == "integration_recreated"]
