"""Software that a test needs and a machine may lack: the test skips there with the reason, and fails in CI."""

from __future__ import annotations

import os

import pytest

REQUIRE = "BRIDGE_TESTS_REQUIRE"


def need(present: object, what: str) -> None:
    """Skip the test unless `present`; where everything is required, fail it."""
    if present:
        return
    if os.environ.get(REQUIRE) == "all":
        pytest.fail(f"{what} is required here and missing")
    pytest.skip(f"needs {what}")
