"""Fixtures that more than one room's tests use."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.store.engine import Store
from bridge.store.migrate import migrate
from tests.support.directories import Directory, directory_over
from tests.support.postgresql import postgresql
from tests.support.rooms import Rooms
from tests.support.rooms import rooms as open_rooms
from tests.support.states import postgresql_state


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: two more than the processors, as tests of sockets and servers wait half of their time."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + 2


@pytest_asyncio.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[Rooms]:
    """Store, directory, identity and gate over a simulated Kombo."""
    async with open_rooms(tmp_path) as found:
        yield found


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a state that is yet to be made."""
    return f"sqlite:///{tmp_path}/bridge.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A state with nothing in it."""
    migrate(url)
    store = Store(url)
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """One server for the whole run of a process."""
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def either_url(request: pytest.FixtureRequest, url: str) -> Iterator[str]:
    """A migrated state of either kind: what holds on one must hold on the other."""
    if request.param == "sqlite":
        migrate(url)
        yield url
    else:
        with postgresql_state(request.getfixturevalue("postgresql_server")) as made:
            yield made


@pytest.fixture
def either_store(either_url: str) -> Iterator[Store]:
    """The store over `either_url`."""
    store = Store(either_url)
    yield store
    store.close()


@pytest_asyncio.fixture
async def filled(either_store: Store, tmp_path: Path) -> AsyncIterator[Directory]:
    """A directory to be filled by hand, over either kind of state."""
    async with directory_over(either_store, tmp_path) as found:
        yield found
