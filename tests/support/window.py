"""A browser that honours `SameSite` and `Partitioned` as browsers do, and HTTP clients do not.

It keeps and sends cookies by RFC 6265bis (5.6 to 5.8) and CHIPS, follows nothing by itself, and speaks to a bridge on
https as if there were TLS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from bridge.simulator import seed
from tests.support.stage import PAGE, Asked, Browser, Stage

Site = Literal["none", "same-origin", "cross-site"]
Kind = Literal["None", "Lax"]


@dataclass(frozen=True)
class Kept:
    value: str
    kind: Kind
    partition: str | None


class Window:
    """One browser. `frame` below is the site around the frame: `ours`, or any other; None is a window."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.jar: dict[tuple[str, str | None], Kept] = {}
        self._secure = stage.origin.startswith("https:")
        self._client = httpx.AsyncClient(base_url=f"http://{stage.deployment.service['listen']}")

    async def __aenter__(self) -> Window:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @property
    def cookies(self) -> dict[str, str]:
        """What is kept outside of frames, by name without prefix."""
        return {
            name.removeprefix("__Host-"): kept.value for (name, partition), kept in self.jar.items() if not partition
        }

    def put(self, name: str, value: str) -> None:
        full = f"__Host-{name}" if self._secure else name
        self.jar[full, None] = Kept(value, "Lax", None)

    async def send(
        self, method: str, url: str, *, site: Site = "none", frame: str | None = None, **more: Any
    ) -> httpx.Response:
        """A navigation; `site` is that of the page which made it."""
        if url.startswith("http"):
            parts = urlsplit(url)
            assert f"{parts.scheme}://{parts.netloc}" == self.stage.origin, url
            url = url.removeprefix(self.stage.origin) or "/"
        headers = {
            **PAGE,
            "Host": urlsplit(self.stage.origin).netloc,
            "Sec-Fetch-Site": site,
            "Sec-Fetch-Dest": "iframe" if frame else "document",
            **({"Origin": "null" if site == "cross-site" else self.stage.origin} if method == "POST" else {}),
            **more.pop("headers", {}),
        }
        sent = [f"{name}={kept.value}" for (name, _), kept in self.jar.items() if self._goes(kept, method, site, frame)]
        if sent:
            headers["Cookie"] = "; ".join(sent)
        self._client.cookies.clear()
        answer = await self._client.request(method, url, headers=headers, **more)
        for line in answer.headers.get_list("set-cookie"):
            self._keep(line, frame)
        return answer

    def _goes(self, kept: Kept, method: str, site: Site, frame: str | None) -> bool:
        if kept.partition:
            return kept.partition == (frame or "ours")
        if kept.kind == "None":
            return True
        if frame not in (None, "ours"):
            return False
        return site != "cross-site" or (method == "GET" and frame is None)

    def _keep(self, line: str, frame: str | None) -> None:
        pair, *rest = line.split("; ")
        name, _, value = pair.partition("=")
        attributes = set(rest)
        kind: Kind = "None" if "SameSite=None" in attributes or not any("SameSite" in each for each in rest) else "Lax"
        partition = (frame or "ours") if "Partitioned" in attributes else None
        assert name.startswith("__Host-kombo-bridge-" if self._secure else "kombo-bridge-")
        assert {"HttpOnly", "Path=/"} < attributes
        assert ("Secure" in attributes) == self._secure
        assert not partition or kind == "None"
        if kind == "Lax" and frame not in (None, "ours"):
            return
        self.jar.pop((name, partition), None)
        if "Max-Age=0" not in attributes:
            self.jar[name, partition] = Kept(value, kind, partition)

    async def get(self, url: str, **more: Any) -> httpx.Response:
        return await self.send("GET", url, **more)

    async def post(self, url: str, form: dict[str, str], **more: Any) -> httpx.Response:
        return await self.send("POST", url, data=form, **more)

    async def ask(self, link: str, **more: Any) -> Asked:
        """Open a link that leads to a login."""
        answer = await self.get(link, **more)
        assert answer.status_code == 303, answer.text
        return Asked.of(answer.headers["location"])

    def says(self, tenant: str, asked: Asked, person: seed.Person | None = None, **more: Any) -> str:
        """What the tenant's IdP answers."""
        return Browser(self.stage, self._client).response(tenant, asked, person, **more)

    async def answer(self, asked: Asked, response: str, *, frame: str | None = None) -> httpx.Response:
        """The IdP's POST, from its own site."""
        form = {"SAMLResponse": response, "RelayState": asked.relay_state}
        return await self.post(asked.acs, form, site="cross-site", frame=frame)

    async def sign_in(
        self, tenant: str, person: seed.Person, link: str = "/my", *, frame: str | None = None
    ) -> httpx.Response:
        """Link, login, answer; returns the answer of the ACS."""
        asked = await self.ask(f"{link}{'&' if '?' in link else '?'}tenant={tenant}", frame=frame)
        return await self.answer(asked, self.says(tenant, asked, person), frame=frame)

    async def who(self, **more: Any) -> str:
        """The Kombo user that the platform sees; empty where nobody is signed in."""
        answer = await self.get("/", **more)
        return str(dict(answer.json()["headers"])["x-kombo-user"])
