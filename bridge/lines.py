"""Log lines on their way out, written by a thread of their own.

Whoever reads standard error may be slow, or stop reading, or be gone. None of that may hold up a request, so lines are
taken at once and written soon after; where they pile up, further ones are dropped and their number is said.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import stat
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

ROOM = 4 * 1024 * 1024
_EVERY = 0.05  # seconds: each write takes the interpreter from the event loop and gives it back


class Lines:
    """Takes lines for a file descriptor; from any thread.

    At most `room` bytes wait. A file in the eyes of structlog and the standard library's logging: a quarter of the room
    is for what they write alone, so that a flood of requests cannot push an error out of the log.
    """

    def __init__(self, descriptor: int, room: int = ROOM) -> None:
        self._descriptor = descriptor
        self._room = room
        self._changed = threading.Condition()
        self._waiting: list[tuple[bytes, int]] = []  # with the number of lines
        self._size = 0  # of what has not been written
        self._dropped = 0
        self._hurry = False
        self._patience: float | None = None
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def put(self, data: bytes, lines: int) -> bool:
        """So many whole lines, each ended by LF, of requests. False where there is no room for them."""
        return self._take(data, lines, self._room * 3 // 4)

    def write(self, text: str) -> int:
        """A whole line of anything else. A regular file has it at once: nobody has to read for there to be room."""
        data = text.encode("utf-8", "backslashreplace")
        if self._is_file:
            try:
                self._write(data)
            except OSError:
                self._lost(1)
        else:
            self._take(data, 1, self._room)
            if self._patience is not None:
                self.wait(self._patience)
        return len(text)

    def flush(self) -> None:
        """Nothing: what has been taken goes out by itself."""

    def wait(self, seconds: float) -> bool:
        """Whether all that was taken has been written, or dropped, within a time."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._size, seconds)

    def end(self, patience: float = 1.0) -> None:
        """The service has ended: write what waits, and each later line at once. Neither takes longer than this."""
        self._patience = patience
        self.wait(patience)

    def _take(self, data: bytes, lines: int, room: int) -> bool:
        with self._changed:
            if self._size + len(data) > room:
                self._dropped += lines
                return False
            self._waiting.append((data, lines))
            self._size += len(data)
            if len(self._waiting) == 1:
                self._changed.notify_all()
        return True

    def _lost(self, lines: int) -> None:
        with self._changed:
            self._dropped += lines

    # The thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                self._changed.wait_for(lambda: self._hurry, _EVERY)
                taken, self._waiting, self._hurry = self._waiting, [], False
                dropped, self._dropped = self._dropped, 0
            lost = self._send(taken, dropped)
            with self._changed:
                self._dropped += lost
                self._size -= sum(len(data) for data, _ in taken)
                self._changed.notify_all()

    def _send(self, taken: Sequence[tuple[bytes, int]], dropped: int) -> int:
        """Write lines, and that so many were dropped before them; how many lines that were not said are gone now."""
        block = b"".join(data for data, _ in taken)
        try:
            with self._alone():
                self._write(_said(dropped) + block if dropped else block)
        except OSError:
            return dropped + sum(lines for _, lines in taken)
        return 0

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Other workers write to the same pipe: none of them gets in between two halves of a line.

        A regular file takes all at once, and whoever may read it could hold a lock on it for ever.
        """
        if self._is_file:
            yield
            return
        with contextlib.suppress(OSError):  # not every kind of file has locks
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # whoever shares the descriptor made it so
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()


def _said(dropped: int) -> bytes:
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    said = {"lines": dropped, "event": "log_lines_dropped", "level": "warning", "timestamp": moment}
    return json.dumps(said).encode() + b"\n"
