"""What generated configurations make of `trusted_proxies`, and of a platform that is silent or not there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from bridge.generate.engines import ENGINES as GENERATED
from bridge.generate.plan import Plan, plan
from bridge.settings.addresses import Address, Upstream
from bridge.settings.forwarding import Forwarding
from bridge.stamp.headers import NAMES, listed
from tests.real.engines import ENGINES
from tests.real.engines.front import Got, parsed, send
from tests.real.engines.platform import Platform, Seen, platform
from tests.support.deployment import Deployment
from tests.support.processes import free_port
from tests.support.sockets import listening
from tests.support.stage import Stage, stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.parametrize("engine", ENGINES)]

LATER = "X-Remote-User"
SAID = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "X-Real-IP": "198.51.100.2"}


@dataclass
class Behind:
    """What an engine forwards to and asks."""

    stage: Stage
    platform: Platform


def prepare(deployment: Deployment) -> None:
    deployment.service["headers"] = {LATER: "sub"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    async with (
        platform() as server,
        stage(tmp_path_factory.mktemp("stage"), prepare=prepare, upstream=server.origin) as on,
    ):
        yield Behind(on, server)


@contextlib.asynccontextmanager
async def running(engine: str, behind: Behind, folder: Path, **changed: Any) -> AsyncIterator[Plan]:
    port = free_port()
    made = plan(behind.stage.deployment.load(), listen=Address("127.0.0.1", port), cache_folder=folder / "kept")
    made = replace(made, **changed)
    with ENGINES[engine](GENERATED[engine](made), folder, port):
        yield made


async def ask(behind: Behind, made: Plan, **headers: str) -> tuple[Got, list[Seen]]:
    """A public path, which needs no session, and what the platform saw."""
    before = len(behind.platform.seen)
    said = {"Host": urlsplit(behind.stage.origin).netloc, "Connection": "close"} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    answer = await send(made.listen, f"GET /static/x?y HTTP/1.1\r\n{lines}\r\n".encode())
    return parsed(answer), behind.platform.seen[before:]


@pytest.mark.parametrize("said", [
    {}, {"X-Bridge-Headers": "{current}"}, {"Connection": "close, X-Bridge-Headers"}, {"X_Bridge_Headers": "{current}"},
], ids=["nothing", "by the client", "nominated", "nearly"])  # fmt: skip
async def test_made_before_the_bridge_had_another_identity_header(
    engine: str, behind: Behind, said: dict[str, str], tmp_path: Path
) -> None:
    """Of which this engine does not know that a client's must go: nothing passes, but in nginx by way of the bridge."""
    current = listed((*NAMES, LATER))
    async with running(engine, behind, tmp_path, identity=NAMES) as made:
        headers = {name: value.format(current=current) for name, value in said.items()}
        got, seen = await ask(behind, made, **{LATER: "spoofed"}, **headers)
    if engine == "nginx":
        assert (got.status, [each.get(LATER) for each in seen]) == (200, [""])
    else:
        assert (got.status, got.get("bridge-error"), seen) == (503, "user_unknown", [])


@pytest.mark.parametrize("trusted", [(), (ip_network("10.0.0.0/8"),)], ids=["nobody", "others"])
async def test_where_a_client_is(engine: str, behind: Behind, trusted: tuple[Any, ...], tmp_path: Path) -> None:
    async with running(engine, behind, tmp_path, trusted_proxies=trusted) as made:
        _, [seen] = await ask(behind, made, **SAID)
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-real-ip") in ("127.0.0.1", "")


async def test_where_a_trusted_proxy_says_that_a_client_is(engine: str, behind: Behind, tmp_path: Path) -> None:
    async with running(engine, behind, tmp_path, trusted_proxies=(ip_network("127.0.0.1"),)) as made:
        _, [seen] = await ask(behind, made, **SAID)
    hops = [hop.strip() for hop in (seen.get("x-forwarded-for") or "").split(",")]
    assert "203.0.113.9" in hops
    assert hops[-1] in ("203.0.113.9", "127.0.0.1")
    assert seen.get("x-real-ip") in ("203.0.113.9", "")


async def test_a_platform_that_says_nothing(engine: str, behind: Behind, tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    limits = Forwarding(first_byte=timedelta(seconds=1), idle=timedelta(seconds=1))
    async with listening(silent) as port:
        upstream = Upstream("http", "127.0.0.1", port)
        async with running(engine, behind, tmp_path, upstream=upstream, limits=limits) as made:
            got, _ = await ask(behind, made)
    assert got.status == 504


async def test_a_platform_that_is_not_there(engine: str, behind: Behind, tmp_path: Path) -> None:
    upstream = Upstream("http", "127.0.0.1", free_port())
    async with running(engine, behind, tmp_path, upstream=upstream) as made:
        got, _ = await ask(behind, made)
    assert got.status == 502
