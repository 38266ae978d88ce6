"""A browser without script: keeps cookies by host, follows redirects, and sends the forms that it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from lxml import html

from tests.support.stage import PAGE


@dataclass(frozen=True)
class Shown:
    """A page, after its redirects."""

    answer: httpx.Response

    @property
    def url(self) -> httpx.URL:
        return self.answer.url

    @property
    def refused(self) -> str | None:
        """The code of the refusal, if it is one."""
        code: str | None = self.answer.headers.get("bridge-error")
        return code

    @property
    def form(self) -> Any:
        """Its one form, the action made absolute."""
        page: Any = html.fromstring(self.answer.content, base_url=str(self.url))
        page.make_links_absolute()
        [form] = page.forms
        return form

    @property
    def fields(self) -> dict[str, str]:
        return {name: value or "" for name, value in self.form.fields.items()}


class Visitor:
    """One browser profile."""

    def __init__(self) -> None:
        self.client = httpx.AsyncClient(follow_redirects=True, headers=PAGE, trust_env=False, timeout=30)

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def open(self, url: str | httpx.URL) -> Shown:
        return Shown(await self.client.get(url))

    async def send(self, shown: Shown, **filled: str) -> Shown:
        """Send the form of a page, some fields filled in by hand."""
        origin = f"{shown.url.scheme}://{shown.url.netloc.decode()}"
        answer = await self.client.request(
            shown.form.method,
            shown.form.action or shown.url,
            data={**shown.fields, **filled},
            headers={"Origin": origin},
        )
        return Shown(answer)
