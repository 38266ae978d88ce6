"""`/metrics` on the internal listener, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from bridge.front.front import Front
from bridge.front.internal import internal
from bridge.keys.custody import HeldKeys
from bridge.keys.expiry import DAY
from bridge.metrics import Metrics
from bridge.settings.model import Configuration
from bridge.store import clocks, idps, tables
from bridge.store.engine import Store, moment_ms
from bridge.store.idps import Key
from tests.support.certificates import certificate
from tests.support.deployment import Deployment
from tests.support.keys import held_keys

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
URL = "https://idp.example.com/metadata"
Samples = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """Acme's IdP has a certificate that ends in five days; globex fetches its metadata and has keys of its own."""
    configuration = Deployment(tmp_path).load()
    acme, globex = (configuration.tenants[slug] for slug in ("acme", "globex"))
    provider = replace(acme.provider, certificates=(certificate(NOW - DAY), certificate(NOW + 5 * DAY)))
    saml = globex.saml.model_copy(update={"own_keys": True, "metadata": URL})
    tenants = {
        "acme": acme.model_copy(update={"provider": provider}),
        "globex": globex.model_copy(update={"saml": saml}),
    }
    return replace(configuration, tenants=tenants, broken={"gone": cast(Any, None)})


async def samples(metrics: Metrics) -> Samples:
    """By metric, and in each by the labels' values, as Prometheus' own parser reads them."""
    found: Samples = {}
    for family in text_string_to_metric_families((await metrics.text(NOW)).decode()):
        assert family.type in ("gauge", "counter", "histogram")
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name.removeprefix("kombo_bridge_"), {})[tuple(sample.labels.values())] = (
                sample.value
            )
    return found


async def fetched(store: Store, tenant: str, url: str, seconds: int) -> None:
    """Metadata that was found to be current so many seconds ago."""
    key = Key(tenant, url)
    await store.write(partial(idps.claim, key=key, until=1))
    await store.write(partial(idps.keep, key=key, document=b"<x/>", entity_id="idp", etag=None, next_at=1))
    row = tables.idp_metadata.c
    moment = moment_ms(NOW) - seconds * 1000
    this = update(tables.idp_metadata).where(row.tenant == tenant, row.url == url)
    await store.write(lambda c: c.execute(this.values(checked_at=moment)))


async def test_tenants_and_certificates(store: Store, configuration: Configuration) -> None:
    keys = held_keys("globex", "acme")
    found = await samples(Metrics(store, keys, lambda: configuration))
    assert found["tenants"] == {(): 2}
    assert found["tenants_broken"] == {(): 1}
    assert found["state_up"] == {(): 1}
    assert found["idp_certificate_days_left"][("acme",)] == pytest.approx(5, abs=0.01)
    [deployments] = keys.of(configuration.tenants["acme"])
    [globex] = keys.of(configuration.tenants["globex"])
    own = {frozenset(labels) for labels in found["saml_certificate_days_left"]}
    assert own == {frozenset(("", deployments.id)), frozenset(("globex", globex.id))}  # acme's are not in use
    assert found["certificates_ending"] == {("0",): 0, ("7",): 1, ("30",): 1}


async def test_what_the_state_knows_of_idps(store: Store, configuration: Configuration) -> None:
    await fetched(store, "globex", URL, 90)
    await fetched(store, "globex", "https://former.example.com", 99)
    await fetched(store, "acme", URL, 99)
    for slug, provider in (("acme", configuration.tenants["acme"].provider.entity_id), ("globex", "a former IdP")):
        await store.write(partial(clocks.record, tenant=slug, provider=provider, offset_ms=-2500))
    metrics = Metrics(store, HeldKeys(), lambda: configuration)
    found = await samples(metrics)
    assert found["idp_metadata_age_seconds"] == {("globex",): 90}
    assert found["idp_metadata_held"] == {("globex",): 0}
    assert found["idp_clock_offset_seconds"] == {("acme",): -2.5}
    assert found["idp_metadata_failures"] == {("globex",): 0}
    await store.write(partial(idps.fail, key=Key("globex", URL), reason="no answer", failures=3, next_at=1))
    assert (await samples(metrics))["idp_metadata_failures"] == {("globex",): 3}
    await store.write(partial(idps.hold, key=Key("globex", URL), entity_id="another", next_at=1))
    assert (await samples(metrics))["idp_metadata_held"] == {("globex",): 1}


async def test_the_validity_of_metadata(store: Store, configuration: Configuration) -> None:
    ends = {"acme": NOW + 20 * DAY, "globex": NOW + 5 * DAY, "gone": NOW - DAY}
    metrics = Metrics(store, HeldKeys(), lambda: replace(configuration, valid_until=ends))
    await fetched(store, "globex", URL, 0)
    row = tables.idp_metadata.c

    async def ending(days_ago: int) -> dict[tuple[str, ...], float]:
        moment = moment_ms(NOW - days_ago * DAY)
        await store.write(lambda c: c.execute(update(tables.idp_metadata).values({row.fetched_at: moment})))
        found = await samples(metrics)
        assert found["idp_metadata_valid_days_left"] == {("acme",): 20, ("globex",): 5, ("gone",): -1}
        return found["idp_metadata_ending"]

    assert await ending(2) == {("acme",): 1, ("globex",): 0, ("gone",): 1}
    assert await ending(16) == {("acme",): 1, ("globex",): 1, ("gone",): 1}


async def test_without_the_state_the_rest_is_still_said(store: Store, configuration: Configuration) -> None:
    await store.write(lambda c: c.exec_driver_sql("DROP TABLE idp_clocks"))
    found = await samples(Metrics(store, HeldKeys(), lambda: configuration))
    assert found["state_up"] == {(): 0}
    assert found["tenants"] == {(): 2}
    assert "idp_clock_offset_seconds" not in found


@pytest.fixture
async def inside(store: Store, configuration: Configuration) -> AsyncIterator[httpx.AsyncClient]:
    keys = held_keys()
    application = internal(cast(Front, None), store, keys, Metrics(store, keys, lambda: configuration))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://inside") as client:
        yield client


async def test_the_internal_listener_answers_in_the_text_format(inside: httpx.AsyncClient) -> None:
    answer = await inside.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE kombo_bridge_tenants gauge\nkombo_bridge_tenants 2.0\n" in answer.text
    assert "PRIVATE" not in answer.text


async def test_the_internal_listener_serves_the_ring_in_force(inside: httpx.AsyncClient) -> None:
    answer = await inside.get("/jwks.json")
    assert [key["kid"] for key in answer.json()["keys"]] == [held_keys().ring.signer.kid]
