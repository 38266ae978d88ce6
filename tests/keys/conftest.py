"""A state with nothing in it, and a deployment of four tenants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.settings.model import Configuration
from bridge.store.engine import Store
from bridge.store.migrate import migrate
from tests.support.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
def configuration(deployment: Deployment) -> Configuration:
    return deployment.load()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    migrate(url := f"sqlite:///{tmp_path}/bridge.db")
    store = Store(url)
    yield store
    store.close()
