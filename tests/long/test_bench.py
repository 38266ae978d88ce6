"""The benchmark of forwarding works: its sides do what they should, and every line of the table is produced.

Nothing is said here about the figures: of a run as short as this they are worth nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.forwarding.checks import Wrong, check
from bench.forwarding.machine import CORES, ROOT, program
from bench.forwarding.mellon import LOADED, MODULES
from bench.forwarding.sides import Side, plain_nginx, platform
from tests.support.needs import need

MEASURES = [
    "CPU per request of 1 KiB: bridge against nginx",
    "CPU per request of 1 KiB: bridge against Apache + mod_auth_mellon",
    "CPU per request of 1 KiB: bridge against Envoy + jwt_authn",
    "CPU per request of 1 KiB: nginx + cached forward-auth against nginx",
    "CPU per GB of a download",
    "added p50 at 1000/s",
    "PSS of an idle SSE stream",
    "PSS of an idle WebSocket stream",
    "requests a second: two workers against one",
    "CPU per request of 1 KiB: two workers against one",
]
MARK = "BENCH_OF_A_TEST"


@pytest.fixture(autouse=True)
def programs() -> None:
    need(len(CORES) > 1, "two cores")
    for name in ("nginx", "wrk", "h2load", "apache2", "envoy"):
        need(program(name), name)
    need(all((MODULES / f"mod_{name}.so").exists() for name in LOADED), "mod_auth_mellon")


def command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "bench.forwarding", "--quick", "--results", str(folder), *more]


def left(mark: str) -> Iterator[str]:
    """Processes with that mark in their environment."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                yield path.with_name("cmdline").read_text().replace("\0", " ")
        except OSError:
            pass  # not ours, or gone meanwhile


def test_every_line_is_produced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs/performance.md").read_text())
    mark = uuid.uuid4().hex
    told = subprocess.run(
        command(tmp_path, "--write", str(page)),
        cwd=ROOT,
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    [results] = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    rows = [line for line in lines if line["kind"] == "row"]
    assert len(rows) == len(MEASURES)
    for measure, row in zip(MEASURES, rows, strict=True):
        assert row["measure"].startswith(measure)
        assert row["values"] or "no ratio" in row["note"], row
        assert measure in page.read_text()
    samples = [line for line in lines if line["kind"] == "sample"]
    assert samples and not any(sample["errors"] for sample in samples)
    assert list(left(mark)) == []


def test_the_profile_accounts_for_every_sample(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "bench.forwarding", "profile", "--quick", "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "| step | µs | share |" in told.stdout


@pytest.mark.parametrize(
    ("part", "which"),
    [
        ("requests", signal.SIGTERM),
        ("requests", signal.SIGINT),
        ("streams", signal.SIGTERM),
        ("workers", signal.SIGTERM),
    ],
)
def test_whoever_stops_it_is_left_with_nothing(tmp_path: Path, part: str, which: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    with subprocess.Popen(
        command(tmp_path, "--only", part), cwd=ROOT, env={**os.environ, MARK: mark}, start_new_session=True
    ) as bench:
        while len(list(left(mark))) < 3 and bench.poll() is None:
            time.sleep(0.1)
        time.sleep(1)
        bench.send_signal(which)
        assert bench.wait(60) == 130
    assert list(left(mark)) == []


async def test_a_side_that_lets_a_claim_through_is_not_timed(tmp_path: Path) -> None:
    with platform(tmp_path, 0) as behind, plain_nginx(tmp_path, behind.url) as nginx:
        await check(nginx)
        with pytest.raises(Wrong, match="nothing was timed"):
            await check(Side("claims", nginx.url, nginx.roots))
