"""The funnel and all that is counted of launches, as Prometheus reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.keys.custody import HeldKeys
from bridge.metrics import Metrics
from bridge.settings.model import Configuration
from bridge.store import drifts, funnel, launches, refusals
from bridge.store.engine import Store, now_ms
from bridge.store.launches import Launch
from bridge.store.refusals import Refused
from tests.support.deployment import Deployment

DAY_MS = 24 * 3600 * 1000
Samples = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """Acme and Globex; a third has never been valid."""
    found = Deployment(tmp_path).load()
    tenants = {slug: found.tenants[slug] for slug in ("acme", "globex")}
    return replace(found, tenants=tenants, broken={"broken": cast(Any, None)})


async def samples(store: Store, configuration: Configuration) -> Samples:
    """By metric, and in each by the values of the labels in the order of their names."""
    found: Samples = {}
    text = (await Metrics(store, HeldKeys(), lambda: configuration).text()).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            of = found.setdefault(sample.name.removeprefix("kombo_bridge_"), {})
            of[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def launch(tenant: str, outcome: str, began_at: int) -> Launch:
    id = f"{tenant}.{outcome}.{began_at}"
    return Launch(id, "a-b-c", tenant, "i", "idp", "link", began_at, outcome, "[]", "/")


async def test_every_step_of_every_tenant_is_there_from_the_beginning(
    store: Store, configuration: Configuration
) -> None:
    """Prometheus sees no increase in what appears for the first time."""
    found = await samples(store, configuration)
    steps = ("asked", "signed_in", "matched", "gate", "forwarded")
    assert found["launches_total"] == {(step, tenant): 0 for step in steps for tenant in ("acme", "globex")}
    assert set(found["matches_total"].values()) == set(found["gate_opened_total"].values()) == {0}
    assert len(found["matches_total"]) == len(found["gate_opened_total"]) == 6
    assert "refusals_total" not in found


async def test_what_was_counted(store: Store, configuration: Configuration) -> None:
    counts = {
        ("acme", "2026-11-21", "asked"): 2,
        ("acme", "2026-11-22", "asked"): 3,
        ("acme", "2026-11-22", "matched by email"): 4,
        ("acme", "2026-11-22", "gate stale"): 5,
        ("acme", "2026-11-22", "not_enrolled"): 6,
        ("broken", "2026-11-22", "tenant_unavailable"): 7,
        ("", "2026-11-22", "tenant_unknown"): 8,
    }
    await store.write(lambda connection: funnel.count(connection, counts))
    found = await samples(store, configuration)
    assert found["launches_total"]["asked", "acme"] == 5
    assert found["matches_total"]["acme", "email"] == 4
    assert found["gate_opened_total"]["acme", "stale"] == 5
    assert found["refusals_total"] == {
        ("not_enrolled", "acme"): 6,
        ("tenant_unavailable", "broken"): 7,
        ("tenant_unknown", ""): 8,
    }


async def test_nobody_can_make_more_series(store: Store, configuration: Configuration) -> None:
    before = {name: len(of) for name, of in (await samples(store, configuration)).items()}
    counts = {
        (tenant, "2026-11-22", what): 1
        for tenant in ("a tenant that is no more", "x" * 60)
        for what in ("asked", "forwarded", "not_enrolled", "matched by name_id", "gate fresh")
    } | {("acme", "2026-11-22", what): 1 for what in ("a code of a later version", "matched by shoe", "gate open")}
    moment = now_ms()

    def work(connection: Any) -> None:
        funnel.count(connection, counts)
        for tenant in ("gone", "x"):
            refusals.note(connection, tenant, [Refused("a-b-c", tenant, moment, "c", 400, "r", "GET", "/")], 10)
            drifts.note(connection, tenant, "address_changed", "u", "a@b", None, moment)
            launches.add(connection, launch(tenant, "forwarded", moment))

    await store.write(work)
    assert {name: len(of) for name, of in (await samples(store, configuration)).items()} == before


async def test_when_a_launch_was_last_good(either_store: Store, configuration: Configuration) -> None:
    moment = now_ms()

    def work(connection: Any) -> None:
        for tenant, outcome, ago in (
            ("acme", "forwarded", 3),
            ("acme", "forwarded", 2),
            ("acme", "not_enrolled", 1),
            ("globex", "not_enrolled", 1),
        ):
            launches.add(connection, launch(tenant, outcome, moment - ago * DAY_MS))
            funnel.count(connection, {(tenant, "2026-11-22", outcome): 1})

    await either_store.write(work)
    found = await samples(either_store, configuration)
    assert found["launch_last_good_timestamp_seconds"] == {("acme",): (moment - 2 * DAY_MS) / 1000}


async def test_what_is_noticed_of_addresses_and_kept_of_refusals(
    either_store: Store, configuration: Configuration
) -> None:
    moment = now_ms()

    def work(connection: Any) -> None:
        for user, ago in (("u1", 1), ("u2", 29), ("u3", 31)):
            drifts.note(connection, "acme", "address_changed", user, "a@b", None, moment - ago * DAY_MS)
        some = [Refused("a-b-c", "acme", moment, "c", 400, "r", "GET", "/")] * 3
        refusals.note(connection, "acme", some, 2)

    await either_store.write(work)
    found = await samples(either_store, configuration)
    assert found["addresses_drifted"]["address_changed", "acme"] == 2
    assert found["addresses_drifted"]["address_shared", "acme"] == 0
    assert found["refusals_kept"] == {("acme",): 2, ("globex",): 0}
