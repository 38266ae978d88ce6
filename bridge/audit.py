"""The audit log: who was let in to what, by which identifier; one JSON line for each sign-in, and for the first time
that a session is let in to a course.

Where `audit_log` names a file, these lines stand there and nowhere else; without it they stand in the log, among all
others. They have ids only: whom a Kombo id means, the LMS says, and it forgets people when they want to be forgotten.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from cachetools import LRUCache

from bridge import logs
from bridge.errors import BridgeError
from bridge.launches.references import reference_of
from bridge.lines import Lines
from bridge.session.sessions import Entry, SignIn
from bridge.settings.model import Tenant
from bridge.stamp.identity import Access
from bridge.store.sessions import SessionRow

REMEMBERED = 50_000
"""Of how many sessions and courses a process knows that it has written them: one beyond them is written again, and so
is one that another process let in as well."""
NAME_CHARACTERS = 12
"""Of a session's name, as much as tells it from others."""
SAID_SECONDS = 60
LOOKS, LOOK_SECONDS = 3, 0.001
"""At a file that does not end with a line's end: another process may be just about to write it."""

log = structlog.get_logger()


class Audit:
    """Writes to `file`, or where there is none to the log. From the event loop; it waits for nothing."""

    def __init__(self, file: AuditFile | None = None) -> None:
        self._log = structlog.get_logger() if file is None else logs.written_to(file)
        self._entered: LRUCache[tuple[str, str], None] = LRUCache(REMEMBERED)

    def signed_in(
        self, by: SignIn | SessionRow, tenant: Tenant, session: str, reference: str | None, *, idp_initiated: bool
    ) -> None:
        """Somebody has a session from now on, by its `session_name`. `user` is None where nobody in Kombo matched."""
        self._log.info(
            "learner_signed_in",
            tenant=tenant.slug,
            integration=tenant.integration_id,
            user=by.user_id,
            subject=by.subject,
            match=by.tier,
            attribute=by.source,
            provider=tenant.provider.entity_id,
            idp_initiated=idp_initiated,
            session=session[:NAME_CHARACTERS],
            reference=reference,
        )

    def let_in(self, entry: Entry, access: Access) -> None:
        """A session's request for a course is forwarded."""
        row, key = entry.row, (entry.row.digest, access.course)
        if key in self._entered:
            return
        self._entered[key] = None
        self._log.info(
            "course_opened",
            tenant=row.tenant,
            integration=row.integration_id,
            user=row.user_id,
            subject=row.subject,
            match=row.tier,
            attribute=row.source,
            provider=row.provider,
            course=access.course,
            gate=access.gate,
            enrollment=access.enrollment,
            session=row.digest[:NAME_CHARACTERS],
            reference=launched_by(entry),
        )


def launched_by(entry: Entry) -> str | None:
    """The reference of the launch which the session began with; None once it is over."""
    return reference_of(entry.launch) if entry.launch else None


class AuditFile(Lines):
    """Appends whole lines to a file, in the background; many processes may share it.

    Each line is one write at the file's end, so that none gets into another's. The file is opened anew where it has
    been moved away or replaced (logrotate). What cannot be written goes to the log instead, `lost` is told how many
    lines, and the log says why once a minute: a full disk must not shut everybody out.

    Raises `BridgeError` where the file cannot be opened.
    """

    def __init__(self, path: Path, lost: Callable[[int], None]) -> None:
        self._path = path
        self._torn = False
        self._told = lost
        self._said_at = 0.0
        self._instead = threading.Lock()
        super().__init__(_open(path))

    def write(self, text: str) -> int:
        data = text.encode("utf-8", "backslashreplace")
        if not self._take(data, 1, self._room):
            self._elsewhere([data], "more lines wait to be written than there is room for")
        elif self._patience is not None:
            self.wait(self._patience)
        return len(text)

    def _send(self, taken: Sequence[tuple[bytes, int]], dropped: int) -> int:
        unwritten, reason = [], ""
        try:
            self._follow()
            self._torn = self._ends_within_a_line()
        except BridgeError as error:
            self._elsewhere([line for line, _ in taken], str(error))
            return 0
        for line, _ in taken:
            try:
                self._append(line)
            except OSError as error:
                unwritten.append(line)
                reason = f"{self._path}: {error.strerror}"
        if unwritten:
            self._elsewhere(unwritten, reason)
        return 0

    def _follow(self) -> None:
        """Go on in the file that has the name now; where it cannot be opened, in the one that had it.

        Raises `BridgeError` where that one has no name any more: nobody would ever read it.
        """
        with contextlib.suppress(OSError):
            if os.path.samestat(self._path.stat(), os.fstat(self._descriptor)):
                return
        try:
            opened = _open(self._path)
        except BridgeError:
            if not os.fstat(self._descriptor).st_nlink:
                raise
            return
        os.dup2(opened, self._descriptor, inheritable=False)
        os.close(opened)

    def _ends_within_a_line(self) -> bool:
        """Whether a full disk, or a kill, has cut the last line, whosever it was. Where we may not read, as we know."""
        try:
            reading = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return self._torn
        try:
            for _ in range(LOOKS):
                size = os.fstat(reading).st_size
                if not size or os.pread(reading, 1, size - 1) == b"\n":
                    return False
                time.sleep(LOOK_SECONDS)
            return True
        except OSError:
            return self._torn
        finally:
            os.close(reading)

    def _append(self, line: bytes) -> None:
        data = b"\n" + line if self._torn else line
        while data:
            data = data[os.write(self._descriptor, data) :]
            self._torn = bool(data)

    def _elsewhere(self, lines: Sequence[bytes], reason: str) -> None:
        with self._instead:
            self._told(len(lines))
            for line in lines:
                logs.repeat(line.decode())
            if not self._said_at or time.monotonic() - self._said_at > SAID_SECONDS:
                self._said_at = time.monotonic()
                log.warning("audit_lines_not_written", reason=reason, count=len(lines))


def try_to_open(path: Path) -> None:
    """Raises `BridgeError` where the audit log cannot be written to."""
    os.close(_open(path))


def _open(path: Path) -> int:
    """Made so that only its owner may read it; one that is there keeps its mode."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise BridgeError(f"the audit log {path} cannot be written: {error.strerror}; see `audit_log`") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BridgeError(f"the audit log {path} is no file; without `audit_log` its lines stand in the log")
    return descriptor
