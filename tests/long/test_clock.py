"""The machine's clock is moved while the bridge runs: nobody is lost, nothing is missed, nothing waits for a day."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.simulator import seed
from tests.support.clock import Clock
from tests.support.stage import Browser, Stage, stage

TOKEN = "a-token-of-the-tests-long-enough-to-be-one"
COURSE = "/courses/cybersecurity-101/start"
LATER_COURSE = "anti-bribery"


@asynccontextmanager
async def moving(folder: Path) -> Any:
    """A stage whose bridge lives by a clock that the test moves, and reads changes every two seconds."""
    clock = Clock(folder)
    hasty = {"sync_every": "2s", "full_sync_every": "8s"}

    def quickly(deployment: Any) -> None:
        for tenant in deployment.tenants.values():
            tenant["kombo"] |= hasty

    async with stage(folder, prepare=quickly, env=clock.env, internal_token=TOKEN) as found:
        yield found, clock


async def soon(what: Callable[[], Awaitable[bool]]) -> None:
    """Until it is so; a machine that is busy with other things may let a request wait too long."""
    async with asyncio.timeout(90):
        while True:
            with contextlib.suppress(httpx.TimeoutException):
                if await what():
                    return
            await asyncio.sleep(0.2)


async def launches(browser: Browser, clock: Clock, person: seed.Person) -> int:
    """Sign in anew, as the IdP does whose clock is right with the bridge's."""
    answer = await browser.sign_in("acme", person, COURSE, now=clock.now())
    assert answer.status_code == 303, answer.text
    return (await browser.get(answer.headers["location"])).status_code


async def sees(browser: Browser, path: str) -> int:
    return (await browser.get(path)).status_code


async def complete(found: Stage, person: seed.Person, course: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{found.internal}/completions",
            json={"tenant": "acme", "user": person.id, "course": course},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1), timedelta(hours=-2)], ids=str)
async def test_after_the_clock_was_moved_everything_goes_on(tmp_path: Path, jump: timedelta) -> None:
    async with moving(tmp_path) as (found, clock), found.browser() as before, found.browser() as after:
        acme = found.world.integrations[seed.ACME]
        assert await launches(before, clock, seed.JANE) == 200
        clock.move(jump)
        if jump < timedelta():
            assert await sees(before, COURSE) == 200
        assert await launches(after, clock, seed.JANE) == 200

        assert await sees(after, f"/courses/{LATER_COURSE}/start") == 403
        acme.enroll(seed.JANE.id, seed.revision_id(seed.ACME, LATER_COURSE))
        await soon(lambda: _is(sees(after, f"/courses/{LATER_COURSE}/start"), 200))

        await complete(found, seed.JANE, LATER_COURSE)
        await soon(lambda: _true(len(found.world.completions) == 1))

        acme.patch(acme.users, seed.AISHA.id, status="INACTIVE")
        acme.remove(acme.users, seed.CARLOS.id)
        for person in (seed.AISHA, seed.CARLOS):
            await soon(lambda person=person: _refused(found, clock, person))
        assert await sees(after, COURSE) == 200, "who was not deleted is still there after full readings"


async def _is(got: Awaitable[int], wanted: int) -> bool:
    return await got == wanted


async def _true(value: bool) -> bool:
    return value


async def _refused(found: Stage, clock: Clock, person: seed.Person) -> bool:
    async with found.browser() as browser:
        answer = await browser.sign_in("acme", person, COURSE, now=clock.now())
        return answer.status_code == 403 and answer.headers["bridge-error"] in ("user_inactive", "user_unmatched")
