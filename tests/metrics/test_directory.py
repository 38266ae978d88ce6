"""How fresh the local copy is, read off the state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bridge.metrics import directory
from bridge.settings.model import Configuration
from bridge.store import integrations, syncs
from bridge.store.engine import Store, moment_ms
from tests.support.deployment import Deployment

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Deployment(tmp_path).load()


def ago(seconds: int) -> int:
    return moment_ms(NOW - timedelta(seconds=seconds))


async def samples(store: Store, configuration: Configuration) -> dict[str, dict[tuple[str, ...], float]]:
    found = await store.read(lambda c: list(directory.measured(c, configuration, NOW)))
    return {
        metric.name.removeprefix("kombo_bridge_"): {
            tuple(sample.labels.values()): sample.value for sample in metric.samples
        }
        for metric in found
    }


async def test_passes_and_standings(either_store: Store, configuration: Configuration) -> None:
    acme, globex = (configuration.tenants[slug].integration_id for slug in ("acme", "globex"))

    def work(connection: Connection) -> None:
        begun = syncs.begin(connection, acme, "users", "full", ago(100))
        syncs.finish(
            connection, syncs.advance(connection, begun, cursor="", rows=7, unreadable=0, newest=1), held=False
        )
        begun = syncs.begin(connection, acme, "users", "delta", ago(50))
        syncs.advance(connection, begun, cursor="2", rows=2, unreadable=1, newest=1)
        syncs.begin(connection, acme, "courses", "full", ago(40))
        syncs.fail(connection, acme, "courses", 3, ago(-60))
        syncs.begin(connection, "workday:of-nobody", "users", "full", ago(40))
        integrations.note(connection, acme, "acme", status="ACTIVE", good_at=ago(30), held=5, held_of=9, held_at=ago(1))
        integrations.note(connection, globex, "globex", status="INVALID", good_at=ago(3000))

    await either_store.write(work)
    found = await samples(either_store, configuration)
    assert found["directory_age_seconds"] == {("acme", "users"): 100}
    assert found["sync_rows"] == {("acme", "users"): 2, ("acme", "courses"): 0}
    assert found["sync_failures"] == {("acme", "users"): 0, ("acme", "courses"): 3}
    assert found["sync_unreadable"] == {("acme", "users"): 1, ("acme", "courses"): 0}
    assert found["sync_held_people"] == {("acme",): 5, ("globex",): 0, ("initech",): 0, ("vandelay",): 0}
    assert found["kombo_data_age_seconds"] == {("acme",): 30, ("globex",): 3000}
    assert found["integration_active"] == {("acme",): 1, ("globex",): 0}


async def test_a_state_with_nothing_in_it(store: Store, configuration: Configuration) -> None:
    found = await samples(store, configuration)
    assert {name for name, values in found.items() if values} == {"sync_held_people"}
