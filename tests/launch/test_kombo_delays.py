"""What shows at Kombo late, or not any more: the page that waits, the webhook that says so, and what was known last.

Each customer is another kind of late: Acme's LMS is read by Kombo now and then, and Kombo by us all the time; of Globex
nothing is read unless a webhook says so; and Kombo loses touch with Initech's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from bridge.simulator import seed
from bridge.store import misses
from tests.support.scene import Scene, Visitor, scene, until
from tests.support.states import postgresql_state

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

SECRET = "the-secret-of-kombos-webhooks"
LATER, NEVER = "anti-bribery", "ergonomics"
UNKNOWN = ("user_unknown", "enrollment_unknown")
"""What is too old to say who somebody is, and what they are enrolled in, is so at the same moment."""


def prepared(found: Scene) -> None:
    tenants = found.deployment.tenants
    del tenants["vandelay"]
    tenants["acme"]["kombo"] |= {"sync_every": "1s"}
    tenants["globex"]["kombo"] |= {"sync_every": "12h", "webhook_secret": SECRET}
    tenants["initech"]["kombo"] |= {"sync_every": "1s", "stale_for": "30d"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('state')}/bridge.db"
    else:
        with postgresql_state(request.getfixturevalue("postgresql_server")) as url:
            yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found(state: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("scene"), state, prepare=prepared) as made:
        made.node.start()
        made.node.wait()
        await made.synced()
        for integration in (seed.ACME, seed.GLOBEX):
            await made.kombo.control(f"integrations/{integration}", "PATCH", lag=True)
        url = f"{made.deployment.public_url}/_bridge/webhooks/kombo"
        await made.kombo.control("webhooks", "PATCH", url=url, secret=SECRET)
        yield made


def now_says(found: Scene, slug: str, **kombo: str) -> None:
    """The tenant's file is changed; the bridge notices."""
    found.deployment.tenants[slug]["kombo"] |= kombo
    found.deployment.write()


async def are(found: Scene, slug: str, **kinds: str) -> bool:
    """What each refusal is taken for by now, by course."""
    rows = await found.store.read(lambda connection: misses.recent(connection, slug, 10))
    known = {row.course: row.kind for row in rows}
    return all(known.get(course.replace("_", "-")) == kind for course, kind in kinds.items())


async def says(browser: Visitor, course: str, *wanted: str) -> bool:
    return await browser.opens(course) in wanted


async def is_out(browser: Visitor) -> bool:
    return (await browser.get("/my")).status_code == 303


async def test_an_assignment_that_shows_only_after_the_next_sync(found: Scene) -> None:
    async with found.node.browser() as browser:
        assert await browser.enters("acme", seed.HUGO, LATER) == "not_enrolled"
        page = await browser.get(f"/courses/{LATER}")
        assert page.status_code == 403
        assert int(page.headers["retry-after"]) > 0
        assert 'role="status"' in page.text, "what comes of looking again is announced"
        assert "<script" in page.text
        await found.kombo.enroll(seed.HUGO, LATER)
        assert await browser.opens(LATER) == "not_enrolled", "Kombo does not know of it yet"
        assert await browser.opens(NEVER) == "not_enrolled"
        await until(lambda: are(found, "acme", anti_bribery="open", ergonomics="open"), "the refusals are remembered")
        await found.kombo.control("sync", integration=seed.ACME, type="DELTA")
        await until(lambda: says(browser, LATER, "fresh", "stale"), "the course opens")
        await until(lambda: are(found, "acme", anti_bribery="sync_delay"), "it is known what that was")
        assert await are(found, "acme", ergonomics="open")
        now_says(found, "acme", miss_window="1s")
        await until(lambda: are(found, "acme", ergonomics="unauthorized"), "time is over for the other one")
        said = json.loads(await found.command("launches", "misses", "--tenant", "acme", "--json"))
        known = {miss["course"]: miss for miss in said["misses"]}
        assert {course: miss["kind"] for course, miss in known.items()} == {LATER: "sync_delay", NEVER: "unauthorized"}
        assert known[LATER]["lag_seconds"] > 0
        assert known[NEVER]["lag_seconds"] is None
        assert {miss["user"] for miss in known.values()} == {seed.HUGO.id}


async def test_a_webhook_is_heard_long_before_the_next_reading(found: Scene) -> None:
    async with found.node.browser() as rita, found.node.browser() as otto, found.node.browser() as again:
        assert await rita.enters("globex", seed.RITA, LATER) == "not_enrolled"
        assert await otto.enters("globex", seed.SLASH, "code-of-conduct") == "fresh"
        await found.kombo.enroll(seed.RITA, LATER)
        await found.kombo.patch(seed.SLASH, status="INACTIVE")
        assert await rita.opens(LATER) == "not_enrolled"
        await found.kombo.control("sync", integration=seed.GLOBEX, type="DELTA")
        await until(lambda: says(rita, LATER, "fresh"), "the course opens")
        await until(lambda: is_out(otto), "who has left is out")
        assert await again.enters("globex", seed.SLASH, "code-of-conduct") == "user_inactive"
        await until(lambda: are(found, "globex", anti_bribery="sync_delay"), "it is known what that was")
        heard = [line for line in found.node.logged("webhook_received") if line["integration"] == seed.GLOBEX]
        assert {line["outcome"] for line in heard} == {"taken"}


async def test_an_integration_that_becomes_invalid_goes_stale_and_then_is_not_known(found: Scene) -> None:
    """INVALID means that nothing was read for three days: not too long ago at first, and then by the tenant's file."""
    course, closed = "data-privacy-basics", "lib-focus"
    async with found.node.browser() as peter, found.node.browser() as later:
        assert await peter.enters("initech", seed.PETER, course) in ("fresh", "stale")
        await found.kombo.control(f"integrations/{seed.INITECH}", "PATCH", status="INVALID")
        await until(lambda: knows(found, "INVALID"), "Kombo has said so")
        await until(lambda: says(peter, course, "stale"))
        assert await peter.opens(closed) == "not_enrolled"
        now_says(found, "initech", stale_for="72h")
        await until(lambda: says(peter, course, *UNKNOWN), "it is too old, for a session as well")
        assert await peter.opens(closed) in UNKNOWN, "a no is as old as a yes"
        assert await later.enters("initech", seed.PETER, course) == "user_unknown"
        await found.kombo.control(f"integrations/{seed.INITECH}", "PATCH", status="ACTIVE")
        await until(lambda: says(peter, course, "fresh"), "it is connected again")
        assert await peter.opens(closed) == "not_enrolled"
        assert await later.enters("initech", seed.PETER, course) in ("fresh", "stale")


async def knows(found: Scene, state: str) -> bool:
    return found.node.logged("integration_state_changed")[-1]["state"] == state
