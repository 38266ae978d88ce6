"""Nodes over one state, a tenant whose IdP publishes its metadata at a URL, and that IdP's site."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.demo.responses import IdpKey, idp_metadata
from bridge.idps import refresh
from bridge.idps.documents import KeptDocuments
from bridge.idps.fetch import Fetcher
from bridge.idps.keeping import Keeping
from bridge.idps.refresh import Refresher
from bridge.settings.load import read_service
from bridge.settings.model import Configuration, MetadataUrl, Tenant
from bridge.settings.reload import Reloader
from bridge.store import idps
from bridge.store.engine import Store, now_ms
from bridge.store.idps import Kept, Key
from bridge.store.migrate import migrate
from tests.saml.parts import key
from tests.settings.conftest import Folder

from .site import Site, site

ENTITY_ID = "https://idp.example.com/metadata"
OTHER = "https://idp.other.example/"


def metadata(*names: str, entity_id: str = ENTITY_ID, attributes: str = "") -> bytes:
    """The IdP's metadata with the keys of those names; `attributes` are further ones of its EntityDescriptor."""
    first, *others = names or ("idp",)
    document = idp_metadata(entity_id, key(first), "https://idp.example.com/sso").decode()
    for name in others:
        descriptor = document[document.index("<md:KeyDescriptor") : document.index("</md:KeyDescriptor>") + 19]
        another = descriptor.replace(key(first).certificate_base64, key(name).certificate_base64)
        document = document.replace("</md:KeyDescriptor>", f"</md:KeyDescriptor>{another}", 1)
    return document.replace(" entityID=", f" {attributes} entityID=", 1).encode()


@dataclass
class Node:
    """One process as far as metadata goes."""

    store: Store
    reloader: Reloader
    refresher: Refresher
    keeping: Keeping
    told: list[Configuration] = field(default_factory=list)

    @property
    def acme(self) -> Tenant | None:
        return self.reloader.configuration.tenants.get("acme")

    @property
    def certificates(self) -> tuple[str, ...]:
        assert self.acme
        return self.acme.provider.certificates

    @property
    def trouble(self) -> str:
        return str(self.reloader.configuration.broken["acme"])

    def source(self, slug: str = "acme") -> MetadataUrl:
        return next(found for found in self.reloader.configuration.metadata_urls if found.slug == slug)

    async def row(self, slug: str = "acme") -> Kept:
        return next(row for row in await self.store.read(idps.rows) if row.tenant == slug)

    async def until(self, holds: Callable[[], Any], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.02)


@dataclass
class Customer:
    """The tenant acme, and its IdP's site."""

    folder: Folder
    site: Site

    def write(self, slug: str = "acme", *, path: str = "/metadata", **saml: str) -> None:
        lines = "".join(f", {name}: {value}" for name, value in saml.items())
        self.folder.tenant(slug, f"saml: {{metadata: '{self.site.url(path)}'{lines}}}")

    def publishes(self, *names: str, etag: str | None = None, **changes: str) -> None:
        self.site.says(metadata(*names, **changes), *([f"ETag: {etag}"] if etag else []))

    @contextlib.asynccontextmanager
    async def node(self, *, runs: bool = True) -> AsyncIterator[Node]:
        service = read_service(self.folder.bridge, {})
        store, fetcher = Store(service.state), Fetcher(service.metadata_networks, deadline=3)
        documents = KeptDocuments(store)
        reloader = Reloader(self.folder.bridge, {}, documents, every=0.05, settled_after=0.02)
        refresher = Refresher(
            store, fetcher, lambda: reloader.configuration, reloader.documents_changed, documents.since
        )
        node = Node(store, reloader, refresher, Keeping(store, fetcher))
        work = [reloader.watch(node.told.append), *([refresher.run()] if runs else [])]
        tasks = [asyncio.ensure_future(each) for each in work]
        await asyncio.sleep(0)
        try:
            yield node
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            fetcher.close()
            store.close()

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[Node]:
        """A node that has the IdP's metadata."""
        async with self.node() as node:
            await node.until(lambda: node.acme)
            yield node


def stamp(offset: timedelta) -> str:
    return (datetime.now(UTC) + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


async def make_due(node: Node, slug: str = "acme") -> None:
    source = node.source(slug)
    await node.store.write(lambda c: idps._change(c, Key(source.slug, source.url), next_at=0))


async def fetched_again(customer: Customer, node: Node) -> None:
    """The next fetch, and the row after it."""
    before, row = len(customer.site.heads), await node.row()
    await make_due(node)
    await node.until(lambda: len(customer.site.heads) > before)
    async with asyncio.timeout(20):
        while (now := await node.row()).next_at == 0 or now.next_at < now_ms() + 61_000 or now == row:
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(refresh, "TICK_SECONDS", 0.05)
    yield


@pytest_asyncio.fixture
async def customer(folder: Folder) -> AsyncIterator[Customer]:
    folder.service("metadata_networks: [127.0.0.0/8]\nstate: sqlite:///bridge.db")
    migrate(f"sqlite:///{folder.path}/bridge.db")
    async with site() as published:
        made = Customer(folder, published)
        made.write()
        made.publishes("idp")
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "tenants").mkdir()
    return Folder(tmp_path, {})


def pem(name: str) -> str:
    found: IdpKey = key(name)
    return found.certificate_pem
