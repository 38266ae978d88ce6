"""Caddy, from its wheel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.real.engines.wheels import program
from tests.support.processes import Running, started


@contextlib.contextmanager
def start(text: str, folder: Path, port: int) -> Iterator[Running]:
    (folder / "Caddyfile").write_text(text)
    homes = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    command = [program("caddy"), "run", "--config", "Caddyfile"]
    with started(command, folder / "caddy.log", env=homes, cwd=folder) as running:
        running.wait_for_port(port)
        yield running
