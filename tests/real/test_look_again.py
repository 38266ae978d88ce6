"""The page of a course that is not open yet, in a real browser: it looks again, says so, and goes on to the course."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bridge.errors import Code
from bridge.front.refusals import respond
from bridge.pages import Pages
from bridge.simulator.serving import running
from tests.real.chromium import Tab, chromium, profile, tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINK = "/courses/x?tenant=acme#slide-3"
NOT_YET = {"Bridge-Error": Code.NOT_ENROLLED, "Retry-After": "45"}


@dataclass
class Course:
    """A course behind the gate. `says` are the answers to looks, in order; with the last one the gate is open."""

    says: list[Response] = field(default_factory=list)
    looks: list[dict[str, str]] = field(default_factory=list)
    loads: int = 0
    origin: str = ""
    language: str = "en"

    async def answer(self, request: Request) -> Response:
        if request.method == "HEAD":
            self.looks.append({"query": request.url.query, **request.headers})
            return self.says.pop(0)
        self.loads += 1
        if self.says:
            page = Pages().refusal(Code.NOT_ENROLLED, reference="a-b-c", language=self.language, look_again_after=20)
            return respond(page, 403, [("Bridge-Error", Code.NOT_ENROLLED)])
        return HTMLResponse("<!doctype html><title>open</title><p>The course.")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def course() -> AsyncIterator[Course]:
    found = Course()
    async with running(Starlette(routes=[Route("/courses/x", found.answer, methods=["GET"])])) as found.origin:
        yield found


async def said(tab_: Tab) -> str:
    return await tab_.page.get_by_role("status").inner_text()


async def test_it_looks_again_aloud_and_goes_on_when_the_gate_is_open(browser: Browser, course: Course) -> None:
    course.says = [Response(None, 403, NOT_YET), Response(None, 403, NOT_YET | {"Retry-After": "300"}), Response()]
    async with profile(browser) as context:
        tab_ = await tab(context)
        await tab_.page.clock.install()
        await tab_.page.goto(course.origin + LINK)
        status = tab_.page.get_by_role("status")
        await expect(status).to_have_text("This page looks again by itself in 20 seconds.")
        await tab_.page.evaluate(
            "document.querySelector('[role=status]').dataset.same = 'the element that is read out'"
        )
        await tab_.page.clock.run_for(19_000)
        assert course.looks == []
        await tab_.page.clock.run_for(1_000)
        await expect(status).to_contain_text("not open yet. The next look is in 45 seconds.")
        await tab_.page.clock.run_for(45_000)
        await expect(status).to_contain_text("not open yet. The next look is in 5 minutes.")
        assert await status.get_attribute("data-same"), "a new one would not be read out"
        assert course.loads == 1, "the page stays where it is, and so does the reader"
        await tab_.page.clock.run_for(300_000)
        await expect(tab_.page).to_have_title("open")
        assert tab_.page.url == course.origin + LINK
        assert [(look["query"], look["sec-fetch-dest"]) for look in course.looks] == [("tenant=acme", "empty")] * 3
        assert not [line for line in tab_.complaints if "Security Policy" in line or line.startswith("script")]


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        (Response(None, 503, {"Bridge-Error": Code.ENROLLMENT_UNKNOWN}), True),
        (Response(None, 502), True),
        (Response(None, 401, {"Bridge-Error": Code.LOGIN_REQUIRED}), False),
        (Response(None, 404, {"Bridge-Error": Code.COURSE_UNKNOWN}), False),
        (Response(None, 405), False),
        (Response(None, 500), False),
        (RedirectResponse("https://elsewhere.example/"), False),
    ],
    ids=["Kombo is away", "a proxy in between", "signed out", "no course", "no HEAD", "a platform's own", "a redirect"],
)
async def test_whatever_is_not_a_no_is_looked_at_as_a_page(
    browser: Browser, course: Course, answer: Response, stays: bool
) -> None:
    course.says = [answer, Response()]
    async with profile(browser) as context:
        tab_ = await tab(context)
        await tab_.page.clock.install()
        await tab_.page.goto(course.origin + LINK)
        if stays:
            await tab_.page.clock.run_for(20_000)
            await expect(tab_.page.get_by_role("status")).to_contain_text("The next look is in 20 seconds.")
        else:
            await tab_.until_at(course.origin, tab_.page.clock.run_for(20_000))
        assert (len(course.looks), course.loads) == (1, 1 if stays else 2)


@pytest.mark.parametrize(
    ("asked", "next"),
    [
        ("2592000", "60 minutes"),
        ("1e99", "60 minutes"),
        ("-1", "5 seconds"),
        ("0.001", "5 seconds"),
        ("0", "20 seconds"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "20 seconds"),
    ],
)
async def test_whatever_a_platform_asks_for_it_does_not_hammer(
    browser: Browser, course: Course, asked: str, next: str
) -> None:
    course.says = [Response(None, 503, {"Retry-After": asked}) for _ in range(9)]
    async with profile(browser) as context:
        tab_ = await tab(context)
        await tab_.page.clock.install()
        await tab_.page.goto(course.origin + LINK)
        await tab_.page.clock.run_for(20_000)
        await expect(tab_.page.get_by_role("status")).to_contain_text(f"The next look is in {next}.")
        await tab_.page.clock.run_for(4_000)
        assert len(course.looks) == 1


async def test_a_look_that_does_not_arrive_is_made_again(browser: Browser, course: Course) -> None:
    course.says, course.language = [Response(), Response()], "de"
    async with profile(browser) as context:
        tab_ = await tab(context)
        await tab_.page.clock.install()
        await tab_.page.goto(course.origin + LINK)
        await context.set_offline(True)
        await tab_.page.clock.run_for(20_000)
        await expect(tab_.page.get_by_role("status")).to_contain_text(
            "noch nicht offen. Das nächste Mal in 20 Sekunden."
        )
        await context.set_offline(False)
        course.says = course.says[:1]
        await tab_.page.clock.run_for(20_000)
        await expect(tab_.page).to_have_title("open")


async def test_without_script_it_reloads(browser: Browser, course: Course) -> None:
    course.says = [Response()]
    async with profile(browser, java_script_enabled=False) as context:
        tab_ = await tab(context)
        await tab_.page.goto(course.origin + LINK)
        refresh = await tab_.page.locator("meta[http-equiv=refresh]").get_attribute("content")
        assert refresh == "20"
