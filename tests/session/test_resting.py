"""Sessions whose person nobody can vouch for any more, and those whose person is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.errors import Code, Refusal
from bridge.session.sessions import Sessions, SignIn
from bridge.simulator import seed
from tests.support.deployment import SECRET, Deployment
from tests.support.directories import HOUR, Directory
from tests.support.rooms import Rooms
from tests.support.stage import Browser, Stage, stage


async def test_a_session_rests_while_its_person_is_known_too_long_ago(rooms: Rooms) -> None:
    configuration = rooms.deployment.load()
    tenant = configuration.tenants["acme"]
    await rooms.sync(tenant)
    sessions = Sessions(rooms.store, [SECRET], lambda: configuration)
    cookie = await sessions.open(SignIn(tenant, seed.JANE.id, None, "name_id", 1, None))
    here = Directory(rooms.store, tenant, rooms.live)
    for hours, rests in ((None, False), (71, False), (73, True), (1, False)):
        await here.good(None if hours is None else hours * HOUR)
        sessions.forget_cached()
        entry = await sessions.find(cookie)
        assert entry, "it does not end"
        if rests:
            with pytest.raises(Refusal) as refused:
                entry.confirm()
            assert refused.value.code is Code.USER_UNKNOWN
        else:
            entry.confirm()


async def test_a_session_without_a_person_needs_no_kombo(rooms: Rooms) -> None:
    rooms.deployment.tenants["acme"] |= {"gate": "library", "unmatched": "pass"}
    configuration = rooms.deployment.load()
    tenant = configuration.tenants["acme"]
    await Directory(rooms.store, tenant, rooms.live).good(1000 * HOUR)
    sessions = Sessions(rooms.store, [SECRET], lambda: configuration)
    entry = await sessions.find(await sessions.open(SignIn(tenant, None, "0" * 64, "name_id", 1, None)))
    assert entry
    entry.confirm()


def quickly(deployment: Deployment) -> None:
    """The directory is brought up to date every second, and says nothing after six without."""
    for tenant in deployment.tenants.values():
        tenant["kombo"] |= {"sync_every": "1s", "full_sync_every": "1s", "stale_for": "6s"}


@pytest_asyncio.fixture
async def brisk(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, prepare=quickly) as found:
        yield found


async def answered(browser: Browser, status: int) -> str:
    """Ask for the learner's own page until it is answered so; the refusal's code."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = await browser.get("/my")
        if answer.status_code == status:
            return answer.headers.get("bridge-error", "")
        await asyncio.sleep(0.2)
    raise AssertionError(f"/my was never answered with {status}: {answer.status_code}\n{browser.stage.bridge.text()}")


async def test_who_is_inactive_or_deleted_at_a_sync_is_signed_out(brisk: Stage) -> None:
    async with brisk.browser() as carlos, brisk.browser() as aisha, brisk.browser() as jane:
        for browser, person in ((carlos, seed.CARLOS), (aisha, seed.AISHA), (jane, seed.JANE)):
            assert (await browser.launch("acme", person, "/my")).status_code == 200
        await brisk.control(f"users/{seed.CARLOS.id}", "PATCH", integration=seed.ACME, status="INACTIVE")
        await brisk.control(f"users/{seed.AISHA.id}?integration={seed.ACME}", "DELETE")
        await brisk.control("sync")
        await answered(carlos, 303)
        await answered(aisha, 303)
        assert (await jane.get("/my")).status_code == 200


@pytest.mark.long
async def test_a_session_goes_on_when_kombo_is_back(brisk: Stage) -> None:
    async with brisk.browser() as browser:
        assert (await browser.launch("acme", seed.JANE, "/courses/cybersecurity-101")).status_code == 200
        await brisk.control("down", value=True)
        assert await answered(browser, 503) == "user_unknown"
        assert (await browser.get("/", headers={"Accept": "*/*"})).headers["bridge-error"] == "user_unknown"
        assert (await browser.get("/static/logo.png")).status_code == 200
        await brisk.control("down", value=False)
        await answered(browser, 200)
        assert (await browser.get("/courses/cybersecurity-101")).status_code == 200
