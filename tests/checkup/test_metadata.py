"""Metadata by URL: what it says now, beside what is in use, on a real web site."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from bridge.checkup.report import Report
from bridge.demo.responses import idp_metadata
from bridge.idps.fetch import Fetcher
from bridge.idps.keeping import Keeping
from bridge.settings.load import load
from bridge.store import idps
from bridge.store.engine import now_ms
from bridge.store.idps import Key
from tests.idps.site import Site, site
from tests.saml.parts import key

from .conftest import Looking

ENTITY_ID = "https://idp.example.com/metadata"


def document(name: str = "idp", entity_id: str = ENTITY_ID) -> bytes:
    return idp_metadata(entity_id, key(name), "https://idp.example.com/sso")


@pytest_asyncio.fixture
async def published(looking: Looking) -> AsyncIterator[Site]:
    """The site of acme's IdP; nobody has fetched anything yet."""
    async with site() as made:
        made.says(document())
        looking.rooms.deployment.service["metadata_networks"] = ["127.0.0.0/8"]
        looking.rooms.deployment.tenants["acme"]["saml"] = {"metadata": made.url()}
        yield made


async def take(looking: Looking) -> None:
    """What `serve` does."""
    configuration = load(looking.rooms.deployment.write(), {})
    [source] = configuration.metadata_urls
    store, fetcher = looking.rooms.store, Fetcher(configuration.service.metadata_networks, deadline=2)
    with contextlib.closing(fetcher):
        await store.write(lambda c: idps.claim(c, Key(source.slug, source.url), now_ms() + 60_000))
        await Keeping(store, fetcher).renew(source)


def said(report: Report) -> list[tuple[str, str]]:
    return [(finding.level, finding.says) for finding in report.findings]


async def test_what_is_in_use_is_good(looking: Looking, published: Site) -> None:
    await take(looking)
    report = await looking.acme()
    assert (report.level, report.metadata.now, said(report)) == ("good", "in use", [])
    assert report.fields["metadata"]["now"] == "in use"
    assert report.fields["metadata"]["age_seconds"] < 60


async def test_nothing_is_kept_of_what_is_fetched(looking: Looking, published: Site) -> None:
    await take(looking)
    before = await looking.rooms.store.read(idps.rows)
    published.says(document("new"))
    await looking.acme()
    assert await looking.rooms.store.read(idps.rows) == before


async def test_new_certificates_are_told(looking: Looking, published: Site) -> None:
    await take(looking)
    published.says(document("new"))
    report = await looking.acme()
    [(level, says)] = said(report)
    assert (report.metadata.now, level) == ("newer", "attention")
    assert "has other certificates than are in use" in says
    assert "kombo-bridge metadata refresh --tenant acme" in says


async def test_another_idp_is_told_with_what_to_do(looking: Looking, published: Site) -> None:
    await take(looking)
    published.says(document(entity_id="https://idp.other.example/"))
    report = await looking.acme()
    [(level, says)] = said(report)
    assert (report.metadata.now, level) == ("another IdP", "broken")
    assert "https://idp.other.example/" in says
    assert "kombo-bridge metadata accept acme" in says


async def test_a_site_that_is_gone_shuts_nobody_out_at_once(looking: Looking, published: Site) -> None:
    await take(looking)
    published.answers.clear()
    report = await looking.acme()
    [(level, says)] = said(report)
    assert (report.metadata.now, level) == ("fails", "attention")
    assert "HTTP 404" in says


async def test_a_page_in_its_place_is_no_metadata(looking: Looking, published: Site) -> None:
    await take(looking)
    published.says(b"<!doctype html><html><title>Sign in</title></html>")
    [(level, says)] = said(await looking.acme())
    assert (level, "cannot be taken now" in says) == ("attention", True)


async def test_metadata_that_is_yet_to_come(looking: Looking, published: Site) -> None:
    report = await looking.acme()
    assert (report.tenant, report.metadata.now, report.level) == (None, "newer", "attention")
    assert [level for level, _ in said(report)] == ["attention", "attention"]
    published.answers.clear()
    report = await looking.acme()
    assert (report.metadata.now, report.level) == ("fails", "broken")


async def test_a_file_is_as_old_as_it_is(looking: Looking, tmp_path: Path) -> None:
    report = await looking.acme()
    assert report.metadata.now is None
    assert report.metadata.age_ms is not None
    assert report.metadata.age_ms < 3600_000
