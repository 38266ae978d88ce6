from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.stage import Stage
from tests.support.stage import stage as open_stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One running bridge for all tests of a module."""
    folder: Path = tmp_path_factory.mktemp("stage")
    async with open_stage(folder) as found:
        yield found
