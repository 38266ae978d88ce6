"""An integration that Kombo does not sync any more: what is known counts for a while, for yes and no alike."""

from __future__ import annotations

from pathlib import Path

from bridge.simulator import seed
from tests.support.scene import Scene, Visitor, scene, until

UNKNOWN = ("user_unknown", "enrollment_unknown")
"""What is too old to say who somebody is, and what they are enrolled in, is so at the same moment."""
COURSE, CLOSED = "cybersecurity-101", "ergonomics"


def prepared(found: Scene) -> None:
    """Two customers whose integrations come to the same end. INVALID means that nothing was read for three days (72 h).

    One of them lets ten seconds more pass.
    """
    acme, globex = (found.deployment.tenants[slug] for slug in ("acme", "globex"))
    found.deployment.tenants = {"acme": acme, "globex": globex}
    for tenant, stale_for in ((acme, "259210s"), (globex, "30d")):
        tenant["kombo"] |= {"sync_every": "1s", "stale_for": stale_for}


async def becomes(found: Scene, status: str) -> None:
    for integration in (seed.ACME, seed.GLOBEX):
        await found.kombo.control(f"integrations/{integration}", "PATCH", status=status)


async def test_an_invalid_integration_goes_stale_and_then_is_not_known(tmp_path: Path, either_url: str) -> None:
    async with (
        scene(tmp_path, either_url, prepare=prepared) as found,
        found.node.browser() as jane,
        found.node.browser() as rita,
        found.node.browser() as later,
    ):
        found.node.start()
        found.node.wait()
        await found.synced()
        assert await jane.enters("acme", seed.JANE, COURSE) == "fresh"
        assert await rita.enters("globex", seed.RITA, "code-of-conduct") == "fresh"
        await becomes(found, "INVALID")
        await until(lambda: says(jane, COURSE, "stale"), "what is known is three days old")
        await until(lambda: says(jane, COURSE, *UNKNOWN), "it is too old, for a session as well")
        assert await jane.opens(CLOSED) in UNKNOWN, "a no is as old as a yes"
        assert await later.enters("acme", seed.JANE, COURSE) == "user_unknown"
        assert await rita.opens("code-of-conduct") == "stale"
        assert await rita.opens(CLOSED) == "not_enrolled"
        await becomes(found, "ACTIVE")
        await until(lambda: says(jane, COURSE, "fresh"), "it is connected again")
        await until(lambda: says(rita, "code-of-conduct", "fresh"))
        assert await later.enters("acme", seed.JANE, COURSE) in ("fresh", "stale")
        assert await jane.opens(CLOSED) == "not_enrolled"


async def says(browser: Visitor, course: str, *wanted: str) -> bool:
    return await browser.opens(course) in wanted
