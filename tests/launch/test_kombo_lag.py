"""What happens at the LMS and shows at Kombo later: the page that waits, the webhook that says so, and what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bridge.simulator import seed
from tests.support.scene import Scene, Visitor, scene, until

SECRET = "the-secret-of-kombos-webhooks"
LATER, NEVER = "anti-bribery", "ergonomics"


def only_acme(found: Scene, **kombo: str) -> None:
    tenants = found.deployment.tenants
    found.deployment.tenants = {"acme": tenants["acme"]}
    found.deployment.tenants["acme"]["kombo"] |= kombo


def hasty(found: Scene) -> None:
    only_acme(found, sync_every="1s")


def impatient(found: Scene) -> None:
    """Whoever has waited for a second has waited for too long."""
    only_acme(found, miss_window="1s")
    found.deployment.write()


def told(found: Scene) -> None:
    """What is read in a test was wanted by a webhook."""
    only_acme(found, sync_every="1h", webhook_secret=SECRET)


async def started(found: Scene) -> None:
    found.node.start()
    found.node.wait()
    await found.synced()


async def with_lag(found: Scene) -> None:
    await found.kombo.control(f"integrations/{seed.ACME}", "PATCH", lag=True)


async def with_webhooks(found: Scene) -> None:
    url = f"{found.deployment.public_url}/_bridge/webhooks/kombo"
    await found.kombo.control("webhooks", "PATCH", url=url, secret=SECRET)


async def sync(found: Scene) -> None:
    """Kombo reads the LMS."""
    await found.kombo.control("sync", integration=seed.ACME, type="DELTA")


async def misses(found: Scene) -> dict[str, dict[str, Any]]:
    """By course."""
    said = json.loads(await found.command("launches", "misses", "--tenant", "acme", "--json"))
    return {miss["course"]: miss for miss in said["misses"]}


async def kind(found: Scene, course: str) -> object:
    return (await misses(found)).get(course, {}).get("kind")


async def opens(browser: Visitor, course: str) -> bool:
    return await browser.opens(course) in ("fresh", "stale")


async def test_an_assignment_that_shows_only_after_the_next_sync(tmp_path: Path, either_url: str) -> None:
    async with scene(tmp_path, either_url, prepare=hasty) as found, found.node.browser() as browser:
        await started(found)
        await with_lag(found)
        assert await browser.enters("acme", seed.HUGO, LATER) == "not_enrolled"
        page = await browser.get(f"/courses/{LATER}")
        assert page.status_code == 403
        assert int(page.headers["retry-after"]) > 0, "the page looks again by itself"
        assert 'role="status"' in page.text
        assert "<script" in page.text
        await found.kombo.enroll(seed.HUGO, LATER)
        assert await browser.opens(LATER) == "not_enrolled", "Kombo does not know of it yet"
        assert await browser.opens(NEVER) == "not_enrolled"
        await until(lambda: is_noted(found), "the refusals are remembered")
        await sync(found)
        await until(lambda: opens(browser, LATER), "the course opens")
        await until(lambda: settled(found, LATER), "what it was is known")
        assert await kind(found, NEVER) == "open"
        impatient(found)
        await until(lambda: settled(found, NEVER), "time is over for the other one")
        known = await misses(found)
        assert known[LATER]["kind"] == "sync_delay"
        assert known[LATER]["lag_seconds"] > 0
        assert (known[NEVER]["kind"], known[NEVER]["lag_seconds"]) == ("unauthorized", None)
        assert known[LATER]["user"] == seed.HUGO.id


async def is_noted(found: Scene) -> bool:
    return {LATER, NEVER} <= (await misses(found)).keys()


async def settled(found: Scene, course: str) -> bool:
    return await kind(found, course) not in (None, "open")


async def test_a_webhook_is_heard_long_before_the_next_reading(tmp_path: Path, either_url: str) -> None:
    async with scene(tmp_path, either_url, prepare=told) as found, found.node.browser() as hugo:
        await started(found)
        await with_lag(found)
        await with_webhooks(found)
        assert await hugo.enters("acme", seed.HUGO, LATER) == "not_enrolled"
        await found.kombo.enroll(seed.HUGO, LATER)
        assert await hugo.opens(LATER) == "not_enrolled"
        await sync(found)
        await until(lambda: opens(hugo, LATER), "the course opens")
        await until(lambda: settled(found, LATER), "what it was is known")
        assert await kind(found, LATER) == "sync_delay"

        async with found.node.browser() as jane, found.node.browser() as again:
            assert await jane.enters("acme", seed.JANE, "cybersecurity-101") == "fresh"
            await found.kombo.patch(seed.JANE, status="INACTIVE")
            await sync(found)
            await until(lambda: is_out(jane), "her session ends")
            assert await again.enters("acme", seed.JANE, "cybersecurity-101") == "user_inactive"
        assert {line["outcome"] for line in found.node.logged("webhook")} == {"taken"}


async def is_out(browser: Visitor) -> bool:
    return (await browser.get("/my")).status_code == 303
