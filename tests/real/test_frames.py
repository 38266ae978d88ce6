"""A course in a frame of an LMS on another site, and what becomes of its fragment, with and without script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from bridge.simulator import seed
from tests.real.chromium import Tab, chromium, profile, tab
from tests.real.neighbours import Neighbours, neighbours
from tests.support.deployment import Deployment
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

COURSE = "/courses/cybersecurity-101?tenant=acme"


@dataclass(frozen=True)
class Scene:
    """A bridge that keeps fragments; every tenant opens a new tab out of frames."""

    stage: Stage
    browser: Browser
    others: Neighbours

    @property
    def course(self) -> str:
        return self.stage.origin + COURSE

    def logins(self) -> int:
        return sum(1 for line in self.stage.logged() if line["event"] == "learner_signed_in")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with chromium() as browser, neighbours() as others:

        def prepare(deployment: Deployment) -> None:
            deployment.idp_url = others.idp_url

        async with open_stage(tmp_path_factory.mktemp("stage"), prepare=prepare, keep_fragment=True) as stage:
            yield Scene(stage, browser, others)


async def opened(context: BrowserContext, tab_: Tab) -> Page:
    """The tab that the link in the frame opens."""
    async with context.expect_page() as opening:
        await tab_.page.frame_locator("iframe").locator("a").click()
    return await opening.value


async def test_a_course_in_a_frame_opens_in_a_tab_of_its_own(scene: Scene) -> None:
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(scene.others.page_with(f"{scene.course}#slide-3"))
        first = await opened(context, tab_)
        await first.click("text=Continue")
        await first.wait_for_url(f"{scene.course}#slide-3")
        assert dict(scene.stage.received[-1]["headers"])["x-kombo-user"] == seed.JANE.id
        logins = scene.logins()
        await tab_.page.reload()
        await (await opened(context, tab_)).wait_for_url(f"{scene.course}#slide-3")
        assert scene.logins() == logins, "the tab has a session, though the frame is not shown it"
        assert tab_.complaints == []


async def test_without_script_the_tab_opens_without_the_fragment(scene: Scene) -> None:
    # Of the whole browser: a profile's own setting comes too late for a tab that a link opens.
    async with chromium("--blink-settings=scriptEnabled=false") as browser, profile(browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(scene.others.page_with(f"{scene.course}#slide-3"))
        page = await opened(context, tab_)
        await page.wait_for_url(f"{scene.others.idp_url}/**")
        await page.click("text=Continue")
        await page.wait_for_url(scene.course)
        assert dict(scene.stage.received[-1]["headers"])["x-kombo-user"] == seed.JANE.id
