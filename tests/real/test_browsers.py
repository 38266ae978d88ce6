"""What browsers make of logins, on https: tabs, frames, reloads, other people's forms, and cookies.

Test clients know nothing of `SameSite`, partitions and `Sec-Fetch-Dest`; this is Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, FrameLocator, Page

from bridge.simulator import seed
from tests.real.chromium import Tab, chromium, profile, tab
from tests.real.neighbours import Neighbours, neighbours
from tests.real.tls import tls
from tests.support.deployment import Deployment
from tests.support.processes import free_port
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFIX = "__Host-kombo-bridge-"
SESSION = f"{PREFIX}session"
COURSE = "/courses/cybersecurity-101"
FRAMED_COURSE = "/courses/code-of-conduct"


@dataclass(frozen=True)
class Scene:
    """`acme` opens a new tab out of frames, `globex` signs in inside of them."""

    stage: Stage
    browser: Browser
    others: Neighbours

    def link(self, path: str, tenant: str = "acme") -> str:
        return f"{self.stage.origin}{path}{'&' if '?' in path else '?'}tenant={tenant}"

    def visitor(self) -> contextlib.AbstractAsyncContextManager[BrowserContext]:
        self.others.person = seed.JANE
        return profile(self.browser, ignore_https_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder, public = tmp_path_factory.mktemp("stage"), free_port()
    async with chromium() as browser, neighbours() as others:

        def prepare(deployment: Deployment) -> None:
            deployment.idp_url = others.idp_url
            deployment.tenants["globex"]["in_frames"] = "inside"

        async with (
            open_stage(folder, prepare=prepare, public_url=f"https://127.0.0.1:{public}") as stage,
            tls(folder, public, int(stage.deployment.service["listen"].rpartition(":")[2])),
        ):
            yield Scene(stage, browser, others)


async def sign_in(scene: Scene, tab_: Tab, link: str) -> dict[str, str]:
    """A whole login by a deep link; what the platform was told."""
    await tab_.page.goto(link)
    response = await tab_.until_at(scene.stage.origin, tab_.page.click("text=Continue"))
    return dict((await response.json())["headers"])


async def told(page: Page | FrameLocator) -> str:
    """What the platform shows, once it does: the head of the request that it got."""
    body = page.locator("pre")
    await body.wait_for()
    return await body.inner_text()


async def cookies(context: BrowserContext) -> dict[str, Any]:
    return {cookie["name"]: cookie for cookie in await context.cookies() if "kombo-bridge" in cookie["name"]}


async def test_ten_tabs_at_once_answered_in_any_order(scene: Scene) -> None:
    links = [scene.link(f"{COURSE}?tab={number}") for number in range(10)]
    async with scene.visitor() as context:
        tabs = [await tab(context) for _ in links]
        await asyncio.gather(*(tab_.page.goto(link) for tab_, link in zip(tabs, links, strict=True)))
        assert {tab_.page.url.partition("?")[0] for tab_ in tabs} == {f"{scene.others.idp_url}/acme/sso"}
        answered = list(zip(tabs, links, strict=True))
        random.Random(4711).shuffle(answered)
        for tab_, link in answered:
            shown = await tab_.until_at(scene.stage.origin, tab_.page.click("text=Continue"))
            assert (shown.status, tab_.page.url) == (200, link)
            assert seed.JANE.id in await shown.text()
            assert tab_.complaints == []
        under_way = [name for name in await cookies(context) if name.startswith(f"{PREFIX}login-")]
        assert len(under_way) <= 8


async def test_ten_tabs_whose_answers_come_at_the_same_moment(scene: Scene) -> None:
    links = [scene.link(f"{COURSE}?tab={number}") for number in range(10)]
    async with scene.visitor() as context:
        tabs = [await tab(context) for _ in links]

        async def launch(tab_: Tab, link: str) -> None:
            await tab_.page.goto(link)
            shown = await tab_.until_at(scene.stage.origin, tab_.page.click("text=Continue"))
            assert (shown.status, tab_.page.url) == (200, link)

        await asyncio.gather(*(launch(tab_, link) for tab_, link in zip(tabs, links, strict=True)))


async def test_a_frame_that_may_sign_in_does_so_inside(scene: Scene) -> None:
    """The cookies are kept for the LMS's site alone; any others Chromium withholds from frames of other sites here."""
    async with scene.visitor() as context:
        scene.others.person = seed.RITA
        tab_ = await tab(context)
        page, frame = tab_.page, tab_.page.frame_locator("iframe")
        lms = scene.others.page_with(scene.link(FRAMED_COURSE, "globex"))
        await page.goto(lms)
        await frame.locator("text=Continue").click()
        assert seed.RITA.id in await told(frame)
        for cookie in (await cookies(context)).values():
            assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "None"
            assert cookie["partitionKey"] == scene.others.origin("lms").rpartition(":")[0]

        await page.goto(lms)
        assert seed.RITA.id in await told(frame), "the session lives, in this LMS's frames"
        await page.goto(scene.others.page_with(scene.link(FRAMED_COURSE, "globex"), "other-lms"))
        await frame.locator("text=Continue").wait_for()
        await page.goto(scene.link(FRAMED_COURSE, "globex"))
        assert page.url.startswith(scene.others.idp_url), "not in another site's, and not in a tab"


