"""A wall clock that a test moves, for processes under test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.needs import need

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class Clock:
    """The wall clock of the bridge's process; its monotonic clock stays real, as when an operator sets the time."""

    def __init__(self, folder: Path) -> None:
        need(LIBRARY, "libfaketime")
        self._file = folder / "clock"
        self.offset = timedelta()
        self.move(timedelta())
        self.env = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, by: timedelta) -> None:
        self.offset += by
        self._file.write_text(f"{self.offset.total_seconds():+.0f}\n")

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset
