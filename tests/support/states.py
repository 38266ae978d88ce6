"""An empty state of either kind, migrated."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from sqlalchemy import text

from bridge.store.engine import create
from bridge.store.migrate import migrate


@contextlib.contextmanager
def postgresql_state(server: str) -> Iterator[str]:
    """A database of its own on a running server, whose URL names another."""
    name = f"t{uuid.uuid4().hex}"
    engine = create(server).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = server.rpartition("/")[0] + "/" + name
    try:
        migrate(url)
        yield url
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()
