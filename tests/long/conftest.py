"""What takes minutes: run by `make long`, and by CI after the other tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/long/" in item.path.as_posix():
            item.add_marker(pytest.mark.long)
