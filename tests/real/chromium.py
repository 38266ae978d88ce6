"""A real browser: the Chromium of this machine, driven by playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, async_playwright

from tests.support.needs import need

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--disable-gpu",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
PATIENCE_MS = 15_000


@contextlib.asynccontextmanager
async def chromium(*settings: str) -> AsyncIterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    need(program, "Chromium")
    # Chromium's sandbox refuses to run as root.
    arguments = [*QUIET, *settings, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Tab:
    """A page, with everything that went wrong in it and every place that it went to."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)
    posts: list[Request] = field(default_factory=list)
    landings: list[Response] = field(default_factory=list)

    def watch(self) -> Tab:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("requestfailed", self._on_failure)
        self.page.on("request", self._on_request)
        self.page.on("response", self._on_response)
        return self

    def _on_console(self, message: ConsoleMessage) -> None:
        """Errors and warnings, also of what a Content-Security-Policy stops; not that a page is one of refusal."""
        refused = message.text.startswith("Failed to load resource") and message.location["url"] == self.page.url
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(f"{message.type}: {message.text} ({self.page.url})")

    def _on_failure(self, request: Request) -> None:
        """What did not come, unless the page was left before it could."""
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.failure}: {request.url}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss"):
            self.origins.add(f"{parts.scheme}://{parts.netloc}")
        if request.method == "POST":
            self.posts.append(request)

    def _on_response(self, response: Response) -> None:
        if is_landing(response):
            self.landings.append(response)

    async def until_at(self, origin: str, act: Awaitable[object], *, patience_ms: int = PATIENCE_MS) -> Response:
        """Do something that leads, by way of redirects and forms, to a page of that origin; the page's answer."""

        def arrived(response: Response) -> bool:
            return is_landing(response) and response.url.startswith(f"{origin}/")

        async with self.page.expect_response(arrived, timeout=patience_ms) as found:
            await act
        response = await found.value
        await response.finished()
        await self.page.wait_for_load_state("load")
        return response


def is_landing(response: Response) -> bool:
    """Whether it is a page to stay on, and no redirect."""
    return response.request.is_navigation_request() and not 300 <= response.status < 400


@contextlib.asynccontextmanager
async def profile(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """A browser profile of its own, without cookies."""
    context = await browser.new_context(**options)
    try:
        yield context
    finally:
        await context.close()


async def tab(context: BrowserContext) -> Tab:
    return Tab(await context.new_page()).watch()
