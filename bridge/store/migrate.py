"""Bringing the state to the schema of this version, with Alembic, before anything else touches it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import StateError
from bridge.store.engine import create

ADVISORY_LOCK = 7_305_424_013


def migrate(url: str) -> None:
    """Upgrade the schema. Raises `StateError` where the state cannot be opened or was written by a newer version.

    Nodes that start together take turns: SQLite by its write lock, PostgreSQL by an advisory lock.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create(url)
    try:
        with engine.execution_options(writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            _refuse_newer(connection, ScriptDirectory.from_config(config))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StateError(f"the state cannot be opened: {' '.join(str(cause).split())}") from error
    finally:
        engine.dispose()


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise StateError(
                f"the state was written by a newer version of the bridge (schema {revision}); upgrade this one"
            )
