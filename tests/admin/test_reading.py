"""The admin page beside logins: what it asks of the state is little, and found by indexes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from bridge.admin.reading import AT_ONCE, Reader
from bridge.errors import StateError
from bridge.store.engine import READERS, Store, now_ms
from tests.admin.conftest import Inside
from tests.admin.filled import PLOTS, configuration, fill
from tests.admin.test_pages import PATHS

SMALL = ("integrations", "syncs", "keys", "idp_clocks", "idp_metadata", "alembic_version", "refusals")
"""Tables that may be read as a whole: a few rows for each tenant, or a ring."""
ASKED = (
    *PATHS,
    "/admin/launches?tenant=acme&outcome=forwarded",
    "/admin/launches?outcome=forwarded",
    "/admin/launches?outcome=forwarded&since=2026-01-01T00:00&until=2099-01-01T00:00",
    "/admin/launches?since=2026-01-01T00:00",
    "/admin/launches/amber-falcon-river",
)


@contextlib.contextmanager
def statements(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the state meanwhile."""
    asked: list[tuple[str, Any]] = []

    def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", hear)
    try:
        yield asked
    finally:
        event.remove(store.engine, "before_cursor_execute", hear)


@pytest.mark.parametrize("path", ASKED)
async def test_nothing_is_looked_for_without_an_index(inside: Inside, path: str) -> None:
    with statements(inside.store) as asked:
        await inside.get(path)
    reads = {statement: parameters for statement, parameters in asked if statement.startswith("SELECT")}

    def plans(connection: Connection) -> list[tuple[str, str]]:
        return [
            (statement, str(step.detail))
            for statement, parameters in reads.items()
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    for statement, step in await inside.store.read(plans):
        if (table := re.search(r"FROM (\w+)", statement)) and table[1] not in SMALL:
            assert step.startswith(("SEARCH", "USE")) or "USING INDEX" in step, (step, statement)
            sorts = step == "USE TEMP B-TREE FOR ORDER BY" and "reference = ?" not in statement
            assert not sorts, statement


async def test_a_slow_state_is_left_to_those_who_sign_in(store: Store) -> None:
    reader, going_on = Reader(store, patience=0.2), threading.Event()
    began: list[int] = []

    def slow(_: Connection) -> None:
        began.append(1)
        going_on.wait(20)

    pages = [asyncio.ensure_future(reader.read(slow)) for _ in range(12)]
    results = await asyncio.gather(*pages, return_exceptions=True)
    assert all(isinstance(result, StateError) for result in results)
    assert len(began) == AT_ONCE < READERS
    await store.ping()
    going_on.set()
    for _ in range(AT_ONCE * 2):
        assert await Reader(store).read(lambda connection: 7) == 7
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(StateError):
                assert await reader.read(lambda connection: 8) == 8
                return


async def test_whoever_leaves_takes_no_turn_along(store: Store) -> None:
    reader = Reader(store)
    for _ in range(AT_ONCE * 3):
        page = asyncio.ensure_future(reader.read(lambda connection: 7))
        await asyncio.sleep(0)
        page.cancel()
        await asyncio.gather(page, return_exceptions=True)
    assert await reader.read(lambda connection: 7) == 7


async def test_every_page_on_either_kind_of_state(either_store: Store, tmp_path: Path) -> None:
    now = now_ms()
    configured = configuration(tmp_path, now)
    await either_store.write(lambda connection: fill(connection, configured, now, launches=5))
    inside = Inside(either_store, configured, now)
    for path in (*ASKED[:-1], *(f"/admin/tenants/{slug}" for slug in PLOTS)):
        answer = await inside.get(path)
        assert answer.status_code == 200, path
    assert ("PostgreSQL" if either_store.engine.dialect.name == "postgresql" else "SQLite") in (
        await inside.get("/admin")
    ).text
