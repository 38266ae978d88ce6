"""What the state of a running bridge holds, for tests of who may change it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

OF_STRANGERS = ("refusals", "funnel")
"""What the bridge notes of whoever is refused: in a ring, and as counts, so that neither grows with their number."""
RING = 200
Contents = dict[str, list[tuple[Any, ...]]]


def contents(folder: Path) -> Contents:
    """Every row by table, but what is noted of strangers; of that, that it has not outgrown its place."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'bridge.db'}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert set(OF_STRANGERS) <= set(tables)
        fullest = "SELECT coalesce(max(many), 0) FROM (SELECT count(*) AS many FROM refusals GROUP BY tenant)"
        assert connection.execute(fullest).fetchone()[0] <= RING
        return {
            name: connection.execute(f'SELECT * FROM "{name}"').fetchall()
            for name in tables
            if name not in OF_STRANGERS
        }


async def settled(folder: Path) -> Contents:
    """The same, when what goes on in the background has come to its end."""
    before: Contents = {}
    now = contents(folder)
    while before != now:
        await asyncio.sleep(2)
        before, now = now, contents(folder)
    return now
