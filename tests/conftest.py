"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support.rooms import Rooms
from tests.support.rooms import rooms as open_rooms


@pytest_asyncio.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[Rooms]:
    """Store, directory, identity and gate over a simulated Kombo."""
    async with open_rooms(tmp_path) as found:
        yield found
