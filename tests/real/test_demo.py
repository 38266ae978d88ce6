"""The demo in a real browser, from the start page to the platform's page and to every page of refusal."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Response

from bridge.demo.cast import companies
from bridge.demo.launches import Card, commands, groups
from bridge.errors import Code
from bridge.pages.references import vocabulary
from bridge.pages.texts import catalogues
from bridge.simulator import seed
from tests.real.chromium import Tab, chromium, profile, tab
from tests.real.running_demo import RunningDemo, running_demo
from tests.support.processes import kombo_bridge, started

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARDS = {card.key: card for group in groups() for card in group.cards}
PEOPLE = {(seed.ORGANIZATIONS[person.integration], person.name): person for person in seed.PEOPLE}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@dataclass(frozen=True)
class Scene:
    demo: RunningDemo
    browser: Browser

    async def launch(self, tab: Tab, key: str) -> Response:
        """Click a card of the start page; the answer that ends the launch."""
        await tab.page.goto(self.demo.start)
        return await tab.until_at(self.demo.bridge, tab.page.click(f'a[href="/launch/{key}"]'))

    def deep_link(self, card: Card) -> str:
        slug = card.person.partition("/")[0]
        tenant = f"{'&' if '?' in card.path else '?'}tenant={slug}" if slug else ""
        return f"{self.demo.bridge}{card.path}{tenant}"

    async def become(self, tab: Tab, person: str, path: str) -> Response:
        """Open a deep link as somebody whom the IdP knows already."""
        slug, _, key = person.partition("/")
        url = httpx.URL(f"{self.demo.idp}/{slug}/as/{key}", params={"then": f"{self.demo.bridge}{path}"})
        return await tab.until_at(self.demo.bridge, tab.page.goto(str(url)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with chromium() as browser:
        with running_demo(tmp_path_factory.mktemp("demo")) as demo:
            yield Scene(demo, browser)


def person_of(card: Card) -> seed.Person:
    company = companies()[card.person.partition("/")[0]]
    return PEOPLE[company.name, company.people[card.person.partition("/")[2]].name]


async def received(page: Page) -> dict[str, str]:
    """The identity headers as the platform's page shows them."""
    names = await page.locator(".panel dt code").all_inner_texts()
    values = await page.locator(".panel dd").all_inner_texts()
    return dict(zip(names, values, strict=True))


async def assert_platform(page: Page, person: seed.Person | None) -> dict[str, str]:
    """The platform's page, greeting that person; the headers that it shows."""
    assert "Northlight Academy" in await page.title()
    assert (await page.locator(".badge").inner_text()).startswith("Signature verified")
    who = await page.locator(".who").inner_text()
    told = await received(page)
    if person is None:
        assert who == "Not signed in"
        assert {value for name, value in told.items() if name != "X-Kombo-Assertion"} == {"empty"}
    else:
        assert person.name in who
        assert (told["X-Kombo-User"], told["X-Kombo-Remote-Id"]) == (person.id, person.remote_id)
    return told


async def assert_refused(demo: RunningDemo, page: Page, answer: Response, code: Code) -> None:
    """A page of refusal, whose reference leads to the reason in the log."""
    assert (answer.headers.get("bridge-error"), answer.status) == (code, code.status)
    assert await page.locator("h1").inner_text() == catalogues()["en"](f"refusals.{code}.title")
    reference = await page.locator(".reference strong").inner_text()
    assert len(words := reference.split("-")) == 3
    assert set(words) <= set(vocabulary())
    logged = demo.refusals()[-1]
    assert (logged["reference"], logged["code"]) == (reference, code)
    assert logged["reason"] not in await page.content(), "the reason is the operator's"


@pytest.mark.parametrize("key", CARDS)
async def test_every_card_of_the_start_page(scene: Scene, key: str) -> None:
    card = CARDS[key]
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        answer = await scene.launch(tab_, key)
        if card.expected:
            await assert_refused(scene.demo, tab_.page, answer, card.expected)
        else:
            assert answer.status == 200
            assert answer.headers.get("bridge-error") is None
            assert tab_.page.url == scene.deep_link(card), "the deep link, kept as it was"
            told = await assert_platform(tab_.page, person_of(card) if card.person else None)
            course = re.search(r"/courses/([^/?]+)|[?&]id=([^&]+)", card.path)
            assert told["X-Kombo-Course"] == ((course[1] or course[2]) if course else "empty")
        assert tab_.complaints == []
        assert tab_.origins <= {scene.demo.start, scene.demo.bridge, scene.demo.idp}, "nothing is fetched elsewhere"


