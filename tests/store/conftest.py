"""The store on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.store.engine import create
from bridge.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty state."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bridge.db"
    server: str = request.getfixturevalue("postgresql_server")
    engine = create(server)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    return server
