"""A command run in this process, as from a terminal."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Terminal:
    """Runs sub-commands over a settings file and hears what they say."""

    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def run(self, config: Path, *arguments: str) -> Said:
        """A command, which never ends in a traceback and never shows a private key."""
        self.monkeypatch.setattr(sys, "argv", ["kombo-bridge", *arguments, "--config", str(config)])
        self.capture.readouterr()
        code = _code()
        captured = self.capture.readouterr()
        assert "Traceback" not in captured.err
        assert "PRIVATE" not in captured.out + captured.err
        return Said(code, captured.out, captured.err)


def _code() -> int:
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
        assert isinstance(code, int)
        return code
    return 0
