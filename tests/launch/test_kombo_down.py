"""Kombo is away before the bridge is started again and until the end: what was read earlier has to do."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.directory.freshness import MISSED_SYNCS
from bridge.simulator import seed
from tests.support.scene import Scene, claims, scene, until

EVERY, AGED = "1s", MISSED_SYNCS + 0.5
"""Of what is read so often, nothing is fresh that is so many seconds old."""

NUMBER = {"attributes": {"personnel_number": ["00012345"]}}
LAUNCHES: list[tuple[str, seed.Person, str, dict[str, Any], str, str]] = [
    ("acme", seed.JANE, "cybersecurity-101", {}, "name_id", "stale"),
    ("acme", seed.AISHA, "cybersecurity-101", {}, "name_id", "stale"),
    ("acme", seed.HUGO, "lib-focus", {}, "name_id", "library"),
    ("globex", seed.RITA, "code-of-conduct", {}, "attribute", "fresh"),
    ("globex", seed.COMMA, "code-of-conduct", {}, "attribute", "fresh"),
    ("initech", seed.PETER, "data-privacy-basics", {}, "email", "fresh"),
    ("vandelay", seed.KLARA, "data-privacy-basics", NUMBER, "attribute", "fresh"),
]
NOBODY = seed.Person(seed.ACME, "nobody", "No", "Body", "nobody@initech.com")
REFUSED = [
    ("acme", seed.TOM, "data-privacy-basics", "not_enrolled"),
    ("acme", seed.JANE, "no-such-course", "course_unknown"),
    ("acme", seed.MARTIN, "cybersecurity-101", "user_inactive"),
    ("acme", seed.OLGA, "cybersecurity-101", "user_unmatched"),
    ("acme", NOBODY, "lib-focus", "user_unmatched"),
    ("initech", NOBODY, "data-privacy-basics", "user_unmatched"),
    ("strict", seed.JANE, "cybersecurity-101", "user_unknown"),
    ("new", seed.JANE, "cybersecurity-101", "user_unknown"),
    ("new", seed.JANE, "lib-focus", "user_unknown"),
]


def prepared(found: Scene) -> None:
    """`strict` trusts nothing for long."""
    tenants = found.deployment.tenants
    tenants["acme"]["kombo"]["sync_every"] = EVERY
    tenants["acme"]["gate"] = {"default": "assigned", "library": ["lib-*"]}
    tenants["strict"] = another(found, "strict", stale_for="1s")


def another(found: Scene, slug: str, **kombo: str) -> dict[str, Any]:
    acme = found.deployment.tenants["acme"]
    return acme | {"kombo": acme["kombo"] | kombo, "saml": {"metadata": f"{slug}-idp.xml"}}


@asynccontextmanager
async def away(found: Scene, how: str) -> AsyncIterator[None]:
    """It answers with an error, or takes connections and says nothing."""
    await found.kombo.down()
    if how == "silent":
        found.kombo.hang()
    try:
        yield
    finally:
        if how == "silent":
            found.kombo.go_on()
    await found.kombo.down(False)


@pytest.mark.long
@pytest.mark.parametrize(
    ("either_url", "how"), [("sqlite", "errors"), ("postgresql", "silent")], indirect=["either_url"]
)
async def test_while_kombo_is_away(tmp_path: Path, either_url: str, how: str) -> None:
    async with scene(tmp_path, either_url, prepare=prepared) as found:
        found.node.start()
        found.node.wait()
        await found.synced()
        found.node.stop()
        read = time.monotonic()
        async with away(found, how):
            found.deployment.tenants["new"] = another(found, "new", integration_id="workday:of-nobody-yet")
            found.deployment.write()
            found.node.start()
            found.node.wait()
            await asyncio.sleep(read + AGED - time.monotonic())
            await asyncio.gather(*(launched(found, *each) for each in LAUNCHES))
            await asyncio.gather(*(refused(found, *each) for each in REFUSED))
            done = [await completed(found, person, course) for person, course in OPEN * 2]
            assert done[: len(OPEN)] == done[len(OPEN) :], "the same report is the same completion"
        await until(lambda: sent(found), "the completions are sent")
        async with found.node.browser() as browser:
            assert await browser.enters("acme", seed.JANE, "cybersecurity-101") in ("fresh", "stale")
            await until(lambda: fresh(browser), "what is known is fresh again")
        assert Counter(await found.kombo.completions()) == await written(found)
        failed = {str(line["reason"]) for line in found.node.logged("sync_failed")}
        assert not [reason for reason in failed if "another process" in reason], "two tenants share an integration"


OPEN = [(seed.CARLOS, "data-privacy-basics"), (seed.HUGO, "anti-bribery")]
"""Somebody who is enrolled, and somebody who has to be first."""


async def launched(
    found: Scene, tenant: str, person: seed.Person, course: str, asserted: dict[str, Any], match: str, gate: str
) -> None:
    async with found.node.browser() as browser:
        answer = await browser.sign_in(tenant, person, f"/courses/{course}", **asserted)
        assert answer.status_code == 303, (tenant, answer.headers)
        shown = await browser.get(answer.headers["location"])
        assert shown.status_code == 200, (tenant, shown.headers)
        said = claims(shown)
        assert (said["kombo_user"], said["match"], said["gate"]) == (person.id, match, gate), tenant


async def refused(found: Scene, tenant: str, person: seed.Person, course: str, code: str) -> None:
    async with found.node.browser() as browser:
        assert (await browser.enters(tenant, person, course), tenant, course) == (code, tenant, course)


async def completed(found: Scene, person: seed.Person, course: str) -> str:
    answer = await found.node.complete("acme", person, course)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def sent(found: Scene) -> bool:
    return len(await found.kombo.completions()) >= len(OPEN)


async def written(found: Scene) -> Counter[str]:
    """The progressions that should be completed now, by person and course."""
    revisions = {seed.revision_id(seed.ACME, course): person.id for person, course in OPEN}
    rows = await found.kombo.rows("course-progressions")
    ids = [row["id"] for row in rows if revisions.get(row["course_revision"]["id"]) == row["user_id"]]
    assert len(ids) == len(OPEN), "nobody is enrolled twice"
    return Counter(ids)


async def fresh(browser: Any) -> bool:
    return await browser.opens("cybersecurity-101") == "fresh"
