"""Every page in every language, for whoever does not see it, sees it otherwise, or has no mouse (WCAG 2.2 AA)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, ViewportSize

from bridge.pages import Look, Pages
from bridge.pages.look import Logo
from bridge.pages.samples import Sample, samples
from bridge.pages.texts import catalogues
from tests.real.axe import RULES, axe_script, barriers
from tests.real.chromium import chromium, profile, tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGO = Logo("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='120' height='40'/>", plate=True)
PLAIN = Look(name="Learning Hub", support="https://help.example.com")
LOOKS = {
    "branded": Look(name="Northwind", logo=LOGO, accent="#b3261e", support="mailto:help@northwind.example"),
    "light accent": Look(accent="#ffcc00", accent_dark="#ffcc00"),
    "dark accent": Look(accent="#000033", accent_dark="#000033"),
    "middling accent": Look(accent="#777777", accent_dark="#777777"),
}
URL = "https://learn.example.com/page"
EVERYTHING_SHOWN = {"user_unmatched looking", "switch", "organizations failed", "break out"}
SIZES: dict[str, ViewportSize] = {"narrow": {"width": 320, "height": 640}, "wide": {"width": 1280, "height": 800}}
ONLY_LOOKS = {"runOnly": {"type": "rule", "values": ["color-contrast", "target-size", "link-in-text-block"]}}
"""What depends on colours and on the size of the window; all else is judged once."""
JUDGED: dict[tuple[Literal["light", "dark"], str], dict[str, Any]] = {
    ("light", "wide"): RULES,
    ("light", "narrow"): ONLY_LOOKS,
    ("dark", "narrow"): ONLY_LOOKS,
    ("dark", "wide"): ONLY_LOOKS,
}


LANGUAGES = ["en", *(pytest.param(each, marks=pytest.mark.long) for each in sorted(catalogues()) if each != "en")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


def shapes(look: Look, language: str) -> list[Sample]:
    """One refusal of each shape, since what sets codes apart is their texts; and every other page."""
    every = list(samples(Pages(look), language))
    return [sample for sample in every if sample.template != "refusal.html" or "user_unmatched" in sample.name]


async def show(page: Page, sample: Sample) -> None:
    """The page with its headers, and without what would lead on from it."""
    still = re.sub(r"<script>.*?</script>|<meta http-equiv[^>]*>", "", sample.page.html, flags=re.DOTALL)

    async def answer(route: Route) -> None:
        await route.fulfill(body=still, headers=dict(sample.page.headers))

    await page.route(URL, answer, times=1)
    await page.goto(URL)


async def judged(page: Page, look: Look, language: str, chosen: list[Sample], script: str) -> list[str]:
    found = []
    for sample in chosen:
        await show(page, sample)
        await page.evaluate(script)
        for (scheme, size), rules in JUDGED.items():
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size(SIZES[size])
            seen = await barriers(page, rules)
            found += [f"{language} {sample.name} {scheme} {size}: {barrier}" for barrier in seen]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
async def test_axe_finds_nothing(browser: Browser, language: str) -> None:
    script = axe_script()
    async with profile(browser) as context:
        tab_ = await tab(context)
        assert await judged(tab_.page, PLAIN, language, shapes(PLAIN, language), script) == []
        assert tab_.complaints == []


@pytest.mark.parametrize("name", LOOKS)
async def test_axe_finds_nothing_whatever_the_look(browser: Browser, name: str) -> None:
    script = axe_script()
    async with profile(browser) as context:
        tab_ = await tab(context)
        chosen = [sample for sample in shapes(LOOKS[name], "en") if sample.name in EVERYTHING_SHOWN]
        assert await judged(tab_.page, LOOKS[name], "en", chosen, script) == []
        assert tab_.complaints == [], "the policy lets logo and style be"


async def test_axe_would_find_something(browser: Browser) -> None:
    script = axe_script()
    async with profile(browser) as context:
        page = await context.new_page()
        await page.set_content(
            '<title>x</title><p style="color: #999">No language, no heading, hard to read.<img src="x">'
        )
        await page.evaluate(script)
        found = {barrier.split(":")[0] for barrier in await barriers(page)}
        assert {f"violations {rule}" for rule in ("html-has-lang", "image-alt", "color-contrast", "region")} <= found


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nothing_is_cut_off_or_wider_than_its_window(browser: Browser, language: str) -> None:
    """At 320 px, and at 400 % zoom, which is the same in a lower window (WCAG 2.2, 1.4.10); with larger text too."""
    async with profile(browser) as context:
        page = await context.new_page()
        for sample in samples(Pages(LOOKS["branded"]), language):
            if "bare" in sample.name or "full" in sample.name:
                continue
            await show(page, sample)
            for width, height, text in ((320, 640, 100), (320, 256, 100), (640, 512, 200)):
                await page.set_viewport_size({"width": width, "height": height})
                wide = await page.evaluate(WIDTH, text)
                assert wide <= width, (sample.name, width, text)


WIDTH = """size => {
  document.documentElement.style.fontSize = `${size}%`;
  return document.documentElement.scrollWidth;
}"""
KEYBOARD: dict[str, list[str]] = {
    "user_unmatched full": ["/courses/x?a=b&c=d", "/_bridge/organizations?next=%2F", "https://help.example.com"],
    "organizations failed": ["email", "submit", "https://help.example.com"],
    "switch": ["submit", "/stay", "/_bridge/organizations", "https://help.example.com"],
    "logged out": ["/again", "/_bridge/organizations", "https://help.example.com"],
    "break out": ["/courses/x?a=b&c=d", "https://help.example.com"],
    "post login": ["submit", "https://help.example.com"],
    "keep fragment": ["/_bridge/saml/acme/login?next=%2Fx", "https://help.example.com"],
}
FOCUSED = """() => {
  const it = document.activeElement, style = getComputedStyle(it);
  const box = it.getBoundingClientRect();
  const inside = box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth;
  return {what: it.getAttribute("href") ?? it.type, outline: parseFloat(style.outlineWidth), style: style.outlineStyle,
          colour: style.outlineColor, inside};
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_by_keyboard_everything_is_reached_in_order_and_seen(browser: Browser, scheme: Any) -> None:
    async with profile(browser, color_scheme=scheme, viewport={"width": 360, "height": 640}) as context:
        page = await context.new_page()
        for sample in samples(Pages(PLAIN), "en"):
            if sample.name not in KEYBOARD:
                continue
            await show(page, sample)
            reached = [] if await page.evaluate("document.activeElement === document.body") else [await focus(page)]
            while len(reached) < len(KEYBOARD[sample.name]):
                await page.keyboard.press("Tab")
                reached.append(await focus(page))
            assert [it["what"] for it in reached] == KEYBOARD[sample.name]
            for it in reached:
                assert it["outline"] >= 2, (sample.name, it)
                assert it["style"] == "solid", (sample.name, it)
                assert it["inside"], (sample.name, it)


async def focus(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(FOCUSED)
    return found


async def test_in_forced_colours_and_without_motion(browser: Browser) -> None:
    """Buttons keep an edge where a theme takes their ground away, and nothing moves for whoever wants that."""
    async with profile(browser, forced_colors="active", reduced_motion="reduce") as context:
        page = await context.new_page()
        for sample in samples(Pages(LOOKS["branded"]), "en"):
            if sample.name not in KEYBOARD:
                continue
            await show(page, sample)
            edges = await page.eval_on_selector_all(
                ".button, .reference, .card", "all => all.map(one => parseFloat(getComputedStyle(one).borderTopWidth))"
            )
            assert edges, sample.name
            assert min(edges) >= 1, sample.name
            moving = await page.evaluate("document.getAnimations().length")
            assert moving == 0, sample.name


async def test_without_script_every_page_says_all_and_leads_on(browser: Browser) -> None:
    async with profile(browser, java_script_enabled=False) as context:
        page = await context.new_page()
        for sample in samples(Pages(PLAIN), "en"):
            if sample.name not in KEYBOARD:
                continue
            await show(page, sample)
            heading = page.get_by_role("heading", level=1)
            assert await heading.count() == 1
            assert await heading.is_visible()
            way_on = page.locator("a.button, button.button")
            assert await way_on.count() == 1, sample.name
            assert await way_on.is_visible()
            assert await page.get_by_role("main").count() == 1
            assert await page.get_by_role("banner").count() == 1
            assert await page.get_by_role("contentinfo").count() == 1
