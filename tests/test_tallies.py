"""Numbers that several processes keep together."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.errors import BridgeError
from bridge.tallies import Layout, Tallies, shared

LAYOUT = Layout(counts=5, sums=2, gauges=2)
WORKER = """
import os, sys
from pathlib import Path
from bridge.tallies import Layout, Tallies
tallies = Tallies(Layout(counts=5, sums=2, gauges=2), Path(sys.argv[1]))
before = list(tallies.counts)
for _ in range(int(sys.argv[2])):
    tallies.counts[0] += 1
    tallies.sums[1] += 0.5
tallies.counts[3] = tallies.counts[4] = 7
print(*before, flush=True)
sys.stdin.read()
"""


class Worker:
    def __init__(self, path: Path, number: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def found(self) -> list[int]:
        """What the block held when this worker took it; waits until the worker has counted."""
        assert self.process.stdout is not None
        return list(map(int, self.process.stdout.readline().split()))

    def end(self, sign: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(sign)
        self.process.communicate()


@contextmanager
def worker(path: Path, number: int = 0) -> Iterator[Worker]:
    worker = Worker(path, number)
    try:
        yield worker
    finally:
        worker.end()


@pytest.fixture
def path() -> Iterator[Path]:
    with shared(LAYOUT, 2) as path:
        yield path


def test_one_process_needs_no_file() -> None:
    tallies = Tallies(LAYOUT)
    tallies.counts[1] += 3
    tallies.counts[4] -= 1
    tallies.sums[0] += 0.25
    assert tallies.totals() == ([0, 3, 0, 0, -1], [0.25, 0])
    tallies.close()


def test_workers_are_summed(path: Path) -> None:
    with worker(path, 3) as one, worker(path, 4) as other:
        assert one.found() == other.found() == [0, 0, 0, 0, 0]
        tallies = Tallies(LAYOUT, path)
        tallies.counts[0] += 10
        assert tallies.totals() == ([17, 0, 0, 14, 14], [0, 3.5])
        tallies.close()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_dead_worker_counted_goes_on(path: Path, sign: signal.Signals) -> None:
    """The lock of a process ends with it, however it ends; what it said of the present does so too."""
    with worker(path, 3) as first, worker(path, 5) as second:
        assert first.found() == second.found() == [0, 0, 0, 0, 0]
        first.end(sign)
        with worker(path, 4) as third:
            assert third.found() == [3, 0, 0, 0, 0]
            tallies = Tallies(LAYOUT, path)
            assert tallies.totals() == ([12, 0, 0, 14, 14], [0, 6])
            tallies.close()


def test_no_dead_workers_gauges_are_counted_on(path: Path) -> None:
    """Also where the next worker takes another block than a dead one's."""
    with worker(path) as first, worker(path) as second, worker(path) as third:
        for each in (first, second, third):
            each.found()
        first.end()
        third.end()
        tallies = Tallies(LAYOUT, path)
        assert tallies.totals()[0] == [0, 0, 0, 7, 7]
        tallies.close()


def test_a_worker_more_than_there_are_blocks(path: Path) -> None:
    workers = [Worker(path, 1) for _ in range(4)]
    try:
        for each in workers:
            each.found()
        with pytest.raises(BridgeError, match="all 4 blocks of counters belong to running workers"):
            Tallies(LAYOUT, path)
    finally:
        for each in workers:
            each.end()


CROWD = """
import os, sys
from pathlib import Path
from bridge.tallies import Layout, Tallies
path, go = Path(sys.argv[1]), os.pipe()
for number in range(64):
    if os.fork() == 0:
        os.close(go[1])
        os.read(go[0], 1)  # all at once
        tallies = Tallies(Layout(counts=5, sums=2, gauges=2), path)
        tallies.counts[3] = 1
        for _ in range(1000):
            tallies.counts[0] += 1
        os.write(1, b"+")
        sys.stdin.read()
        os._exit(0)
os.close(go[1])
sys.stdin.read()
"""


def test_64_workers_at_once() -> None:
    with shared(LAYOUT, 64) as path:
        crowd = subprocess.Popen(
            [sys.executable, "-c", CROWD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert crowd.stdout is not None
        assert crowd.stdout.read(64) == b"+" * 64
        tallies = Tallies(LAYOUT, path)
        assert tallies.totals()[0][0] == 64_000
        assert tallies.totals()[0][3] == 64
        tallies.close()
        crowd.communicate()


def test_a_file_is_there_for_as_long_as_it_is_needed() -> None:
    with shared(LAYOUT, 2) as path:
        assert path.stat().st_size == LAYOUT.block * 4
        assert path.stat().st_blocks * 512 >= path.stat().st_size, "it has its space already"
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()


def test_a_file_of_something_else(tmp_path: Path) -> None:
    for size in (0, LAYOUT.block - 1, LAYOUT.block + 8):
        path = tmp_path / "file"
        path.write_bytes(bytes(size))
        with pytest.raises(BridgeError, match="not a file of counters"):
            Tallies(LAYOUT, path)
    with pytest.raises(BridgeError, match="cannot open the workers' counters"):
        Tallies(LAYOUT, tmp_path / "none")
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(BridgeError, match="cannot open the workers' counters"):
        Tallies(LAYOUT, link)


def test_no_room_for_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(BridgeError, match=r"cannot make a file .* set TMPDIR"), shared(LAYOUT, 2):
            raise AssertionError
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(BridgeError, match="set TMPDIR"), shared(LAYOUT, 2):
        raise AssertionError
