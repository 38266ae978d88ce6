"""The part of a deep link after `#`, which never reaches a server, through a login in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from bridge.simulator import seed
from tests.real.chromium import chromium, profile, tab
from tests.real.neighbours import Neighbours, neighbours
from tests.support.deployment import Deployment
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Scene:
    stage: Stage
    browser: Browser
    others: Neighbours


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with chromium() as browser, neighbours() as others:

        def prepare(deployment: Deployment) -> None:
            deployment.idp_url = others.idp_url

        folder = tmp_path_factory.mktemp("stage")
        async with open_stage(folder, prepare=prepare, keep_fragment=True) as stage:
            yield Scene(stage, browser, others)


@pytest.mark.parametrize(
    "fragment", ["", "#!/unit/3?x=1&y=2", "#%C3%A9%20%23", "#a%2Fb=</script><b>", "#//evil.example/"]
)
async def test_the_fragment_of_a_deep_link_survives(scene: Scene, fragment: str) -> None:
    link = f"{scene.stage.origin}/courses/cybersecurity-101?chapter=2&tenant=acme"
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(link + fragment)
        await tab_.page.wait_for_url(f"{scene.others.idp_url}/**")
        await tab_.until_at(scene.stage.origin, tab_.page.click("text=Continue"))
        await tab_.page.goto("about:blank")
        await tab_.page.go_back()
        assert await tab_.page.evaluate("location.hash") == await as_the_browser_writes(tab_.page, fragment)
        assert tab_.page.url.partition("#")[0] == link
        assert seed.JANE.id in await tab_.page.locator("pre").inner_text()
        assert tab_.complaints == []


async def as_the_browser_writes(page: Page, fragment: str) -> str:
    """Some characters of a fragment a browser encodes by itself."""
    written: str = await page.evaluate("fragment => new URL(fragment, 'http://x/').hash", fragment)
    return written
