"""Permits for a pass of the directory (`bridge.directory.sync.Permit`) that are withdrawn on the way."""

from __future__ import annotations

from sqlalchemy import Connection

from bridge.directory.sync import Permit
from bridge.errors import StateError


def only(writes: int, reason: str = "killed") -> Permit:
    """For so many writes; whoever tries another is cut off."""
    left = writes

    def permit(_: Connection) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise StateError(reason)

    return permit
