"""The whole thing on loopback: simulated Kombo, demo IdP, demo platform, start page, and the bridge as it is shipped.

The IdP is on `localhost` and the bridge on `127.0.0.1`: cookies ignore ports, and only between two hosts is the IdP's
POST as cross-site as it is in life. The bridge is a process of its own, started by `serve` from real files.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml

from bridge.demo.cast import COURSES, TENANTS, companies
from bridge.demo.idp import identity_provider, providers
from bridge.demo.platform import content_platform
from bridge.demo.start import start_page
from bridge.errors import BridgeError
from bridge.simulator import seed
from bridge.simulator.app import create
from bridge.simulator.serving import running
from bridge.store import lookups
from bridge.store.engine import Store
from bridge.store.rows import MODELS

AUDIENCE = "content-platform"
START_SECONDS = 30
STOP_SECONDS = 10
PREFERRED = {"start": 8000, "bridge": 8080, "internal": 8081, "platform": 9000, "idp": 7000, "kombo": 7001}


@dataclass(frozen=True, slots=True)
class Demo:
    """The origins of a running demo, the platform's token for `internal`, and where the bridge writes its log."""

    start: str
    bridge: str
    internal: str
    platform: str
    idp: str
    kombo: str
    token: str
    log: Path


@contextlib.asynccontextmanager
async def demo(*, fixed_ports: bool = True) -> AsyncIterator[Demo]:
    """Everything up, the first sync done. Raises `BridgeError` where the bridge does not start."""
    ports = {name: _port(preferred if fixed_ports else 0) for name, preferred in PREFERRED.items()}
    start, bridge, internal = (f"http://127.0.0.1:{ports[name]}" for name in ("start", "bridge", "internal"))
    idp = f"http://localhost:{ports['idp']}"
    trusted = providers(idp, companies())
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kombo-bridge-demo-")))
        kombo = await stack.enter_async_context(running(create(seed.seeded()), port=ports["kombo"]))
        platform = content_platform(
            jwks_url=f"{internal}/jwks.json",
            issuer=bridge,
            audience=AUDIENCE,
            courses=COURSES,
            home=start,
        )
        behind = await stack.enter_async_context(running(platform, port=ports["platform"]))
        sign_on = identity_provider(trusted, bridge=bridge, home=start)
        await stack.enter_async_context(running(sign_on, host="localhost", port=ports["idp"]))
        launches = start_page(bridge=bridge, idp=idp, kombo=kombo)
        await stack.enter_async_context(running(launches, port=ports["start"]))
        token = secrets.token_urlsafe(16)
        config = write_settings(folder, bridge=bridge, internal=internal, platform=behind, kombo=kombo, token=token)
        for slug, provider in trusted.items():
            (folder / "tenants" / f"{slug}-idp.xml").write_bytes(provider.metadata)
        found = Demo(start, bridge, internal, behind, idp, kombo, token, folder / "bridge.log")
        await stack.enter_async_context(_bridge(config, found))
        await _first_sync(folder / "bridge.db", found)
        yield found


def write_settings(folder: Path, *, bridge: str, internal: str, platform: str, kombo: str, token: str) -> Path:
    """The files that an operator would write; the IdPs' metadata is not among them."""
    service: dict[str, Any] = {
        "public_url": bridge,
        "listen": bridge.removeprefix("http://"),
        "internal_listen": internal.removeprefix("http://"),
        "internal_token": token,
        "upstream": platform,
        "state": "sqlite:///bridge.db",
        "secrets": [secrets.token_urlsafe(32)],
        "audience": AUDIENCE,
        "tenants": "tenants",
        "kombo": {"api_url": f"{kombo}/v1", "api_key": seed.API_KEY},
        "routes": [
            {"path": "/static/**", "access": "public"},
            {"path": "/courses/{course}/**", "access": "course"},
            {"path": "/player", "course_parameter": "id", "access": "course"},
            {"path": "/", "access": "optional"},
            {"path": "/**", "access": "learner"},
        ],
        "completions": [{"method": "POST", "path": "/courses/{course}/finish"}],
    }
    (folder / "tenants").mkdir()
    (folder / "bridge.yaml").write_text(yaml.safe_dump(service, sort_keys=False))
    for slug, settings in TENANTS.items():
        tenant = {**settings, "saml": {"metadata": f"{slug}-idp.xml"}}
        (folder / "tenants" / f"{slug}.yaml").write_text(yaml.safe_dump(tenant, sort_keys=False))
    return folder / "bridge.yaml"


@contextlib.asynccontextmanager
async def _bridge(config: Path, demo: Demo) -> AsyncIterator[None]:
    with demo.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "serve", "--config", config),
            stderr=log,
            stdout=log,
            start_new_session=True,
        )
    try:
        await _ready(demo, process)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _ready(demo: Demo, process: asyncio.subprocess.Process) -> None:
    async with _patience("start", demo), httpx.AsyncClient(trust_env=False) as client:
        while True:
            if process.returncode is not None:
                raise BridgeError(f"the bridge ended with {process.returncode}:\n{demo.log.read_text()}")
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{demo.internal}/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _patience(what: str, demo: Demo) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(START_SECONDS):
            yield
    except TimeoutError as error:
        raise BridgeError(f"the bridge did not {what} within {START_SECONDS} s:\n{demo.log.read_text()}") from error


async def _first_sync(state: Path, demo: Demo) -> None:
    """Until every tenant's people, courses and enrollments are there: before that, launches would be asked live."""
    store = Store(f"sqlite:///{state}")
    try:
        async with _patience("sync", demo):
            for settings in TENANTS.values():
                work = partial(lookups.synced, integration_id=settings["kombo"]["integration_id"])
                while len(await store.read(work)) < len(MODELS):  # noqa: ASYNC110  # another process
                    await asyncio.sleep(0.1)
    finally:
        store.close()


def _port(preferred: int) -> int:
    """The preferred port if it is free, else any."""
    for candidate in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", candidate))
            return int(probe.getsockname()[1])
    raise BridgeError("no free port on 127.0.0.1")
