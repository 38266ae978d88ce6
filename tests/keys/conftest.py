"""A deployment of four tenants."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.settings.model import Configuration
from tests.support.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
def configuration(deployment: Deployment) -> Configuration:
    return deployment.load()
