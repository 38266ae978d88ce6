"""What an engine forwards is what it asked about: no platform sees a path, method, host or identity of another request.

The engines run as the generated configurations have them, but that nginx keeps no answers: a kept one has been asked
about under another path of its class (`bridge.front.classes`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from bridge.exchange import Head
from bridge.generate.engines import ENGINES as GENERATED
from bridge.generate.plan import plan
from bridge.settings.addresses import Address
from bridge.settings.load import load
from bridge.simulator import seed
from tests.real.engines import ENGINES
from tests.real.engines.asked import Relay, relay
from tests.real.engines.front import send
from tests.real.engines.platform import Platform, platform
from tests.real.test_engines import RESPELLS
from tests.support.deployment import Deployment
from tests.support.processes import free_port
from tests.support.stage import PAGE, Stage, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
TABLES = yaml.safe_load((HERE.parent / "hostile" / "paths.yaml").read_text(encoding="utf-8"))
TARGETS = yaml.safe_load((HERE / "engines" / "targets.yaml").read_text(encoding="utf-8"))
KEEPING = "proxy_cache kombo_answers;"
TOGETHER = 16
Line = tuple[str, ...]


def hostile_targets() -> list[bytes]:
    """Every path of the tables and of the list, as bytes of a request line."""
    paths = [case["path"].encode() for table in TABLES for case in table["paths"] if "path" in case]
    paths += [case["bytes"].encode("latin-1") for table in TABLES for case in table["paths"] if "bytes" in case]
    return list(dict.fromkeys([*paths, *(target.encode() for target in TARGETS)]))


@dataclass
class Front:
    """An engine that runs, with what it asks, and the platform behind it."""

    name: str
    port: int
    stage: Stage
    asked: Relay
    platform: Platform
    cookie: str

    async def send(self, line: bytes, headers: Mapping[str, str], lines: str = "") -> bytes:
        """The answer, or what there is of it when the engine closes."""
        said = {"Host": self.stage.origin.removeprefix("http://"), "Connection": "close"} | headers
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items()) + lines
        return await send(Address("127.0.0.1", self.port), line + b" HTTP/1.1\r\n" + head.encode() + b"\r\n")


@dataclass
class Behind:
    stage: Stage
    platform: Platform
    cookie: str


def prepare(deployment: Deployment) -> None:
    """With a tenant whose file has never been valid."""
    (deployment.folder / "tenants").mkdir(parents=True)
    (deployment.folder / "tenants" / "broken.yaml").write_text("name: [")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    folder = tmp_path_factory.mktemp("stage")
    async with (
        platform() as server,
        stage(folder, prepare=prepare, upstream=server.origin) as on,
        on.browser() as browser,
    ):
        await browser.sign_in("acme", seed.JANE)
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        yield Behind(on, server, cookie)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def front(
    request: pytest.FixtureRequest, behind: Behind, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    name, port, folder = request.param, free_port(), tmp_path_factory.mktemp("engine")
    made = plan(load(behind.stage.deployment.path, {}), listen=Address("127.0.0.1", port), cache_folder=folder / "kept")
    async with relay(name, made.inside) as (asked, inside):
        text = GENERATED[name](replace(made, inside=inside))
        assert (name == "nginx") is (KEEPING in text)
        with ENGINES[name](text.replace(KEEPING, ""), folder, port):
            yield Front(name, port, behind.stage, asked, behind.platform, behind.cookie)


def line(method: str, target: str, host: str, identity: Mapping[str, Any]) -> Line:
    told = (identity.get(name) or "" for name in ("x-kombo-user", "x-kombo-course", "x-kombo-enrollment"))
    return (method, target, host, *told)


def let_in(front: Front) -> Counter[Line]:
    """The requests that the bridge has said 200 to, as they were described to it, with what it said of the learner."""

    def said(head: Head) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in head.headers}

    return Counter(
        line(each.head.method.decode(), each.head.target.decode("latin-1"), said(each.head)["host"], said(each.answer))
        for each in front.asked.asked
        if each.status == 200
    )


@pytest.mark.parametrize("signed_in", [False, True])
async def test_the_platform_sees_what_the_bridge_was_asked_about(front: Front, signed_in: bool) -> None:
    front.asked.asked.clear()
    front.platform.seen.clear()
    lines = [method + b" " + target for method, target in itertools.product((b"GET", b"POST"), hostile_targets())]
    cookies = {"Cookie": front.cookie} if signed_in else {}
    for place in range(0, len(lines), TOGETHER):
        batch = lines[place : place + TOGETHER]
        await asyncio.gather(*(front.send(each, {**cookies, "Content-Length": "0"}) for each in batch))
    seen = Counter(
        line(each.method, each.target, each.get("host") or "", dict(each.headers)) for each in front.platform.seen
    )
    assert seen - let_in(front) == Counter()
    assert seen.total() > 20
    if front.name not in RESPELLS:
        sent = {target.decode("latin-1") for target in hostile_targets()}
        assert {target for _, target, *_ in seen} <= sent


async def test_cookies_on_several_lines_hide_nothing(front: Front) -> None:
    lines = f"X-Probe: cookies\r\nCookie: a=1\r\nCookie: {front.cookie}\r\nCookie: b=2\r\n"
    answer = await front.send(b"GET /my", {}, lines)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    seen = front.platform.seen[-1]
    assert seen.get("x-probe") == "cookies"
    assert seen.get("x-kombo-user") == seed.JANE.id
    assert "; ".join(seen.all("cookie")) == "a=1; b=2"


async def test_what_is_the_bridges_failure_arrives_as_that(front: Front) -> None:
    answer = await front.send(b"GET /my?tenant=broken", PAGE)
    head, _, page = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"503"
    assert b"bridge-error: tenant_unavailable" in head.lower()
    assert b"<html" in page
