"""`python -m bench.forwarding.sampler FILE … bridge ARGUMENT…`: the bridge's command line with a sampler inside.

From SIGUSR1 on it notes where the main thread is, each few milliseconds of the process's CPU time; SIGUSR2 writes what
it has to FILE. CPython runs a signal's handler where a function begins, where a loop repeats, and where a call of C
returns. So time spent in C counts for the line that called it, and a sample at the very beginning of a function belongs
to whoever called that function; where that is the event loop, it is time that the loop and the kernel took.
"""

from __future__ import annotations

import dis
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL = 0.004
DEPTH = 40

Stack = tuple[tuple[CodeType, int], ...]


class Sampler:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._counts: Counter[Stack] = Counter()

    def install(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, lambda *_: signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL))
        signal.signal(signal.SIGUSR2, lambda *_: self._write())

    def _sample(self, _: int, frame: FrameType | None) -> None:
        stack: list[tuple[CodeType, int]] = []
        while frame is not None and len(stack) < DEPTH:
            stack.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        self._counts[tuple(stack)] += 1

    def _write(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        told = [{"count": count, "frames": _told(stack)} for stack, count in self._counts.items()]
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(json.dumps(told))
        unfinished.rename(self._file)


def _told(stack: Stack) -> list[tuple[str, str, int]]:
    """File, function and line of each frame, the innermost first, without one that had only just begun."""
    (code, last), *_ = stack
    if code.co_code[last] == dis.opmap["RESUME"]:
        stack = stack[1:]
    return [(code.co_filename, code.co_qualname, _line(code, last)) for code, last in stack]


def _line(code: CodeType, last: int) -> int:
    line = code.co_firstlineno
    for offset, begins in dis.findlinestarts(code):
        if offset > last:
            break
        line = begins or line
    return line


def main() -> None:
    file, *command = sys.argv[1:]
    sys.argv = ["kombo-bridge", *command[command.index("bridge") + 1 :]]
    from bridge.cli import main as run  # it reads sys.argv

    Sampler(Path(file)).install()
    run()


if __name__ == "__main__":
    main()
