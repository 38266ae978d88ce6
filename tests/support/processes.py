"""Programs under test as processes of their own, on free loopback ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 30
STOP_SECONDS = 15


def log_lines(text: str) -> list[dict[str, Any]]:
    """The JSON lines of what a process has said; not a last one that it is still writing."""
    whole, _, _ = text.rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Running:
    """A process; what it says on both outputs is in the file `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_port(self, port: int, host: str = "127.0.0.1") -> None:
        """Until somebody accepts there."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before it listened:\n{self.text()}")
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError(f"nobody listens on {port}:\n{self.text()}")

    def wait_for_text(self, text: str) -> None:
        """Until it has said something."""
        deadline = time.monotonic() + START_SECONDS
        while text not in self.text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"never said {text!r}:\n{self.text()}")
            time.sleep(0.05)

    def stop(self) -> int:
        """Tell it to stop, and its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired as late:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise AssertionError(f"did not stop within {STOP_SECONDS} s:\n{self.text()}") from late
        return self.process.returncode


@contextlib.contextmanager
def started(
    command: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Running]:
    """Run a command in a session of its own while the block lasts; nothing of it is left afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    running = Running(process, log)
    try:
        yield running
    finally:
        try:
            running.stop()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def kombo_bridge(*arguments: str | Path) -> list[str]:
    """The command line of a sub-command, with the interpreter that runs the tests."""
    return [sys.executable, "-m", "bridge", *map(str, arguments)]
