"""The wiring: settings in, running service out. The only module that knows all the rooms."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from cachetools import LRUCache
from starlette.applications import Starlette

from bridge import logs
from bridge.directory.keeper import Keeper
from bridge.directory.live import Live
from bridge.front.acs import AssertionConsumer
from bridge.front.application import Application
from bridge.front.cookies import Cookies
from bridge.front.desk import Desk
from bridge.front.front import Front
from bridge.front.internal import internal
from bridge.front.logins import Logins
from bridge.gate.gate import Gate
from bridge.identity.resolver import Resolver
from bridge.kombo.client import KomboClient
from bridge.kombo.transport import http_client
from bridge.pages import Pages
from bridge.proxy.headers import HeaderPolicy
from bridge.proxy.server import listener, serve_internal
from bridge.proxy.upstream import UpstreamPool
from bridge.session.sessions import Sessions
from bridge.settings.addresses import Address
from bridge.settings.model import Kombo, Service, Tenant
from bridge.settings.reload import Reloader
from bridge.stamp.assertion import Signer
from bridge.stamp.headers import Stamp
from bridge.stamp.keys import KeyRing, load_key_ring
from bridge.store.engine import Store
from bridge.store.sealing import Seal

CONFIG = "KOMBO_BRIDGE_CONFIG"
INTERNAL_LISTEN = "KOMBO_BRIDGE_INTERNAL_LISTEN"
CLIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Bridge:
    """A running bridge, as far as others have to do with it: the decider for the proxy, and what answers inside."""

    front: Front
    upstream: UpstreamPool
    inside: Starlette


class Clients:
    """Kombo clients by integration and settings, over one shared connection pool."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._clients: LRUCache[tuple[str, Kombo], KomboClient] = LRUCache(CLIENTS)

    def of(self, tenant: Tenant) -> KomboClient:
        key = (tenant.integration_id, tenant.kombo)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = KomboClient(self._http, tenant.kombo, tenant.integration_id)
        return client


def _secrets(service: Service) -> list[str]:
    return [secret.get_secret_value() for secret in service.secrets]


def build(reloader: Reloader, store: Store, ring: KeyRing, clients: Clients) -> Bridge:
    """Put the rooms together. Nothing runs yet."""
    configuration = reloader.configuration
    service = configuration.service
    secrets = _secrets(service)
    cookies = Cookies(secure=urlsplit(service.public_url).scheme == "https")
    live = Live(store, clients.of)
    policy = HeaderPolicy(service.headers, service.trusted_proxies, service.public_url)
    sessions = Sessions(store, secrets, lambda: reloader.configuration)
    desk = Desk(sessions, Logins(secrets, cookies), cookies, Pages())
    front = Front(
        configuration,
        desk,
        gate=Gate(store, live),
        stamp=Stamp(Signer(ring, issuer=service.public_url, audience=service.audience), service.headers),
        policy=policy,
    )
    application = Application(front, AssertionConsumer(store, Resolver(store, live), desk), desk, ring.jwks)
    front.mount(application.asgi)
    return Bridge(front, UpstreamPool(service.upstream, policy), internal(front, store, ring.jwks))


async def rehearse(service: Service, inside: Address) -> None:
    """Raises the `BridgeError` that would end every worker: said by one process, it is one line and no traceback."""
    store = Store(service.state)
    try:
        await load_key_ring(store, Seal(_secrets(service)))
    finally:
        store.close()
    listener(inside, shared=True).close()


@contextlib.asynccontextmanager
async def running(path: Path) -> AsyncIterator[Bridge]:
    """The service in this process, with its background work. The state is migrated already."""
    reloader = Reloader(path)
    service = reloader.configuration.service
    store = Store(service.state)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(store.close)
        clients = Clients(await stack.enter_async_context(http_client()))
        ring = await load_key_ring(store, Seal(_secrets(service)))
        bridge = build(reloader, store, ring, clients)
        keeper = Keeper(store, lambda: reloader.configuration, clients.of)
        stack.push_async_callback(bridge.upstream.close)
        for work in (reloader.watch(bridge.front.apply), keeper.run()):
            stack.push_async_callback(_stop, asyncio.ensure_future(work))
        yield bridge


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def create() -> Starlette:
    """What each worker runs: an application whose lifespan is the service, and its state what the proxy needs."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        logs.configure()
        inside = Address.parse(os.environ[INTERNAL_LISTEN])
        async with running(Path(os.environ[CONFIG])) as bridge, serve_internal(bridge.inside, inside):
            yield {"decider": bridge.front, "upstream": bridge.upstream}

    return Starlette(lifespan=lifespan)
