"""Engines whose programs come in wheels (requirements/engines.txt), in an environment of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.needs import need

_WHEELS = Path(__file__).parent.parent / "servers" / "engines" / ".venv" / "bin"


def program(name: str) -> str:
    """The path of an engine's program; without it the test skips, and fails in CI."""
    found = shutil.which(name, path=str(_WHEELS)) or shutil.which(name)
    need(found, f"{name}, from requirements/engines.txt in tests/real/servers/engines/.venv")
    assert found
    return found
