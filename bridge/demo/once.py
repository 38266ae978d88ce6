"""One real launch by script: the hops that a browser makes, and what the platform received at their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx

from bridge.demo.launches import Launch, launches
from bridge.demo.run import Demo
from bridge.errors import BridgeError

KEY = "by-name-id"
PAGE = {"Accept": "text/html"}

Tell = Callable[[str], None]


@dataclass
class Walk:
    """A browser without script or cookies of its own accord: each hop is told, and checked by `expect`."""

    client: httpx.AsyncClient
    tell: Tell
    hops: int = 0

    async def hop(self, method: str, url: str, expect: int, **more: Any) -> httpx.Response:
        self.hops += 1
        shown = url.partition("?")[0]
        try:
            answer = await self.client.request(method, url, headers={**PAGE, **more.pop("headers", {})}, **more)
        except httpx.HTTPError as error:
            raise BridgeError(f"hop {self.hops} failed: {method} {shown}: {error}") from error
        refused = answer.headers.get("bridge-error")
        said = f" {refused}" if refused else ""
        self.tell(f"{self.hops}. {method} {shown} -> {answer.status_code}{said}")
        if answer.status_code != expect:
            raise BridgeError(
                f"hop {self.hops} failed: {method} {shown} answered {answer.status_code}{said}, not {expect}"
            )
        return answer


async def launch_once(demo: Demo, tell: Tell) -> Mapping[str, str]:
    """Launch as the demo's first card does; the identity headers that the platform received. Raises `BridgeError`."""
    [card] = [card for card in launches(bridge=demo.bridge, idp=demo.idp) if card.key == KEY]
    async with httpx.AsyncClient(trust_env=False) as client:
        return await _walk(Walk(client, tell), demo, card)


async def _walk(walk: Walk, demo: Demo, card: Launch) -> Mapping[str, str]:
    chosen = await walk.hop("GET", card.url, 303)
    asked = await walk.hop("GET", chosen.headers["location"], 303)
    signed_in = await walk.hop("GET", asked.headers["location"], 200)
    form = Form.of(signed_in.text)
    cross_site = {"Origin": demo.idp, "Sec-Fetch-Site": "cross-site"}
    accepted = await walk.hop("POST", form.action, 303, data=form.fields, headers=cross_site)
    deep_link = demo.bridge + accepted.headers["location"]
    shown = await walk.hop("GET", deep_link, 200, headers={"Accept": "text/html, application/json"})
    told = shown.json()
    if not told["verification"]["verified"]:
        raise BridgeError(f"the platform could not verify the signed header: {told['verification']['reason']}")
    return {name: value for name, value in told["headers"] if name.startswith("x-kombo-")}


class Form(HTMLParser):
    """The one form of the IdP's page."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    @classmethod
    def of(cls, html: str) -> Form:
        """Raises `BridgeError` where the page has none that posts to http."""
        form = cls()
        form.feed(html)
        if not urlsplit(form.action).netloc:
            raise BridgeError("the IdP answered without a form for the bridge")
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.action = given.get("action") or ""
        elif tag == "input" and (name := given.get("name")):
            self.fields[name] = given.get("value") or ""
