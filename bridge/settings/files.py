"""Reading the files that make up the settings, within limits, and noticing that one has changed."""

from __future__ import annotations

import os
from pathlib import Path


class UnusableFileError(ValueError):
    """A file that cannot be used; the message says why and what to do, and nothing of its content."""


Stamp = tuple[int, int, int]
"""What tells one version of a file from the next without reading it: when it was modified, its size, its inode."""


def stamp(path: str) -> Stamp | None:
    """The stamp of a file; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # asked of every file every second, where a Path takes twice as long
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class Watched(dict[str, Stamp | None]):
    """The files that a reading hangs on, present or not, each with its stamp from before it was read."""

    def add(self, path: Path) -> None:
        name = str(path)
        if name not in self:
            self[name] = stamp(name)

    def differences(self) -> dict[str, Stamp | None]:
        """The files that have changed since, with their stamps now."""
        return {path: now for path, seen in self.items() if (now := stamp(path)) != seen}


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes; raises `UnusableFileError`."""
    try:
        if not path.is_file():
            raise UnusableFileError(f"there is no file {shown(path)}: put it there, or name another")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, UnusableFileError):
            raise
        reason = error.strerror if isinstance(error, OSError) else "its name is not usable"
        raise UnusableFileError(f"{shown(path)} cannot be read ({reason}): let the bridge's user read it") from None
    if len(data) > limit:
        raise UnusableFileError(f"{shown(path)} is larger than {limit // 1024} KiB: keep it below")
    return data


def read_text(path: Path, limit: int) -> str:
    """As `read_bytes`, decoded. UTF-8 only; a byte order mark is dropped (editors on Windows write one)."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableFileError(f"{shown(path)} is not UTF-8: save it as UTF-8") from None


def shown(path: Path) -> str:
    """A path as the operator would type it: relative where it lies below the current folder."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
