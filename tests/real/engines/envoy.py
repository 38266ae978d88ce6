"""Envoy, from its wheel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.real.engines.wheels import program
from tests.support.processes import Running, started

ALONE = ("--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")


@contextlib.contextmanager
def start(text: str, folder: Path, port: int) -> Iterator[Running]:
    (folder / "envoy.yaml").write_text(text)
    with started([program("envoy"), "-c", "envoy.yaml", *ALONE], folder / "envoy.log", cwd=folder) as running:
        running.wait_for_port(port)
        yield running
