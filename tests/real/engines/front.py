"""An engine in front of a platform, with the bridge that it asks: what the tests of engines send, and what they get."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bridge.generate.engines import ENGINES as GENERATED
from bridge.generate.plan import plan
from bridge.settings.addresses import Address
from bridge.simulator import seed
from tests.real.engines.platform import Platform, Seen
from tests.support.deployment import Deployment
from tests.support.stage import Stage

WEBHOOK_SECRET = "a-webhook-secret-of-the-tests"
SECONDS = 10
probes = itertools.count(1)


@dataclass(frozen=True)
class Got:
    """An answer as it came. `lines` are its header lines, names in lower case."""

    status: int
    lines: list[str]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [line.partition(": ")[2] for line in self.lines if line.startswith(f"{name.lower()}:")]

    def get(self, name: str) -> str:
        return ", ".join(self.all(name))


@dataclass
class Front:
    """An engine that runs, with the bridge that it asks and the platform behind it."""

    name: str
    stage: Stage
    platform: Platform
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return urlsplit(self.stage.origin).netloc

    async def cookie(self, person: seed.Person) -> str:
        """The Cookie header of somebody who has signed in; once a module."""
        if person.remote_id not in self.cookies:
            self.cookies[person.remote_id] = await self.new_cookie(person)
        return self.cookies[person.remote_id]

    async def new_cookie(self, person: seed.Person) -> str:
        async with self.stage.browser() as browser:
            await browser.sign_in("acme", person)
            return "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())

    @property
    def address(self) -> Address:
        return Address.parse(self.host)

    async def send(self, request: bytes) -> bytes:
        return await send(self.address, request)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)

    async def ask(
        self,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        person: seed.Person | None = None,
        body: bytes | None = None,
    ) -> tuple[Got, list[Seen]]:
        """One request on a connection of its own, and what the platform saw of it."""
        probe = f"probe-{next(probes)}"
        said = {"Host": self.host, "Connection": "close", "X-Probe": probe}
        if person:
            said["Cookie"] = await self.cookie(person)
        if body is not None:
            said["Content-Length"] = str(len(body))
        said |= headers or {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items()).replace("{host}", self.host)
        head = f"{method} {target.replace('{host}', self.host)} HTTP/1.1\r\n{lines}\r\n"
        answer = await self.send(head.encode("utf-8") + (body or b""))
        return parsed(answer), self.platform.by_probe[probe]


async def send(there: Address, request: bytes) -> bytes:
    """Whatever comes back until the answer is whole or the engine closes."""
    reader, writer = await asyncio.open_connection(*there)
    answer = b""
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            async with asyncio.timeout(SECONDS):
                while not is_whole(answer) and (piece := await reader.read(65536)):
                    answer += piece
    finally:
        writer.transport.abort()
    return answer


def is_whole(answer: bytes) -> bool:
    """Whether there is as much of it as its Content-Length says."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    return bool(end and length) and len(body) >= int(length[1] if length else 0)


def parsed(answer: bytes) -> Got:
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    status = int(line.split(" ")[1]) if " " in line else 0
    pairs = (each.partition(":")[::2] for each in lines)
    got = Got(status, [f"{name.lower()}: {value.strip()}" for name, value in pairs], body)
    if got.get("transfer-encoding") == "chunked":
        return Got(status, got.lines, b"".join(re.findall(rb"[0-9a-fA-F]+\r\n(.*?)\r\n", body, re.DOTALL)))
    return got


def prepare(deployment: Deployment) -> None:
    kombo = {"api_url": deployment.kombo_url, "api_key": seed.API_KEY, "webhook_secret": WEBHOOK_SECRET}
    deployment.service |= {"kombo": kombo, "headers": {"X-Remote-User": "sub"}, "trusted_proxies": ["127.0.0.1"]}


def generated(name: str, deployment: Deployment, port: int, folder: Path) -> str:
    made = plan(deployment.load(), listen=Address("127.0.0.1", port), cache_folder=folder / "answers")
    return GENERATED[name](made)
