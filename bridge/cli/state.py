"""The state as commands look into it, and change it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, ProgrammingError

from bridge.errors import StateError
from bridge.store.engine import Store, exists
from bridge.store.migrate import migrate

T = TypeVar("T")


def look(url: str, work: Callable[[Connection], T]) -> T | None:
    """What `work` reads; None where there is no state yet. Raises `StateError`.

    Nothing is made, neither a file nor a table: a running service of an older version may have the state open.
    """
    if not exists(url):
        return None
    with _open(url) as store:
        return store.read_here(work)


@contextlib.contextmanager
def opened(url: str) -> Iterator[Store]:
    """The state, to be read by what needs a store; where there is none yet, one with nothing in it, which is gone
    afterwards. Raises `StateError`, as `look` does.
    """
    if exists(url):
        with _open(url) as store:
            yield store
        return
    with tempfile.TemporaryDirectory(prefix="kombo-bridge-") as folder:
        empty = f"sqlite:///{folder}/empty.db"
        migrate(empty)
        with _open(empty) as store:
            yield store


def change(url: str, work: Callable[[Connection], T]) -> T:
    """What `work` gives, committed to the state in this version's schema. Raises `StateError`."""
    migrate(url)
    with contextlib.closing(Store(url)) as store:
        return asyncio.run(store.write(work))


@contextlib.contextmanager
def _open(url: str) -> Iterator[Store]:
    with contextlib.closing(Store(url)) as store:
        try:
            yield store
        except StateError as error:
            if not _is_of_another_version(error):
                raise
            raise StateError(
                f"{error}; a state of an older version becomes readable by `kombo-bridge serve`"
            ) from error


def _is_of_another_version(error: StateError) -> bool:
    """Whether the database answered that it has no such table or column: PostgreSQL and SQLite have names for that."""
    cause = error.__cause__
    return isinstance(cause, ProgrammingError) or (isinstance(cause, OperationalError) and "no such" in str(cause.orig))
