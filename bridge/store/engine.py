"""One store behind one asynchronous door: `await store.read(work)` and `await store.write(work)`.

`work` is a plain function of a SQLAlchemy connection, which may be called again and so touches nothing else. It runs in
a thread, inside one transaction, so that neither a slow disk nor a distant database holds up the event loop. SQLite has
a single writer, so writes queue in a thread of their own and take the write lock at once (`BEGIN IMMEDIATE`): a
transaction that reads before it writes can then not be overtaken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Table,
    and_,
    create_engine,
    delete,
    event,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bridge.errors import StateError

T = TypeVar("T")

READERS = 4
BUSY_SECONDS = 10
TRIES = 3
DEADLOCK = "40P01"
_ONE_MOMENT: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""PostgreSQL would otherwise show each statement of a transaction what others have written by then. With SQLite it is
so anyway."""


def now_ms() -> int:
    """The wall clock in milliseconds since 1970, UTC: the unit of every moment in the store."""
    return time.time_ns() // 1_000_000


def moment_ms(moment: datetime) -> int:
    """An aware time as the store holds it: whole milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def length_ms(length: timedelta) -> int:
    """A duration of the settings in the store's unit."""
    return int(length.total_seconds() * 1000)


def create(url: str) -> Engine:
    """An engine for a `state` setting: `sqlite:///path` or `postgresql://…`. Raises `StateError` for any other."""
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return _postgresql(parsed)
    if backend != "sqlite":
        raise StateError(f"state names the database {backend}; write sqlite:///path or postgresql://…")
    if parsed.database and parsed.database != ":memory:":
        folder = Path(parsed.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"the state's folder {folder} cannot be made: {error.strerror}") from error
    engine = create_engine(
        parsed, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None}, hide_parameters=True
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL) -> Engine:
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_size=READERS + 1,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": BUSY_SECONDS,
                "options": f"-c statement_timeout={BUSY_SECONDS}s -c lock_timeout={BUSY_SECONDS}s",
            },
        )
    except ImportError as error:
        raise StateError(
            "the state is PostgreSQL, whose driver is not installed: add the extra `postgresql`"
        ) from error


def exists(url: str) -> bool:
    """Whether opening the state finds something; opening a SQLite file that is not there would make it.

    Raises `StateError` for what is no database URL, and for a file that cannot be looked for.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        return True
    try:
        return bool(parsed.database) and Path(str(parsed.database)).is_file()
    except OSError as error:
        raise StateError(f"the state cannot be opened: {error.strerror}") from error


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # the latter for a port that is no number
        raise StateError("state is not a database URL; write sqlite:///path or postgresql://…") from error


def _configure_sqlite(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


class Store:
    """The open state. Migrated before it is opened (`bridge.store.migrate`)."""

    def __init__(self, url: str) -> None:
        self.engine = create(url)
        single_writer = self.engine.dialect.name == "sqlite"
        self._reading = self.engine if single_writer else self.engine.execution_options(**_ONE_MOMENT)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._writers = ThreadPoolExecutor(1, thread_name_prefix="store-write") if single_writer else self._readers
        self._writing = self.engine.execution_options(writes=True)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` in a transaction that sees one moment of the state, and must not write in it.

        Raises `StateError`.
        """
        return await self._run(self._readers, self._reading, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, committed and on disk. Raises `StateError`; nothing of `work` then remains."""
        return await self._run(self._writers, self._writing, work)

    def read_here(self, work: Callable[[Connection], T]) -> T:
        """As `read`, for a caller that runs in a thread of its own and may block there."""
        return _transaction(self._reading, work)

    async def _run(self, pool: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, _transaction, engine, work)

    async def ping(self) -> None:
        """Raises `StateError` where the state cannot be reached."""
        await self.read(lambda connection: connection.execute(select(1)).scalar())

    def close(self) -> None:
        """Wait for what runs, then let the database go."""
        self._writers.shutdown()
        self._readers.shutdown()
        self.engine.dispose()


def _transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    """The result of `work`; which is done again where PostgreSQL has undone it to end a deadlock, as it may with any
    two that write several rows. Kombo's ids are new to one of them, so that no order of locking them prevents it.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            with engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            if not (tries_left and getattr(_cause(error), "sqlstate", None) == DEADLOCK):
                raise StateError(f"the state could not be read or written: {_named(error)}") from error
    raise AssertionError("the last try returns or raises")


def _cause(error: SQLAlchemyError) -> BaseException:
    return getattr(error, "orig", None) or error


def _named(error: SQLAlchemyError) -> str:
    """What it is about, as `DiskFull`, or `SQLITE_BUSY`: never the sentence, which may quote what was to be written."""
    cause = _cause(error)
    name: str = getattr(cause, "sqlite_errorname", "SQLITE_ERROR")
    return type(cause).__name__ if name == "SQLITE_ERROR" else name


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    newest_by: str | None = None,
    only: Callable[[Any], ColumnElement[bool]] | None = None,
    merged: Callable[[Any], Mapping[str, Any]] | None = None,
) -> Sequence[Row[Any]]:
    """Insert rows, or replace those with the same primary key; the keys of those that were written.

    With `newest_by` an existing row is replaced only by one whose value in that column is not smaller, and with `only`
    where the condition that it makes of the fresh row's columns holds; `merged` makes of those the values of columns
    that do not simply take the fresh one. Rows must have distinct keys: PostgreSQL refuses to touch a row twice in one
    statement.
    """
    if not rows:
        return []
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    fresh = statement.excluded
    values = {column.name: fresh[column.name] for column in table.columns if not column.primary_key}
    values |= merged(fresh) if merged else {}
    conditions = [fresh[newest_by] >= func.coalesce(table.c[newest_by], 0)] if newest_by else []
    conditions += [only(fresh)] if only else []
    where = and_(*conditions) if conditions else None
    keys = list(table.primary_key.columns)
    statement = statement.on_conflict_do_update(index_elements=keys, set_=values, where=where)
    return connection.execute(statement.returning(*keys), list(rows)).all()


def learn(connection: Connection, tables: Iterable[Table]) -> None:
    """Let PostgreSQL look at tables that have grown: what it plans on guesses reads all of a table to find a few rows.

    It does so by itself, but minutes later, when a first reading is half over. SQLite plans by the indexes alone.
    """
    if connection.dialect.name == "postgresql":
        for table in tables:
            connection.exec_driver_sql(f"ANALYZE {table.name}")


def delete_some(connection: Connection, table: Table, which: ColumnElement[bool], limit: int) -> int:
    """Delete at most `limit` rows of a condition; how many they were. For what may be many: others wait to write."""
    key = list(table.primary_key.columns)
    some = select(*key).where(which).limit(limit)
    return connection.execute(delete(table).where(tuple_(*key).in_(some))).rowcount


def insert_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless its primary key is taken; tell whether it was new."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(row).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return connection.execute(statement).first() is not None
