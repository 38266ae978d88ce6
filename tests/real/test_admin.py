"""The admin page in a real browser: signing in, looking around, and what axe makes of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from bridge.simulator.serving import running
from bridge.store.engine import Store, now_ms
from bridge.store.migrate import migrate
from tests.admin.conftest import TOKEN, Inside
from tests.admin.filled import configuration, fill
from tests.real.axe import axe_script, barriers
from tests.real.chromium import Tab, chromium, profile, tab

ONLY_LOOKS = {"runOnly": {"type": "rule", "values": ["color-contrast", "target-size", "link-in-text-block"]}}
pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"narrow": (390, 844), "wide": (1280, 800)}
PATHS = (
    "",
    "/tenants/acme",
    "/tenants/soylent",
    "/tenants/wonka",
    "/launches?limit=8",
    "/outbox",
    "/keys",
    "/refusals",
)


@dataclass
class Scene:
    browser: Browser
    origin: str


async def sign_in(context: BrowserContext, origin: str, path: str = "/admin") -> Tab:
    opened = await tab(context)
    await opened.page.goto(f"{origin}{path}")
    await opened.page.get_by_label("internal_token").fill(TOKEN)
    await opened.page.keyboard.press("Enter")
    await expect(opened.page.get_by_role("button", name="Sign out")).to_be_visible()
    assert opened.page.url == f"{origin}{path}"
    return opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("admin")
    url, now = f"sqlite:///{folder}/bridge.db", now_ms()
    migrate(url)
    with contextlib.closing(Store(url)) as store:
        inside = Inside(store, configuration(folder, now), now)
        await store.write(lambda connection: fill(connection, inside.configuration, now))
        async with chromium() as browser, running(inside.app) as origin:
            yield Scene(browser, origin)


@pytest.mark.parametrize("script", [True, False])
async def test_signing_in_looking_and_leaving(scene: Scene, script: bool) -> None:
    async with profile(scene.browser, java_script_enabled=script) as context:
        opened = await sign_in(context, scene.origin, "/admin/launches?tenant=hooli&outcome=user_unmatched")
        page = opened.page
        [cookie] = await context.cookies()
        assert (cookie["path"], cookie["httpOnly"], cookie["sameSite"]) == ("/admin", True, "Strict")
        launch = page.locator(".launches li").first
        await expect(launch.get_by_role("table")).to_be_hidden()
        await launch.locator("summary").click()
        await expect(launch.get_by_role("table")).to_be_visible()
        words = await launch.locator(".reference").inner_text()
        await page.get_by_label("A launch's reference, three words").fill(words.upper().replace("-", "  "))
        await page.get_by_role("button", name="Find launch").click()
        await page.wait_for_url(f"{scene.origin}/admin/launches/{words}")
        await page.get_by_role("link", name="hooli").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Hooli Learning & Development")
        await page.get_by_role("link", name="user_unmatched", exact=True).first.click()
        await page.wait_for_url(f"{scene.origin}/admin/refusals#user_unmatched")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("internal_token")).to_be_visible()
        assert await context.cookies() == []
        assert opened.complaints == []
        assert opened.origins == {scene.origin}


async def test_a_wrong_token_is_said(scene: Scene) -> None:
    async with profile(scene.browser) as context:
        opened = await tab(context)
        await opened.page.goto(f"{scene.origin}/admin")
        await opened.page.get_by_label("internal_token").fill("guess")
        await opened.page.keyboard.press("Enter")
        await expect(opened.page.get_by_role("alert")).to_contain_text("not the internal_token")


async def test_another_site_can_neither_sign_out_nor_look(scene: Scene) -> None:
    hostile = (
        f'<!doctype html><title>x</title><form method="post" action="{scene.origin}/admin/sign-out"><button>x</button>'
        f'</form><iframe src="{scene.origin}/admin"></iframe>'
    )
    site = Starlette(routes=[Route("/", lambda _: HTMLResponse(hostile))])
    async with running(site, host="localhost") as elsewhere, profile(scene.browser) as context:
        await sign_in(context, scene.origin)
        other = await tab(context)
        await other.page.goto(elsewhere)
        assert "Acme Corporation" not in "".join([await frame.content() for frame in other.page.frames])
        answer = await other.until_at(scene.origin, other.page.get_by_role("button").click())
        assert answer.status == 403
        assert "kombo-bridge-admin" in {cookie["name"] for cookie in await context.cookies()}


async def judged(page: Page, script: str) -> list[str]:
    """All rules once; what depends on colours and the size of the window, in each scheme and size."""
    await page.evaluate(script)
    found = await barriers(page)
    for scheme, (size, (width, height)) in [(scheme, size) for scheme in SCHEMES for size in SIZES.items()]:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": height})
        found += [f"{scheme} {size}: {barrier}" for barrier in await barriers(page, ONLY_LOOKS)]
        wide = await page.evaluate("document.documentElement.scrollWidth")
        found += [f"{size}: {wide} px wide"] if wide > width else []
    return found


@pytest.mark.long
async def test_axe_finds_nothing(scene: Scene) -> None:
    script = axe_script()
    async with profile(scene.browser) as context:
        page = (await tab(context)).page
        await page.goto(f"{scene.origin}/admin")
        assert await judged(page, script) == []
        page = (await sign_in(context, scene.origin)).page
        await page.goto(f"{scene.origin}/admin/launches?outcome=saml_rejected")
        rejected = await page.locator(".launches .reference").first.inner_text()
        found: list[str] = []
        for path in (*PATHS, f"/launches/{rejected}", "/launches/no-such-reference"):
            await page.goto(f"{scene.origin}/admin{path}")
            for summary in (await page.locator(".launches summary").all())[:2]:
                await summary.click()
            found += [f"{path}: {barrier}" for barrier in await judged(page, script)]
        assert found == []
