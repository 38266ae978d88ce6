"""The store's door: transactions, threads, migrations."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial

import pytest
from sqlalchemy import Connection, insert, inspect, select, text, update

from bridge.errors import StateError
from bridge.store import tables
from bridge.store.engine import Store, create, exists, insert_new, upsert
from bridge.store.migrate import migrate

USED = {"purpose": "test", "digest": "d", "forget_at": 1}


async def test_a_failed_write_leaves_nothing_behind(store: Store) -> None:
    def work(connection: Connection) -> None:
        insert_new(connection, tables.used, USED)
        connection.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(StateError, match="could not be read or written"):
        await store.write(work)
    assert await store.read(lambda c: c.execute(select(tables.used)).all()) == []


async def test_writers_that_read_first_do_not_overtake_each_other(store: Store) -> None:
    await store.write(lambda c: insert_new(c, tables.used, USED | {"forget_at": 0}))

    def count_up(connection: Connection) -> None:
        column = tables.used.c.forget_at
        [(count,)] = connection.execute(select(column).with_for_update())
        connection.execute(update(tables.used).values(forget_at=count + 1))

    await asyncio.gather(*(store.write(count_up) for _ in range(40)))
    assert await store.read(lambda c: c.execute(select(tables.used.c.forget_at)).scalar_one()) == 40


async def test_a_reader_sees_one_moment(either_url: str, either_store: Store) -> None:
    """Whatever a sync writes between two of its statements."""
    other = create(either_url)

    def work(connection: Connection) -> tuple[int, int]:
        before = len(connection.execute(select(tables.used)).all())
        with other.begin() as beside:
            insert_new(beside, tables.used, USED)
        return before, len(connection.execute(select(tables.used)).all())

    assert await either_store.read(work) == (0, 0)
    assert len(await either_store.read(lambda c: c.execute(select(tables.used)).all())) == 1
    other.dispose()


async def test_of_two_writers_that_wait_for_each_other_both_are_done(store: Store) -> None:
    """As a page and a live answer may that bring the same new people."""
    await store.write(lambda c: c.execute(insert(tables.used), [USED | {"digest": each} for each in "ab"]))
    met = threading.Barrier(2)

    def work(connection: Connection, digests: str) -> None:
        for digest in digests:
            connection.execute(update(tables.used).where(tables.used.c.digest == digest).values(forget_at=2))
            with contextlib.suppress(threading.BrokenBarrierError):
                met.wait(0.5)

    await asyncio.gather(store.write(partial(work, digests="ab")), store.write(partial(work, digests="ba")))
    assert await store.read(lambda c: c.execute(select(tables.used.c.forget_at)).scalars().all()) == [2, 2]


async def test_what_is_wrong_with_the_state_is_named(store: Store) -> None:
    """Not in the database's own sentence, which quotes what was to be written."""
    named = {"sqlite": "SQLITE_CONSTRAINT_PRIMARYKEY", "postgresql": "UniqueViolation"}[store.engine.dialect.name]
    with pytest.raises(StateError, match=f"could not be read or written: {named}$"):
        await store.write(lambda c: [c.execute(insert(tables.used), USED) for _ in range(2)])


async def test_two_stores_share_one_state(url: str, store: Store) -> None:
    other = Store(url)
    try:
        first, second = await asyncio.gather(
            store.write(lambda c: insert_new(c, tables.used, USED)),
            other.write(lambda c: insert_new(c, tables.used, USED)),
        )
        assert sorted([first, second]) == [False, True]
    finally:
        other.close()


async def test_an_older_row_does_not_replace_a_newer_one(store: Store) -> None:
    def row(changed_at: int, origin: str) -> dict[str, object]:
        return {
            "integration_id": "i",
            "id": "c",
            "origin_id": origin,
            "changed_at": changed_at,
            "deleted_at": None,
            "seen_at": 1,
        }

    for changed_at, origin in [(5, "five"), (4, "four"), (6, "six"), (6, "six again")]:
        await store.write(partial(upsert, table=tables.courses, rows=[row(changed_at, origin)], newest_by="changed_at"))
    assert await store.read(lambda c: c.execute(select(tables.courses.c.origin_id)).scalars().all()) == ["six again"]


def test_the_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    migrate(url)
    migrate(url)
    engine = create(url)
    found = inspect(engine)
    for table in tables.metadata.sorted_tables:
        assert {column["name"] for column in found.get_columns(table.name)} == set(table.columns.keys())
        assert {index["name"] for index in found.get_indexes(table.name)} == {index.name for index in table.indexes}
    engine.dispose()


def test_a_state_of_a_newer_version_is_refused(url: str) -> None:
    migrate(url)
    engine = create(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StateError, match="newer version of the bridge"):
        migrate(url)


@pytest.mark.parametrize("url", ["mysql://localhost/x", "bridge.db", "", "postgresql://bridge@db:port/x"])
def test_another_database_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(StateError, match=r"sqlite:///path or postgresql://"):
        create(url)


def test_whether_there_is_a_state_can_be_asked_of_a_url_alone() -> None:
    with pytest.raises(StateError, match=r"sqlite:///path or postgresql://"):
        exists("postgresql://bridge@db:port/x")
    with pytest.raises(StateError, match="cannot be opened: File name too long"):
        exists(f"sqlite:////{'x' * 300}")


def test_a_database_that_does_not_answer_is_said_in_one_line(unused_tcp_port: int) -> None:
    with pytest.raises(StateError, match=r"^the state cannot be opened: [^\n]+refused[^\n]*$"):
        migrate(f"postgresql://bridge@127.0.0.1:{unused_tcp_port}/bridge")


def test_a_state_that_is_no_database_is_a_state_error(tmp_path: object) -> None:
    with pytest.raises(StateError, match="cannot be opened"):
        migrate(f"sqlite:///{tmp_path}")
