"""The wiring: settings in, running service out. The only module that knows all the rooms."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from cachetools import LRUCache
from starlette.applications import Starlette
from starlette.types import ASGIApp

from bridge import logs
from bridge.admin.routes import Admin
from bridge.audit import Audit, AuditFile, try_to_open
from bridge.directory.keeper import Keeper
from bridge.directory.live import Live
from bridge.front.acs import AssertionConsumer
from bridge.front.application import Application
from bridge.front.arrivals import Arrivals
from bridge.front.attempts import Attempts
from bridge.front.completion_endpoint import CompletionEndpoint
from bridge.front.completions import Completions
from bridge.front.cookies import Cookies
from bridge.front.desk import Desk
from bridge.front.enrollments import Enrollments
from bridge.front.front import Front
from bridge.front.internal import internal
from bridge.front.judge import Judge, Refresh
from bridge.front.login_endpoint import LoginEndpoint
from bridge.front.logins import Logins
from bridge.front.single_logout import SingleLogout
from bridge.front.turns import Turns
from bridge.front.waiting import Waiting
from bridge.front.webhooks import Webhooks
from bridge.gate.gate import Gate
from bridge.gate.misses import Misses
from bridge.identity.drifts import Drifts
from bridge.identity.people import People
from bridge.identity.resolver import Resolver
from bridge.idps.documents import KeptDocuments
from bridge.idps.fetch import Fetcher
from bridge.idps.refresh import Refresher
from bridge.keys.custody import Keys
from bridge.keys.expiry import ExpiryWatch
from bridge.kombo.client import KomboClient
from bridge.kombo.transport import http_client
from bridge.launches.history import PURPOSE
from bridge.launches.launches import Launches
from bridge.lines import Lines
from bridge.metrics import Metrics
from bridge.outbox.carrier import Carrier
from bridge.outbox.outbox import Outbox
from bridge.pages import Looks
from bridge.proxy.headers import HeaderPolicy
from bridge.proxy.limits import Limits
from bridge.proxy.recorder import AUDIT_LOST, LAYOUT, WORKERS, Recorder
from bridge.proxy.requestlog import RequestLog
from bridge.proxy.server import serve_internal, try_both
from bridge.proxy.upstream import UpstreamPool
from bridge.proxy.vigil import Vigil
from bridge.session.sessions import Sessions
from bridge.settings.addresses import Address
from bridge.settings.load import read_service
from bridge.settings.model import Configuration, Kombo, Service, Tenant
from bridge.settings.reload import Reloader
from bridge.settings.trust import trusting
from bridge.stamp.assertion import Signer
from bridge.stamp.headers import Stamp
from bridge.store.engine import Store
from bridge.store.sealing import Seal
from bridge.tallies import Tallies

CONFIG = "KOMBO_BRIDGE_CONFIG"
INTERNAL_LISTEN = "KOMBO_BRIDGE_INTERNAL_LISTEN"
TALLIES = "KOMBO_BRIDGE_TALLIES"
CLIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Bridge:
    """A running bridge, as far as others have to do with it: the decider for the proxy, and what answers inside."""

    front: Front
    upstream: UpstreamPool
    inside: ASGIApp


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


def build(
    reloader: Reloader,
    store: Store,
    keys: Keys,
    clients: Clients,
    refresh: Refresh,
    launches: Launches,
    drifts: Drifts,
    audit: Audit,
    tallies: Tallies,
    log: Lines | None,
) -> Bridge:
    """Put the rooms together. Nothing runs yet."""
    configuration = reloader.configuration
    service = configuration.service
    secrets = service.plain_secrets
    cookies = Cookies(secure=urlsplit(service.public_url).scheme == "https")
    live = Live(store, clients.of)
    policy = HeaderPolicy(service.headers, service.trusted_proxies, service.public_url)
    sessions = Sessions(store, secrets, lambda: reloader.configuration)
    pages = Looks(lambda: reloader.configuration.look)
    desk = Desk(sessions, Logins(secrets, cookies, pages, keys, launches), cookies, pages)
    gate, outbox = Gate(store, live), Outbox(store)
    front = Front(
        configuration,
        desk,
        gate=gate,
        stamp=Stamp(Signer(lambda: keys.ring, issuer=service.public_url, audience=service.audience), service.headers),
        policy=policy,
        completions=Completions(gate, outbox, Enrollments(outbox), believes_header=service.completion_header),
        waiting=Waiting(Misses(store)),
        launches=launches,
        audit=audit,
    )
    turns = Turns()
    judge, arrivals = Judge(keys, turns, lambda: reloader.configuration, refresh), Arrivals(secrets, desk, audit)
    consumer = AssertionConsumer(store, Resolver(store, live), desk, judge, arrivals, launches, drifts, audit)
    login = LoginEndpoint(front, desk, consumer, arrivals)
    logout_judge = Judge(keys, turns.share(1), lambda: reloader.configuration, refresh)
    single_logout = SingleLogout(secrets, desk, keys, turns, logout_judge, lambda: front.rules)
    webhooks = Webhooks(store, lambda: reloader.configuration)
    application = Application(front, consumer, login, single_logout, webhooks, desk, keys)
    front.mount(application.asgi)
    reported, admin = None, None
    if service.internal_token:
        people, token = People(store, live), service.internal_token.get_secret_value()
        attempts = Attempts(token)
        reported = CompletionEndpoint(people, outbox, lambda: front.rules, attempts.authorize)
        admin = Admin.of(store, token, attempts, lambda: reloader.configuration, lambda: tallies.totals()[0][WORKERS])
    metrics = Metrics(store, keys, lambda: reloader.configuration, tallies)
    return Bridge(
        front,
        _upstream(service, policy, Recorder(tallies, _request_log(service, policy, log))),
        internal(front, store, keys, metrics, reported, admin.routes if admin else ()),
    )


def _upstream(service: Service, policy: HeaderPolicy, recorder: Recorder) -> UpstreamPool:
    forwarding = service.forwarding
    tls = trusting(forwarding.upstream_ca) if service.upstream.scheme == "https" else None
    limits, name = Limits.of(forwarding), forwarding.upstream_name
    return UpstreamPool(service.upstream, policy, limits, tls=tls, name=name, recorder=recorder)


def _request_log(service: Service, policy: HeaderPolicy, lines: Lines | None) -> RequestLog | None:
    which = service.forwarding.log_requests
    return None if lines is None or which == "none" else RequestLog(lines, which, policy.client)


def _audit_file(service: Service, tallies: Tallies, stack: contextlib.AsyncExitStack) -> AuditFile | None:
    if service.audit_log is None:
        return None

    def lost(lines: int) -> None:
        tallies.counts[AUDIT_LOST] += lines

    file = AuditFile(service.audit_log, lost)
    stack.callback(file.end)
    return file


async def rehearse(configuration: Configuration, public: Address, inside: Address) -> None:
    """Raises the `BridgeError` that would end every worker: said by one process, it is one line and no traceback."""
    service = configuration.service
    if service.audit_log:
        try_to_open(service.audit_log)
    store = Store(service.state)
    try:
        await Keys(store, Seal(service.plain_secrets), lambda: configuration).load()
    finally:
        store.close()
    try_both(public, inside)


@contextlib.asynccontextmanager
async def running(path: Path, tallies: Tallies, log: Lines | None) -> AsyncIterator[Bridge]:
    """The service in this process, with its background work. The state is migrated already.

    `tallies` of `recorder.LAYOUT` are those of all workers; `log` is where requests are logged.
    """
    service = read_service(path)
    store = Store(service.state)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(store.close)
        documents = KeptDocuments(store)
        reloader = Reloader(path, documents=documents)
        fetcher = Fetcher(service.metadata_networks)
        stack.callback(fetcher.close)
        refresher = Refresher(
            store, fetcher, lambda: reloader.configuration, reloader.documents_changed, documents.since
        )
        clients = Clients(await stack.enter_async_context(http_client()))
        keys = Keys(store, Seal(service.plain_secrets), lambda: reloader.configuration)
        await keys.load()
        seal = Seal(service.plain_secrets, PURPOSE)
        launches = Launches(store, seal, lambda: reloader.configuration)
        drifts, audit = Drifts(store), Audit(_audit_file(service, tallies, stack))
        bridge = build(reloader, store, keys, clients, refresher.refresh_now, launches, drifts, audit, tallies, log)
        keeper = Keeper(store, lambda: reloader.configuration, clients.of)
        carrier = Carrier(store, lambda: reloader.configuration, clients.of)
        expiries = ExpiryWatch(store, keys, lambda: reloader.configuration)
        stack.push_async_callback(bridge.upstream.close)
        for work in (
            reloader.watch(bridge.front.apply),
            keeper.run(),
            keys.follow(),
            refresher.run(),
            expiries.run(),
            carrier.run(),
            launches.run(),
            drifts.run(),
            Vigil(bridge.upstream, bridge.front).run(),
        ):
            stack.push_async_callback(_stop, asyncio.ensure_future(work))
        # What was made so far stays: a collection that looked at thousands of tenants would stop every request.
        gc.collect()
        gc.freeze()
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
        together = os.environ.get(TALLIES)
        tallies = Tallies(LAYOUT, Path(together) if together else None)
        with logs.in_background() as lines:
            async with (
                running(Path(os.environ[CONFIG]), tallies, lines) as bridge,
                serve_internal(bridge.inside, inside),
            ):
                yield {"decider": bridge.front, "upstream": bridge.upstream}

    return Starlette(lifespan=lifespan)