async def test_reload_and_back_lead_to_the_page(scene: Scene) -> None:
    link = scene.link(f"{COURSE}?chapter=2")
    async with scene.visitor() as context:
        tab_ = await tab(context)
        page = tab_.page
        await sign_in(scene, tab_, link)
        again = await page.reload()
        assert again is not None
        assert (again.status, page.url) == (200, link)
        assert len(tab_.posts) == 1, "nothing was sent twice"
        await page.go_back()
        assert page.url.startswith(scene.others.idp_url), "back at the IdP's page, which sends the same answer again"
        shown = await tab_.until_at(scene.stage.origin, page.click("text=Continue"))
        assert (shown.status, page.url) == (200, link)
        assert seed.JANE.id in await shown.text()
        assert tab_.complaints == []


async def trapped(scene: Scene) -> tuple[str, dict[str, str]]:
    """The form by which somebody else's own login would be completed: address and fields."""
    async with scene.visitor() as context:
        scene.others.person = seed.CARLOS
        page = (await tab(context)).page
        await page.goto(scene.link("/my"))
        action = await page.locator("form").get_attribute("action")
        fields = {name: await page.locator(f"[name={name}]").input_value() for name in ("SAMLResponse", "RelayState")}
    scene.others.person = seed.JANE
    assert action is not None
    return action, fields


@pytest.mark.parametrize("keep", [("SAMLResponse", "RelayState"), ("SAMLResponse",)], ids=["all", "without RelayState"])
@pytest.mark.parametrize("target", ["_self", "hidden"])
async def test_somebody_elses_answer_signs_nobody_in(scene: Scene, target: str, keep: tuple[str, ...]) -> None:
    """Login CSRF: whoever learns as somebody else gives that account what they do."""
    action, fields = await trapped(scene)
    async with scene.visitor() as context:
        tab_ = await tab(context)
        trap = scene.others.post_from_evil(action, {name: fields[name] for name in keep}, target)
        async with tab_.page.expect_response(lambda response: response.url == action) as posted:
            await tab_.page.goto(trap)
        assert 300 <= (await posted.value).status < 500
        await tab_.page.wait_for_load_state("load")
        assert SESSION not in await cookies(context)
        told_of = await sign_in(scene, await tab(context), scene.link("/my"))
        assert told_of["x-kombo-user"] == seed.JANE.id


@pytest.mark.parametrize("target", ["_self", "hidden"])
async def test_somebody_elses_answer_replaces_nobodys_session(scene: Scene, target: str) -> None:
    action, fields = await trapped(scene)
    async with scene.visitor() as context:
        tab_ = await tab(context)
        await sign_in(scene, tab_, scene.link("/my"))
        before = (await cookies(context))[SESSION]["value"]
        async with tab_.page.expect_response(lambda response: response.url == action):
            await tab_.page.goto(scene.others.post_from_evil(action, fields, target))
        await tab_.page.wait_for_load_state("load")
        assert (await cookies(context))[SESSION]["value"] == before
        await tab_.page.goto(f"{scene.stage.origin}/my")
        assert seed.JANE.id in await told(tab_.page)


async def test_every_cookie_is_as_documented(scene: Scene) -> None:
    async with scene.visitor() as context:
        tab_ = await tab(context)
        await tab_.page.goto(scene.link(COURSE))
        [login] = (await cookies(context)).values()
        assert login["name"].startswith(f"{PREFIX}login-")
        assert login["sameSite"] == "None", "it has to come with the IdP's form"
        await tab_.until_at(scene.stage.origin, tab_.page.click("text=Continue"))
        found = await cookies(context)
        assert {SESSION, f"{PREFIX}tenant"} <= found.keys()
        for name, cookie in found.items():
            assert name.startswith(PREFIX)
            assert cookie["secure"] and cookie["httpOnly"]
            assert (cookie["path"], cookie["domain"]) == ("/", "127.0.0.1")
            crosses = name.startswith((f"{PREFIX}login-", f"{PREFIX}since"))
            assert cookie["sameSite"] == ("None" if crosses else "Lax"), name
            assert "partitionKey" not in cookie
        assert "kombo-bridge" not in await tab_.page.evaluate("document.cookie")
