"""The service as a command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.processes import kombo_bridge

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SECRETS = {"BRIDGE_SECRET": "s" * 43, "KOMBO_API_KEY": "key", "KOMBO_WEBHOOK_SECRET": "w" * 32}
WAIT = 60


def test_a_log_that_nobody_reads_keeps_no_service_from_stopping(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """Whoever watches over the workers says so when it is told to stop, before it tells them."""
    config, inside = tmp_path / "config", f"127.0.0.1:{unused_tcp_port_factory()}"
    shutil.copytree(ROOT / "config", config, ignore=shutil.ignore_patterns("var"))
    reading, writing = os.pipe()
    command = kombo_bridge("serve", "--config", config / "bridge.yaml", "--workers", "2", "--internal-listen", inside)
    command += ["--listen", f"127.0.0.1:{unused_tcp_port_factory()}"]
    with subprocess.Popen(command, stderr=writing, env=os.environ | SECRETS, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + WAIT
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    assert httpx.get(f"http://{inside}/health").status_code == 200
                    break
                assert time.monotonic() < deadline
                time.sleep(0.1)
            os.set_blocking(writing, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writing, b"\n")
            os.set_blocking(writing, True)
            process.terminate()
            assert process.wait(WAIT) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    os.close(reading)
    os.close(writing)
