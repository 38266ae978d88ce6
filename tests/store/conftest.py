"""The store on SQLite, and on PostgreSQL where one is at hand (`KOMBO_BRIDGE_TEST_POSTGRESQL`, a database URL)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bridge.store.engine import Store, create
from bridge.store.migrate import migrate
from bridge.store.tables import metadata
from sqlalchemy import text

POSTGRESQL = "KOMBO_BRIDGE_TEST_POSTGRESQL"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bridge.db"
    if POSTGRESQL not in os.environ:
        pytest.skip(f"no PostgreSQL: set {POSTGRESQL} to the URL of an empty database")
    found = os.environ[POSTGRESQL]
    engine = create(found)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    return found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    migrate(url)
    store = Store(url)
    yield store
    store.close()
