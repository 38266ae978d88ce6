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

import httpx

from bridge.demo.cast import COURSES, TENANTS, companies
from bridge.demo.files import AUDIENCE, write_catalogue, write_service, write_tenants
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

START_SECONDS = 30
STOP_SECONDS = 10
PREFERRED = {"start": 8000, "bridge": 8080, "internal": 8081, "platform": 9000, "idp": 7000, "kombo": 7001}


@dataclass(frozen=True, slots=True)
class Demo:
    """The origins of a running demo, the platform's token for `internal`, and the bridge's settings and log."""

    start: str
    bridge: str
    internal: str
    platform: str
    idp: str
    kombo: str
    token: str
    config: Path
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
        world, secret = seed.seeded(), secrets.token_urlsafe(32)
        world.webhooks.url, world.webhooks.secret = f"{bridge}/_bridge/webhooks/kombo", secret
        kombo = await stack.enter_async_context(running(create(world), port=ports["kombo"]))
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
        token, config = secrets.token_urlsafe(16), folder / "bridge.yaml"
        launches = start_page(bridge=bridge, idp=idp, kombo=kombo, internal=internal, config=config)
        await stack.enter_async_context(running(launches, port=ports["start"]))
        write_tenants(folder / "tenants", {slug: provider.metadata for slug, provider in trusted.items()})
        write_catalogue(folder / "catalog.yaml")
        write_service(
            config, bridge=bridge, internal=internal, platform=behind, kombo=kombo, token=token, webhook_secret=secret
        )
        found = Demo(start, bridge, internal, behind, idp, kombo, token, config, folder / "bridge.log")
        await stack.enter_async_context(_bridge(found))
        await _first_sync(folder / "bridge.db", found)
        yield found


@contextlib.asynccontextmanager
async def _bridge(demo: Demo) -> AsyncIterator[None]:
    with demo.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "serve", "--config", demo.config),
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