async def test_the_way_is_cross_site_and_no_session_travels_with_it(scene: Scene) -> None:
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await scene.launch(tab_, "by-name-id")
        await scene.launch(tab_, "by-attribute")
        assert len(tab_.posts) == 2
        for post in tab_.posts:
            assert (urlsplit(scene.demo.idp).hostname, urlsplit(post.url).hostname) == ("localhost", "127.0.0.1")
            sent = await post.all_headers()
            assert (sent["origin"], sent["sec-fetch-site"]) == (scene.demo.idp, "cross-site")
            assert "kombo-bridge-login-" in sent["cookie"]
            assert "kombo-bridge-session" not in sent["cookie"]
        [session] = [cookie for cookie in await context.cookies() if cookie["name"] == "kombo-bridge-session"]
        assert (session["httpOnly"], session["sameSite"], session["domain"]) == (True, "Lax", "127.0.0.1")
        assert "kombo-bridge" not in await tab_.page.evaluate("document.cookie")


async def test_back_forward_and_reload_after_a_login(scene: Scene) -> None:
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await scene.launch(tab_, "by-name-id")
        await tab_.page.reload()
        await assert_platform(tab_.page, seed.JANE)
        await tab_.page.go_back()
        assert await tab_.page.title() == "kombo-bridge demo", "no page of the login is left to come back to"
        await tab_.page.go_forward()
        await assert_platform(tab_.page, seed.JANE)
        assert tab_.complaints == []


async def test_without_javascript_and_back_to_the_idps_page(scene: Scene) -> None:
    async with profile(scene.browser, java_script_enabled=False) as context:
        tab_ = await tab(context)
        await tab_.page.goto(scene.demo.start)
        await tab_.page.click('a[href="/launch/by-name-id"]')
        await tab_.page.wait_for_url(f"{scene.demo.idp}/**")
        answer = await tab_.until_at(scene.demo.bridge, tab_.page.click("text=Continue"))
        assert answer.status == 200
        await assert_platform(tab_.page, seed.JANE)
        await tab_.page.go_back()
        assert tab_.page.url.startswith(scene.demo.idp)
        again = await tab_.until_at(scene.demo.bridge, tab_.page.click("text=Continue"))
        assert (again.headers.get("bridge-error"), tab_.page.url) == (None, scene.deep_link(CARDS["by-name-id"]))
        await assert_platform(tab_.page, seed.JANE)


async def test_a_course_that_is_finished_reaches_the_lms(scene: Scene) -> None:
    async with profile(scene.browser) as context, httpx.AsyncClient(base_url=scene.demo.kombo) as kombo:
        tab_ = await tab(context)
        await scene.launch(tab_, "by-name-id")
        await tab_.page.click("text=Finish course")
        assert await tab_.page.locator("h1").inner_text() == "Well done, Jane!"
        async with asyncio.timeout(10):
            while not (told := (await kombo.get("/_control/completions")).json()):
                await asyncio.sleep(0.1)
        assert [(each["integration"], each["score"]) for each in told] == [(seed.ACME, None)]
        assert tab_.complaints == []


async def test_choosing_by_hand_who_to_be(scene: Scene) -> None:
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(f"{scene.demo.bridge}/courses/code-of-conduct?tenant=globex")
        assert tab_.page.url.startswith(scene.demo.idp)
        answer = await tab_.until_at(scene.demo.bridge, tab_.page.click("button[value=rita]"))
        assert answer.status == 200
        await assert_platform(tab_.page, seed.RITA)
        assert tab_.complaints == []


