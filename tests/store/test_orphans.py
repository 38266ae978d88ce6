"""What was read of integrations that no tenant names any more."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bridge.directory import sweep
from bridge.errors import Problem, SettingsError
from bridge.kombo.model import Course, Progression, Revision, User
from bridge.settings.model import Configuration
from bridge.store import directory, integrations, orphans, syncs, tables
from bridge.store.engine import Store, now_ms
from bridge.store.rows import MODELS
from tests.support.deployment import Deployment

THEN = datetime(2026, 1, 1, tzinfo=UTC)
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Deployment(tmp_path).load()


async def fill(store: Store, integration: str, days_ago: int) -> None:
    moment = now_ms() - days_ago * DAY_MS
    course = Course("c", "C", THEN, revisions=(Revision("r", "R", THEN),))
    users = [User(f"u{number}", "E", THEN) for number in range(5)]
    await store.write(partial(directory.save_users, integration_id=integration, users=users, seen_at=moment))
    await store.write(partial(directory.save_courses, integration_id=integration, courses=[course], seen_at=moment))
    rows = [Progression("p", "u1", "r", THEN)]
    await store.write(partial(directory.save_progressions, integration_id=integration, found=rows, seen_at=moment))
    for model in MODELS:
        await store.write(partial(syncs.begin, integration_id=integration, model=model, mode="full", moment=moment))
    await store.write(lambda c: integrations.note(c, integration, "acme"))


async def left(store: Store, integration: str) -> int:
    found = 0
    for table in (*orphans.READ, tables.syncs, tables.integrations):
        query = select(func.count()).select_from(table).where(table.c.integration_id == integration)
        found += (await store.read(lambda c, query=query: c.execute(query))).scalar_one()
    return found


async def test_they_are_forgotten_after_a_while(
    either_store: Store, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.orphans.CHUNK", 2)
    named = configuration.tenants["acme"].integration_id
    for integration, days in ((named, 100), ("workday:former", 31), ("workday:recent", 29)):
        await fill(either_store, integration, days)
    whole = await left(either_store, named)
    await sweep.sweep(either_store, configuration)
    assert await left(either_store, "workday:former") == 0
    assert await left(either_store, "workday:recent") == whole
    assert await left(either_store, named) == whole


async def test_not_while_somebody_may_name_them(
    store: Store, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, "workday:former", 31)
    broken = {"globex": SettingsError(Problem("globex.yaml", 1, "wrong"))}
    unclear = Configuration(configuration.service, configuration.tenants, broken)
    await sweep.sweep(store, unclear)
    assert await left(store, "workday:former")
