"""A state of each older version, with something in every table, comes up to this one with all that was in it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Integer, MetaData, insert, select, update

import bridge.store.migrations
from bridge.store import launches, owners, sessions
from bridge.store.engine import Store, create, now_ms
from bridge.store.launches import FORWARDED, Filter, Finish, Launch
from bridge.store.migrate import migrate

VERSIONS = Path(bridge.store.migrations.__file__).parent / "versions"
OLDER = sorted(path.name[:4] for path in VERSIONS.glob("0*.py"))[:-1]
LATER = now_ms() + 3_600_000


def older(url: str, revision: str) -> None:
    """The schema as an older version made it."""
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    engine = create(url)
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def filled(connection: Connection) -> dict[str, dict[str, Any]]:
    """A row in every table, each value another; by table."""
    found = MetaData()
    found.reflect(connection)
    rows: dict[str, dict[str, Any]] = {}
    for table in found.sorted_tables:
        if table.name != "alembic_version":
            values = {
                column.name: number if isinstance(column.type, Integer) else f"{column.name} {number}"[:16]
                for number, column in enumerate(table.columns, 1)
            }
            connection.execute(insert(table), values)
            rows[table.name] = values
    sessions = found.tables["sessions"]
    connection.execute(update(sessions).values(ends_at=LATER))
    rows["sessions"]["ends_at"] = LATER
    return rows


def kept(connection: Connection, rows: dict[str, dict[str, Any]]) -> None:
    now = MetaData()
    now.reflect(connection)
    for name, values in rows.items():
        [row] = connection.execute(select(now.tables[name])).mappings()
        assert {column: row[column] for column in values} == values, name


@pytest.mark.parametrize("revision", OLDER)
def test_all_that_was_there_is_kept_and_sessions_live_on(url: str, revision: str) -> None:
    older(url, revision)
    engine = create(url)
    with engine.begin() as connection:
        rows = filled(connection)
    migrate(url)
    with engine.begin() as connection:
        kept(connection, rows)
        digest = rows["sessions"]["digest"]
        session = sessions.find(connection, digest)
        assert session
        assert session.user_id == rows["sessions"]["user_id"]
        assert [owned.row for owned in owners.owned(connection, [digest])] == [session]
    engine.dispose()


def test_a_session_of_before_launches_ends_none(url: str) -> None:
    older(url, "0003")
    engine = create(url)
    with engine.begin() as connection:
        filled(connection)
    engine.dispose()
    migrate(url)
    launch = Launch("one", "a-b-c", "acme", "i", "idp", "link", 1, "signed_in", "[{}]", "/")

    async def launched(store: Store) -> list[Launch]:
        await store.write(lambda c: launches.add(c, launch))
        await store.write(lambda c: launches.finish(c, Finish("one", 2, FORWARDED, "{}")))
        return list(await store.read(lambda c: launches.recent(c, Filter(), 10)))

    with closing(Store(url)) as store:
        assert [each.outcome for each in asyncio.run(launched(store))] == [FORWARDED]