async def test_which_organisation_then_signed_out_and_in_again(scene: Scene) -> None:
    """The forms of our own pages lead on to the IdP's host, which a Content-Security-Policy could stop."""
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        page = tab_.page
        await page.goto(f"{scene.demo.bridge}/my")
        assert "/_bridge/organizations" in page.url
        await page.fill("#email", "somebody@nowhere.example")
        answer = await tab_.until_at(scene.demo.bridge, page.keyboard.press("Enter"))
        assert (answer.status, answer.headers["bridge-error"]) == (404, "tenant_unknown")
        await page.fill("#email", "somebody@initech.com")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{scene.demo.idp}/**")
        await tab_.until_at(scene.demo.bridge, page.click("button[value=milton]"))
        assert page.url == f"{scene.demo.bridge}/my"
        await assert_platform(page, seed.MILTON)
        await page.click("text=Sign out")
        assert "kombo-bridge-session" not in {cookie["name"] for cookie in await context.cookies()}
        await page.goto(f"{scene.demo.idp}/initech/sign-out")
        await page.goto(f"{scene.demo.bridge}/my")
        assert page.url.startswith(f"{scene.demo.idp}/initech/"), "the last organisation is remembered"
        assert tab_.complaints == []


async def test_switching_the_organisation_takes_a_click(scene: Scene) -> None:
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        page = tab_.page
        await scene.become(tab_, "acme/jane", "/my?tenant=acme")
        await page.goto(f"{scene.demo.bridge}/courses/code-of-conduct?tenant=globex")
        assert "Globex" in await page.locator("main").inner_text()
        await page.goto(f"{scene.demo.bridge}/my")
        await assert_platform(page, seed.JANE)
        await page.goto(f"{scene.demo.bridge}/courses/code-of-conduct?tenant=globex")
        await page.click("button[type=submit]")
        await page.wait_for_url(f"{scene.demo.idp}/globex/**")
        await tab_.until_at(scene.demo.bridge, page.click("button[value=rita]"))
        assert page.url == f"{scene.demo.bridge}/courses/code-of-conduct?tenant=globex"
        await assert_platform(page, seed.RITA)
        assert tab_.complaints == []


async def test_headers_that_the_browser_claims_do_not_arrive(scene: Scene) -> None:
    claimed = {"X-Kombo-User": "somebody", "x-kombo-tenant": "umbrella", "X-Kombo-Made-Up": "1"}
    async with profile(scene.browser, extra_http_headers=claimed) as context:
        tab_ = await tab(context)
        await scene.launch(tab_, "anonymous")
        await assert_platform(tab_.page, None)
        await scene.launch(tab_, "by-name-id")
        await assert_platform(tab_.page, seed.JANE)
        for path in ("/my", "/courses/cybersecurity-101", "/"):
            answer = await tab_.page.goto(f"{scene.demo.bridge}{path}?format=json")
            assert answer is not None
            told = [(name, value) for name, value in (await answer.json())["headers"] if name.startswith("x-kombo-")]
            assert len(dict(told)) == len(told), path
            assert (dict(told)["x-kombo-user"], dict(told)["x-kombo-tenant"]) == (seed.JANE.id, "acme"), path
            assert "x-kombo-made-up" not in dict(told), path


async def test_a_claim_in_another_spelling_is_refused(scene: Scene) -> None:
    async with profile(scene.browser, extra_http_headers={"X_Kombo_User": "somebody"}) as context:
        tab_ = await tab(context)
        answer = await tab_.until_at(scene.demo.bridge, tab_.page.goto(f"{scene.demo.bridge}/"))
        await assert_refused(scene.demo, tab_.page, answer, Code.HEADERS_AMBIGUOUS)


@pytest.mark.parametrize("order", ["first to last", "last to first"])
async def test_logins_in_several_tabs_do_not_get_in_each_others_way(scene: Scene, order: str) -> None:
    """Without script, so that every tab waits at the IdP until somebody clicks."""
    paths = ["/courses/data-privacy-basics?tenant=acme&tab=0", "/courses/code-of-conduct?tab=1&tenant=acme"]
    async with profile(scene.browser, java_script_enabled=False) as context:
        first, second = await tab(context), await tab(context)
        them = url_at_idp(scene, "acme/carlos", paths[0]), f"{scene.demo.bridge}{paths[1]}"
        await first.page.goto(them[0])
        await second.page.goto(them[1])
        waiting = [(first, paths[0]), (second, paths[1])]
        for tab_, path in waiting if order == "first to last" else reversed(waiting):
            assert tab_.page.url.startswith(scene.demo.idp)
            answer = await tab_.until_at(scene.demo.bridge, tab_.page.click("text=Continue"))
            assert (answer.status, tab_.page.url) == (200, f"{scene.demo.bridge}{path}")
            await assert_platform(tab_.page, seed.CARLOS)


async def test_two_tabs_at_the_same_moment(scene: Scene) -> None:
    paths = ["/courses/data-privacy-basics?tenant=acme", "/courses/code-of-conduct?tenant=acme"]
    async with profile(scene.browser) as context:
        tabs = [await tab(context), await tab(context)]
        await tabs[0].page.goto(url_at_idp(scene, "acme/carlos", "/static/icon.svg"))
        await asyncio.gather(
            *(
                tab_.until_at(scene.demo.bridge, tab_.page.goto(f"{scene.demo.bridge}{path}"))
                for tab_, path in zip(tabs, paths, strict=True)
            )
        )
        for tab_, path in zip(tabs, paths, strict=True):
            assert tab_.page.url == f"{scene.demo.bridge}{path}"
            await assert_platform(tab_.page, seed.CARLOS)
            await tab_.page.reload()
            await assert_platform(tab_.page, seed.CARLOS)


async def test_on_a_phone_nothing_is_wider_than_the_screen(scene: Scene) -> None:
    async with profile(scene.browser, **PHONE) as context:
        tab_ = await tab(context)
        page = tab_.page
        wide: dict[str, int] = {}

        async def measure(name: str) -> None:
            width: int = await page.evaluate("document.documentElement.scrollWidth")
            if width > PHONE["viewport"]["width"]:
                wide[name] = width

        await page.goto(scene.demo.start)
        await measure("the start page")
        await page.goto(f"{scene.demo.bridge}/my")
        await measure("which organisation?")
        await page.goto(f"{scene.demo.bridge}/my?tenant=acme")
        await measure("the IdP's choice")
        for key in ("by-name-id", "anonymous", "in-progress", "not-enrolled", "forged", "no-tenant"):
            await scene.launch(tab_, key)
            await measure(key)
        await page.goto(f"{scene.demo.bridge}/_bridge/logout")
        await measure("signed out")
        assert wide == {}
        assert tab_.complaints == []


@pytest.mark.long
async def test_a_refused_course_opens_by_itself_once_it_is_assigned(scene: Scene, tmp_path: Path) -> None:
    """Last, because from here on the course is assigned to Hugo."""
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        answer = await scene.launch(tab_, "not-enrolled")
        await assert_refused(scene.demo, tab_.page, answer, Code.NOT_ENROLLED)
        assert "looks again by itself" in await tab_.page.locator("[role=status]").inner_text()
        [line] = [c.line for c in commands(bridge="", kombo=scene.demo.kombo) if c.title == "Assign the course to Hugo"]
        _, _, url, _, header, _, data = shlex.split(line.replace("\\\n", ""))
        name, _, value = header.partition(": ")
        assigned = httpx.post(url, content=data, headers={name: value}, trust_env=False)
        assert assigned.status_code == 201, assigned.text
        # Kombo is not asked again within a minute of its no; a sync that comes in between says yes at the first look.
        command = kombo_bridge("sync", "--config", scene.demo.log.with_name("bridge.yaml"), "--tenant", "acme")
        with started(command, tmp_path / "sync.log") as sync:
            assert await asyncio.to_thread(sync.process.wait, 15) == 0, sync.text()
        opened = await tab_.until_at(scene.demo.bridge, asyncio.sleep(0), patience_ms=30_000)
        assert opened.status == 200
        assert tab_.page.url == scene.deep_link(CARDS["not-enrolled"])
        told = await assert_platform(tab_.page, seed.HUGO)
        assert told["X-Kombo-Enrollment"] == "ENROLLED"
        assert tab_.complaints == []


def url_at_idp(scene: Scene, person: str, path: str) -> str:
    """Where the IdP signs somebody in beforehand and leads on to the bridge."""
    slug, _, key = person.partition("/")
    return str(httpx.URL(f"{scene.demo.idp}/{slug}/as/{key}", params={"then": f"{scene.demo.bridge}{path}"}))
