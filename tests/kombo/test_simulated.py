"""The client against the simulated Kombo, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.errors import KomboRefused, KomboUnavailable
from bridge.kombo.client import KomboClient
from bridge.kombo.model import CourseItem
from bridge.simulator.app import create
from bridge.simulator.seed import (
    ACME,
    AISHA,
    COMMA,
    GLOBEX,
    HASH,
    INITECH,
    JANE,
    JONAS,
    KLARA,
    MILTON,
    NOOR,
    OLGA,
    PETER,
    SAM,
    SAMIRA,
    SLASH,
    TOM,
    VANDELAY,
    course_id,
    revision_id,
    seeded,
)
from bridge.simulator.serving import running
from bridge.simulator.world import World


@dataclass
class Simulated:
    world: World
    url: str
    connect: Any

    def client(self, integration: str = ACME, **details: Any) -> KomboClient:
        return self.connect(self.url, integration, details.pop("key", self.world.api_key), **details)


@pytest.fixture
async def kombo(connect: Any) -> AsyncIterator[Simulated]:
    world = seeded()
    async with running(create(world)) as origin:
        yield Simulated(world, f"{origin}/v1", connect)


async def everything(pages: AsyncIterator[Any]) -> list[Any]:
    rows = []
    async for page in pages:
        assert page.unreadable == 0
        rows.extend(page)
    return rows


async def test_lists(kombo: Simulated) -> None:
    client = kombo.client()
    users = await everything(client.users())
    assert JANE.id in {user.id for user in users}
    assert OLGA.id not in {user.id for user in users}
    assert {user.status for user in users} == {"ACTIVE", "INACTIVE", None}
    courses = await everything(client.courses())
    assert {len(course.revisions) for course in courses} == {1, 2}
    progressions = await everything(client.progressions())
    assert {each.status for each in progressions} == {"ENROLLED", "IN_PROGRESS", "COMPLETED", "DROPPED", None}
    assert [each.course_id for each in progressions if each.user_id == JONAS.id] == [None]


async def test_lists_of_several_pages(kombo: Simulated) -> None:
    from bridge.simulator.records import User

    for number in range(600):
        remote_id = f"N{number}"
        kombo.world.integrations[ACME].put(User(id=f"extra{number}", remote_id=remote_id))
    sizes = [len(page) async for page in kombo.client().users()]
    assert sizes[:2] == [250, 250]
    assert len(sizes) == 3
    assert len({user.id for user in await everything(kombo.client().users())}) == sum(sizes)


async def test_deleted_people_come_only_when_asked_for(kombo: Simulated) -> None:
    users = await everything(kombo.client().users(include_deleted=True))
    [olga] = [user for user in users if user.id == OLGA.id]
    assert olga.remote_deleted_at is not None
    assert (olga.first_name, olga.work_email, olga.status) == (None, None, None)
    assert await kombo.client().users_by_remote_id(OLGA.remote_id, deadline=2) == []


async def test_what_changed_since(kombo: Simulated) -> None:
    since = datetime.now(UTC) - timedelta(seconds=5)
    client = kombo.client()
    assert await everything(client.users(updated_after=since)) == []
    acme = kombo.world.integrations[ACME]
    acme.patch(acme.users, JANE.id, work_email="jane.roe@acme.com")
    acme.remove(acme.users, TOM.id)
    acme.patch(acme.revisions, revision_id(ACME, "fire-safety"), title="Fire!")
    assert [user.work_email for user in await everything(client.users(updated_after=since))] == ["jane.roe@acme.com"]
    both = await everything(client.users(updated_after=since, include_deleted=True))
    assert {user.id for user in both} == {JANE.id, TOM.id}
    assert [each.id for each in await everything(client.courses(updated_after=since))] == [
        course_id(ACME, "fire-safety")
    ]


@pytest.mark.parametrize("person", [JANE, SLASH, HASH, KLARA, MILTON], ids=lambda person: person.remote_id)
async def test_a_person_by_remote_id(person: Any, kombo: Simulated) -> None:
    [user] = await kombo.client(person.integration).users_by_remote_id(person.remote_id, deadline=2)
    assert (user.id, user.remote_id, user.work_email) == (person.id, person.remote_id, person.email)


async def test_a_remote_id_with_a_comma_is_not_asked_for(kombo: Simulated) -> None:
    with pytest.raises(ValueError, match="comma"):
        await kombo.client(GLOBEX).users_by_remote_id(COMMA.remote_id, deadline=2)
    assert len(kombo.world.requests) == 0


async def test_people_by_email(kombo: Simulated) -> None:
    [peter] = await kombo.client(INITECH).users_by_email("peter.GIBBONS@initech.com", deadline=2)
    assert peter.id == PETER.id
    both = await kombo.client().users_by_email("sam.lee@acme.com", deadline=2)
    assert {user.id for user in both} == {SAM.id, SAMIRA.id}
    assert await kombo.client().users_by_email("nobody@acme.com", deadline=2) == []


async def test_the_same_id_elsewhere_is_somebody_else(kombo: Simulated) -> None:
    assert await kombo.client(VANDELAY).users_by_remote_id(JANE.remote_id, deadline=2) == []


async def test_progressions_of_one_person_in_any_revision(kombo: Simulated) -> None:
    client, cyber = kombo.client(), course_id(ACME, "cybersecurity-101")
    [older] = await client.progressions_of(AISHA.id, cyber, deadline=2)
    assert (older.status, older.course_revision_id) == ("COMPLETED", revision_id(ACME, "cybersecurity-101", 1))
    assert older.course_id == cyber
    [newer] = await client.progressions_of(JANE.id, cyber, deadline=2)
    assert newer.course_revision_id == revision_id(ACME, "cybersecurity-101", 2)
    assert await client.progressions_of(TOM.id, cyber, deadline=2) == []
    assert await client.progressions_of(JONAS.id, cyber, deadline=2) == []


async def test_enroll_and_complete(kombo: Simulated) -> None:
    client, revision = kombo.client(), revision_id(ACME, "ergonomics")
    enrolled = await client.enroll(NOOR.id, revision)
    assert (enrolled.status, enrolled.user_id, enrolled.course_id) == (
        "ENROLLED",
        NOOR.id,
        course_id(ACME, "ergonomics"),
    )
    moment = datetime(2025, 10, 1, 12, tzinfo=UTC)
    completed = await client.complete(enrolled.id, moment, 87)
    assert (completed.id, completed.status, completed.completed_at) == (enrolled.id, "COMPLETED", moment)
    assert [(each.progression, each.score) for each in kombo.world.completions] == [(enrolled.id, 87)]


async def test_writes_by_remote_id(kombo: Simulated) -> None:
    client = kombo.client(GLOBEX)
    enrolled = await client.enroll(f"remote:{SLASH.remote_id}", "remote:ext-ergonomics@1")
    assert enrolled.user_id == SLASH.id
    completed = await client.complete("remote:EMEA/0815:ext-ergonomics@1:1", None, None)
    assert completed.id == enrolled.id
    assert (await client.deactivate("remote:ext-ergonomics")).revisions[0].status == "INACTIVE"


async def test_push(kombo: Simulated) -> None:
    kombo.world.task_delay = 0.2
    kombo.world.failing_items = {"bad": "LMS.COURSE_UPDATE_NOT_SUPPORTED"}
    client = kombo.client()
    items = [
        CourseItem("new", "New", "https://x.example/courses/new"),
        CourseItem("bad", "Bad", "https://x.example/bad"),
    ]
    task_id = await client.push_courses(items)
    assert (await client.bulk_task(task_id)).status == "PENDING"
    await asyncio.sleep(0.25)
    task = await client.bulk_task(task_id)
    assert task.status == "COMPLETED"
    assert task.data
    new, bad = task.data
    assert (new.status, bad.status) == ("SUCCEEDED", "FAILED")
    assert bad.error
    assert bad.error.code == "LMS.COURSE_UPDATE_NOT_SUPPORTED"
    [course] = [each for each in await everything(client.courses()) if each.origin_id == "new"]
    assert new.data
    assert course.id == new.data.id
    assert course.revisions[0].title == "New"


async def test_a_push_that_fails_as_a_whole(kombo: Simulated) -> None:
    kombo.world.task_delay, kombo.world.failing_task = 0, "PLATFORM.TASK_TIMED_OUT"
    client = kombo.client()
    task = await client.bulk_task(await client.push_courses([CourseItem("new", "New", "https://x.example/new")]))
    assert (task.status, task.data) == ("FAILED", None)
    assert task.error
    assert task.error.code == "PLATFORM.TASK_TIMED_OUT"


async def test_the_key_and_the_integration(kombo: Simulated) -> None:
    assert await kombo.client().check_api_key() == "simulated-environment"
    integration = await kombo.client(GLOBEX).integration()
    assert (integration.id, integration.status, integration.setup_status) == (GLOBEX, "ACTIVE", "COMPLETED")
    assert integration.tool
    assert integration.tool.id == "successfactors"
    assert integration.end_user
    assert integration.end_user.organization_name == "Globex"
    assert "lms_users" in {model.id for model in integration.read_models if model.is_available}


async def test_refusals(kombo: Simulated) -> None:
    cases = [
        (kombo.client(key="wrong"), 401, "PLATFORM.AUTHENTICATION_INVALID"),
        (kombo.client("workday:nobody"), 404, "PLATFORM.INTEGRATION_NOT_FOUND"),
    ]
    kombo.world.integrations[GLOBEX].setup_status = "INCOMPLETE"
    cases.append((kombo.client(GLOBEX), 409, "INTEGRATION.SETUP_INCOMPLETE"))
    kombo.world.integrations[INITECH].refusal = (403, "INTEGRATION.PERMISSION_MISSING")
    cases.append((kombo.client(INITECH), 403, "INTEGRATION.PERMISSION_MISSING"))
    for client, status, code in cases:
        with pytest.raises(KomboRefused) as caught:
            await client.users_by_remote_id("E1", deadline=2)
        assert (caught.value.status, caught.value.kombo_code) == (status, code)


async def test_an_unsupported_filter_finds_nobody_rather_than_everybody(kombo: Simulated) -> None:
    kombo.world.integrations[ACME].unsupported = frozenset({"work_emails"})
    assert await kombo.client().users_by_email("jane.doe@acme.com", deadline=2) == []


async def test_down_and_up_again(kombo: Simulated) -> None:
    client = kombo.client()
    kombo.world.down = True
    with pytest.raises(KomboUnavailable, match="503"):
        await client.users_by_remote_id(JANE.remote_id, deadline=1)
    kombo.world.down = False
    assert len(await client.users_by_remote_id(JANE.remote_id, deadline=1)) == 1
