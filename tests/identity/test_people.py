"""Whom the platform means, where an id alone does not say it. What is simply there or not is asked of the endpoint."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from bridge.directory.live import Live
from bridge.errors import Code, Refusal
from bridge.identity.people import People
from bridge.kombo.model import User
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.store import directory
from bridge.store.engine import now_ms
from tests.support.rooms import Rooms

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def tenant(rooms: Rooms) -> Tenant:
    await rooms.sync(tenant := rooms.deployment.tenant("acme"))
    return tenant


async def known(rooms: Rooms, *statuses: str | None) -> None:
    """People with one remote id between them, `u0` and so on."""
    users = [User(f"u{number}", "shared", MOMENT, status=status) for number, status in enumerate(statuses)]
    await rooms.store.write(lambda connection: directory.save_users(connection, seed.ACME, users, now_ms()))


@pytest.mark.parametrize(
    ("statuses", "found"),
    [
        (("ACTIVE",), "u0"),
        (("INACTIVE",), "u0"),
        (("SUSPENDED",), "u0"),
        (("INACTIVE", "ACTIVE"), "u1"),
        (("INACTIVE", None, "INACTIVE"), "u1"),
    ],
)
async def test_one_person(rooms: Rooms, tenant: Tenant, statuses: tuple[str | None, ...], found: str) -> None:
    await known(rooms, *statuses)
    assert (await People(rooms.store, rooms.live).by_remote_id(tenant, "shared")).id == found


@pytest.mark.parametrize("statuses", [("ACTIVE", None), ("INACTIVE", "INACTIVE"), ("ACTIVE", "INACTIVE", "ACTIVE")])
async def test_more_than_one_is_nobody(rooms: Rooms, tenant: Tenant, statuses: tuple[str | None, ...]) -> None:
    await known(rooms, *statuses)
    people = People(rooms.store, rooms.live)
    with pytest.raises(Refusal) as caught:
        await people.by_remote_id(tenant, "shared")
    assert (caught.value.code, caught.value.status) == (Code.USER_AMBIGUOUS, 409)
    assert (await people.by_id(tenant, "u0")).id == "u0"


async def test_kombo_down_and_somebody_whom_the_directory_lacks(rooms: Rooms, tenant: Tenant) -> None:
    """It may be somebody hired since: a 404 would be the end of what the platform reports."""
    await rooms.control("down", value=True)
    with pytest.raises(Refusal) as caught:
        await People(rooms.store, rooms.live).by_remote_id(tenant, "nobody")
    assert (caught.value.code, caught.value.status) == (Code.USER_UNKNOWN, 503)


async def test_what_kombo_cannot_be_asked_ever_the_directory_says(rooms: Rooms, tenant: Tenant) -> None:
    with pytest.raises(Refusal) as caught:
        await People(rooms.store, rooms.live).by_remote_id(tenant, "no,body")
    assert (caught.value.code, caught.value.status) == (Code.USER_UNMATCHED, 404)


async def test_somebody_hired_today_of_whom_two_processes_hear_at_once(rooms: Rooms, tenant: Tenant) -> None:
    await rooms.control("users", integration=seed.ACME, remote_id="hired", first_name="New", work_email=None)
    slow = {"kind": "slow", "seconds": 0.5, "path": "/v1/lms/users"}
    assert (await rooms.http.post(f"{rooms.origin}/_control/faults", json=slow)).status_code == 200
    processes = [People(rooms.store, Live(rooms.store, rooms.client)) for _ in range(2)]
    answers = await asyncio.gather(
        *(people.by_remote_id(tenant, "hired") for people in processes), return_exceptions=True
    )
    [refused] = [answer for answer in answers if isinstance(answer, Refusal)]
    assert (refused.code, refused.status) == (Code.USER_UNKNOWN, 503)
    assert {(await people.by_remote_id(tenant, "hired")).remote_id for people in processes} == {"hired"}
