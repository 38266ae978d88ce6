"""The command line over a deployment's keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli import keys as command
from bridge.keys import custody
from tests.support.deployment import Deployment
from tests.support.key_shell import Shell
from tests.support.keys import made
from tests.support.terminal import Terminal


@pytest.fixture
def fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Acme has keys of its own; the service has never run."""
    supply = iter(range(1000))
    for module in (custody, command):
        monkeypatch.setattr(module, "make", lambda kind, _: made(kind.purpose, next(supply), kind.scope))
    deployment = Deployment(tmp_path)
    deployment.tenants["acme"]["saml"]["own_keys"] = True
    deployment.write()
    return Shell(deployment, Terminal(capsys, monkeypatch))


@pytest.fixture
def shell(fresh: Shell) -> Shell:
    fresh.start_once()
    return fresh
