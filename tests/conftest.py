"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.store.engine import Store
from bridge.store.migrate import migrate
from tests.support.rooms import Rooms
from tests.support.rooms import rooms as open_rooms


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
