"""Numbers that all workers of one service keep together.

Each worker counts in a block of its own, so that adding is one assignment without a lock, and whoever is asked sums all
blocks. A worker that takes the place of a dead one goes on with that one's block, so what was counted is never lost and
a counter never falls while the service runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import BridgeError

_SLOT = 8
_LINE = 64  # of a processor's cache: two workers never write to the same one


@dataclass(frozen=True, slots=True)
class Layout:
    """How many whole numbers (`counts`) and fractions (`sums`) a block has.

    The last `gauges` of the whole numbers say how something is now instead of how often it was: they end with the
    worker.
    """

    counts: int
    sums: int
    gauges: int = 0

    @property
    def block(self) -> int:
        """The bytes of a block."""
        return -(-(self.counts + self.sums) * _SLOT // _LINE) * _LINE


@contextlib.contextmanager
def shared(layout: Layout, workers: int) -> Iterator[Path]:
    """A file for so many workers, there while the block lasts; nobody else can read it.

    It has twice as many blocks: at a reload by SIGHUP a worker starts before the one that it replaces has ended. Its
    bytes are written beforehand: a worker that touched a mapped page which the disk has no room for would be killed.

    Raises `BridgeError` where no temporary file can be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="kombo-bridge-"))
    except OSError as error:
        raise BridgeError(f"cannot make a folder for the workers' counters: {error}; set TMPDIR to one") from error
    try:
        path = folder / "tallies"
        try:
            with path.open("xb") as file:
                file.write(bytes(layout.block * workers * 2))
        except OSError as error:
            raise BridgeError(
                f"cannot make a file for the workers' counters: {error}; set TMPDIR to a folder"
            ) from error
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Tallies:
    """One process's block, to be written with `tallies.counts[slot] += 1`, and the sums over all blocks.

    Without a `path` there is only this process, and memory of its own. A process opens a file once: POSIX gives locks
    to processes, and closing any descriptor of the file gives them back.

    Raises `BridgeError` where the file has no block left, or is another layout's.
    """

    counts: memoryview[int]
    sums: memoryview[float]

    def __init__(self, layout: Layout, path: Path | None = None) -> None:
        self._layout = layout
        self._file = None if path is None else _open(path)
        size = layout.block if self._file is None else os.fstat(self._file).st_size
        if not size or size % layout.block:
            raise BridgeError(f"{path} is not a file of counters as this version makes it")
        self._map = mmap.mmap(-1 if self._file is None else self._file, size)
        self._view = memoryview(self._map)
        self._blocks = [self._counts_and_sums(number) for number in range(size // layout.block)]
        self.counts, self.sums = self._blocks[0 if self._file is None else self._take()]

    def _counts_and_sums(self, number: int) -> tuple[memoryview[int], memoryview[float]]:
        start = number * self._layout.block
        middle = start + self._layout.counts * _SLOT
        end = middle + self._layout.sums * _SLOT
        return self._view[start:middle].cast("q"), self._view[middle:end].cast("d")

    def _take(self) -> int:
        """The number of a block whose worker is dead, or that has had none.

        All of these are looked at, so that no dead worker's gauges are counted on; one process at a time, so that none
        takes another's looking for a living worker.
        """
        assert self._file is not None
        block, beyond = self._layout.block, len(self._map)
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, beyond)
        taken = None
        try:
            for number, (counts, _) in enumerate(self._blocks):
                try:
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, block, number * block)
                except (BlockingIOError, PermissionError):  # POSIX leaves the choice
                    continue
                for gauge in range(self._layout.counts - self._layout.gauges, self._layout.counts):
                    counts[gauge] = 0
                if taken is None:
                    taken = number
                else:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, block, number * block)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, beyond)
        if taken is None:
            raise BridgeError(f"all {len(self._blocks)} blocks of counters belong to running workers")
        return taken

    def totals(self) -> tuple[list[int], list[float]]:
        """The counts and the sums over all workers, the dead ones included."""
        counts, sums = zip(*self._blocks, strict=True)
        return [sum(each) for each in zip(*counts, strict=True)], [sum(each) for each in zip(*sums, strict=True)]

    def close(self) -> None:
        """Let another process have the block. Nothing may be counted from here on."""
        for counts, sums in self._blocks:
            counts.release()
            sums.release()
        self._view.release()
        self._map.close()
        if self._file is not None:
            os.close(self._file)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise BridgeError(f"cannot open the workers' counters: {error}") from error
