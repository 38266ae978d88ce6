"""A service without tenants, and the command line over it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.settings.load import load
from bridge.settings.model import Configuration
from tests.support.deployment import Deployment
from tests.support.terminal import Said, Terminal


@dataclass
class Desk:
    """Where an operator onboards customers."""

    deployment: Deployment
    terminal: Terminal

    @property
    def tenants(self) -> Path:
        return self.deployment.folder / "tenants"

    def __call__(self, *arguments: str) -> Said:
        return self.terminal.run(self.deployment.path, "tenant", *arguments)

    def new(self, slug: str, *arguments: str) -> dict[str, Any]:
        return self._json("new", slug, *arguments)

    def show(self, slug: str, *arguments: str) -> dict[str, Any]:
        return self._json("show", slug, *arguments)

    def _json(self, *arguments: str) -> dict[str, Any]:
        said = self(*arguments, "--json")
        assert (said.code, said.err) == (0, "")
        found = json.loads(said.out)
        assert isinstance(found, dict)
        return found

    def loaded(self) -> Configuration:
        return load(self.deployment.path, {})


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    deployment = Deployment(tmp_path, public_url="https://learn.example.com")
    deployment.tenants.clear()
    deployment.write()
    return Desk(deployment, Terminal(capsys, monkeypatch))
