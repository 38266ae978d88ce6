"""The pages that do something by themselves, in a real browser with their policy in force; and without script."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Frame, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bridge.front.refusals import respond
from bridge.front.targets import TARGET_BYTES, next_target
from bridge.pages import Look, Page, Pages
from bridge.simulator.serving import running
from tests.real.chromium import Tab, chromium, profile, tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

pages = Pages(Look(name="Learning Hub"))
HOSTILE = {"SAMLRequest": "PHg+\"'><script>alert(1)</script>&amp;", "RelayState": "a&b=c d+e%20\u00fc", "submit": "x"}
LOGIN = "/_bridge/saml/acme/login"


@dataclass
class Site:
    """An origin of its own: pages of ours at the paths where a test puts them, and whatever was sent to it."""

    origin: str = ""
    shown: dict[str, Page | str] = field(default_factory=dict)
    received: list[tuple[str, str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        path, fields = request.url.path, dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        target = path + (f"?{request.url.query}" if request.url.query else "")
        if path != "/favicon.ico":
            self.received.append((request.method, target, fields, dict(request.headers)))
        if path.startswith("/on"):
            return RedirectResponse("/arrived", 303)
        page = self.shown.get(path, "<!doctype html><title>plain</title><p>A page of this site.")
        return respond(page) if isinstance(page, Page) else HTMLResponse(page)

    def posts(self) -> list[dict[str, str]]:
        return [fields for method, _, fields, _ in self.received if method == "POST"]


@contextlib.asynccontextmanager
async def site(host: str) -> AsyncIterator[Site]:
    found = Site()
    async with running(
        Starlette(routes=[Route("/{rest:path}", found.answer, methods=["GET", "POST"])]), host=host
    ) as at:
        found.origin = at
        yield found


@dataclass
class Scene:
    browser: Browser
    bridge: Site
    elsewhere: Site

    def frame(self, path: str, more: str = "") -> str:
        """Where a page of another site shows one of ours in a frame."""
        self.elsewhere.shown["/lms"] = (
            "<!doctype html><title>LMS</title>"
            f'<iframe src="{self.bridge.origin}{path}" width="700" height="600" {more}></iframe>'
        )
        return f"{self.elsewhere.origin}/lms"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def scene(browser: Browser) -> AsyncIterator[Scene]:
    async with site("127.0.0.1") as bridge, site("localhost") as elsewhere:
        yield Scene(browser, bridge, elsewhere)


def framed(tab_: Tab) -> Frame:
    [frame] = tab_.page.main_frame.child_frames
    return frame


async def test_a_form_sends_itself_to_another_origin_and_follows_where_that_leads(scene: Scene) -> None:
    scene.bridge.shown["/login"] = pages.post_form(action=f"{scene.elsewhere.origin}/on?x=y", fields=HOSTILE)
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.until_at(scene.elsewhere.origin, tab_.page.goto(f"{scene.bridge.origin}/login"))
        assert tab_.page.url == f"{scene.elsewhere.origin}/arrived"
        [(method, target, fields, headers), *_] = scene.elsewhere.received
        assert (method, target, fields) == ("POST", "/on?x=y", HOSTILE)
        assert headers["origin"] == scene.bridge.origin, "IdPs that look at it find us"
        assert tab_.complaints == []


async def test_without_script_a_form_waits_for_its_button(scene: Scene) -> None:
    scene.bridge.shown["/login"] = pages.post_form(action=f"{scene.elsewhere.origin}/on", fields=HOSTILE, language="de")
    async with profile(scene.browser, java_script_enabled=False) as context:
        tab_ = await tab(context)
        await tab_.page.goto(f"{scene.bridge.origin}/login")
        assert scene.elsewhere.received == []
        await tab_.page.keyboard.press("Tab")
        await tab_.until_at(scene.elsewhere.origin, tab_.page.keyboard.press("Enter"))
        assert scene.elsewhere.posts() == [HOSTILE]


async def test_no_script_but_its_own_runs_in_a_page(scene: Scene) -> None:
    page = pages.post_form(action=f"{scene.elsewhere.origin}/on", fields=HOSTILE)
    scene.bridge.shown["/login"] = Page(page.html.replace("</script>", " </script>"), page.headers)
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(f"{scene.bridge.origin}/login")
        await tab_.page.wait_for_timeout(200)
        assert scene.elsewhere.received == []
        assert any("Content Security Policy" in complaint for complaint in tab_.complaints)


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_form_sends_itself_in_a_frame_only_where_it_may_stand_in_one(scene: Scene, allowed: bool) -> None:
    action = f"{scene.elsewhere.origin}/on"
    scene.bridge.shown["/login"] = pages.post_form(action=action, fields={"a": "b"}, framed=allowed)
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(scene.frame("/login"))
        if allowed:
            await framed(tab_).wait_for_url(f"{scene.elsewhere.origin}/arrived")
        await tab_.page.wait_for_timeout(200)
        assert scene.elsewhere.posts() == ([{"a": "b"}] if allowed else [])
        assert (tab_.complaints == []) is allowed


LONG = "y" * (TARGET_BYTES - len("/courses/x?a=b&c=%20#"))
FRAGMENTS = [
    ("", ""),
    ("#", ""),
    ("#slide-3", "#slide-3"),
    ("#/lesson/3?x=1&y=2", "#/lesson/3?x=1&y=2"),
    ("#it's+50%", "#it's+50%"),
    ("#%C3%BC%20x", "#%C3%BC%20x"),
    ("#\u00fc \u2603 \U0001f600", "#%C3%BC%20%E2%98%83%20%F0%9F%98%80"),
    ('#a"b<c>d`e\\f^g|h{i}', "#a%22b%3Cc%3Ed%60e%5Cf^g|h{i}"),
    ("#a#b", "#a%23b"),
    (f"#{LONG}", f"#{LONG}"),
    (f"#{LONG}y", ""),
]


async def test_a_login_takes_the_fragment_along(scene: Scene) -> None:
    login = f"{scene.elsewhere.origin}{LOGIN}?next=%2Fcourses%2Fx%3Fa%3Db%26c%3D%2520"
    scene.bridge.shown["/courses/x"] = pages.keep_fragment(login=login)
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(f"{scene.bridge.origin}/before")
        for there, kept in FRAGMENTS:
            scene.elsewhere.received.clear()
            link = f"{scene.bridge.origin}/courses/x?a=b{there}"
            await tab_.until_at(scene.elsewhere.origin, tab_.page.evaluate("link => location.href = link", link))
            [next] = parse_qs(urlsplit(scene.elsewhere.received[0][1]).query)["next"]
            assert next == "/courses/x?a=b&c=%20" + kept
            assert next_target(next, fragment=True) == next, "the login takes what the script makes"
            await tab_.page.go_back()
            assert tab_.page.url == f"{scene.bridge.origin}/before", "the page is nowhere to go back to"
        assert tab_.complaints == []


async def test_without_script_a_login_goes_on_without_the_fragment(scene: Scene) -> None:
    scene.bridge.shown["/courses/x"] = pages.keep_fragment(login=f"{LOGIN}?next=%2Fcourses%2Fx")
    async with profile(scene.browser, java_script_enabled=False) as context:
        tab_ = await tab(context)
        await tab_.page.goto(f"{scene.bridge.origin}/courses/x#slide-3")
        await tab_.page.wait_for_url("**/login?*")
        assert scene.bridge.received[-1][1] == f"{LOGIN}?next=%2Fcourses%2Fx"


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("attributes", ["", 'sandbox="allow-popups"'], ids=["frame", "sandboxed"])
async def test_a_frame_is_left_for_a_tab_of_its_own(scene: Scene, attributes: str, script: bool) -> None:
    scene.bridge.shown["/courses/x"] = pages.break_out(link="/courses/y?tenant=acme&a=b")
    async with profile(scene.browser, java_script_enabled=script) as context:
        tab_ = await tab(context)
        await tab_.page.goto(scene.frame("/courses/x", attributes))
        frame = tab_.page.frame_locator("iframe")
        await expect(frame.locator(".opened")).to_be_hidden()
        async with context.expect_page() as opening:
            await frame.locator("a").click()
        opened = await opening.value
        await opened.wait_for_load_state()
        assert opened.url == f"{scene.bridge.origin}/courses/y?tenant=acme&a=b"
        said = scene.bridge.received[-1][3]
        assert said["sec-fetch-dest"] == "document"
        if script:
            assert await opened.evaluate("window.opener") is None
        await tab_.page.bring_to_front()
        await tab_.page.mouse.move(0, 0)
        await expect(frame.locator(".opened")).to_be_visible()
        await expect(frame.locator(".unopened")).to_be_hidden()
        assert tab_.complaints == []


async def test_a_frame_is_left_by_keyboard_and_with_the_fragment(scene: Scene) -> None:
    scene.bridge.shown["/courses/x"] = pages.break_out(link="/courses/y?tenant=acme", keep_fragment=True)
    async with profile(scene.browser) as context:
        tab_ = await tab(context)
        await tab_.page.goto(scene.frame("/courses/x#slide-3"))
        link = framed(tab_).locator("a")
        await expect(link).to_be_visible()
        await tab_.page.keyboard.press("Tab")
        await expect(link).to_be_focused()  # in the frame's own process, a moment after the key was pressed
        async with context.expect_page() as opening:
            await tab_.page.keyboard.press("Enter")
        opened = await opening.value
        await opened.wait_for_load_state()
        assert opened.url == f"{scene.bridge.origin}/courses/y?tenant=acme#slide-3"
        assert tab_.complaints == []


SIZES = {"phone": (320, 568), "frame": (560, 320), "screen": (1280, 800)}


@pytest.mark.parametrize("language", ["de", "ja"])
async def test_no_page_is_wider_than_its_window(scene: Scene, language: str) -> None:
    """WCAG 2.2, 1.4.10."""
    made: dict[str, Any] = {
        "/post": pages.post_form(language=language, action=scene.elsewhere.origin, fields={}, purpose="logout"),
        "/keep": pages.keep_fragment(language=language, login="/x"),
        "/break": pages.break_out(language=language, link="/x"),
        "/organizations": pages.organizations(language=language, failed=True),
        "/switch": pages.switch(language=language, current="A" * 40, other="B" * 40, action="/x", stay="/"),
        "/out": pages.logged_out(language=language, sign_in="/", elsewhere=False),
    }
    scene.bridge.shown |= {
        path: Page(page.html.replace("http-equiv", "x"), page.headers) for path, page in made.items()
    }
    async with profile(scene.browser, java_script_enabled=False) as context:
        tab_ = await tab(context)
        for width, height in SIZES.values():
            await tab_.page.set_viewport_size({"width": width, "height": height})
            for path in made:
                await tab_.page.goto(f"{scene.bridge.origin}{path}")
                wide = await tab_.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, width)
