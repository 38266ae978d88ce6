"""Sessions, single use and leases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bridge.store import leases, sessions
from bridge.store.engine import Store, now_ms
from bridge.store.sessions import SessionRow

ROW = SessionRow("d", "acme", "i", "idp", "u", None, "name_id", 1, 2, 3, now_ms() + 3_600_000)


async def test_a_mark_can_be_made_only_once_however_many_try(store: Store) -> None:
    made = await asyncio.gather(
        *(store.write(lambda c: sessions.use_once(c, "request", "x", now_ms() + 1000)) for _ in range(20))
    )
    assert made.count(True) == 1
    assert await store.write(lambda c: sessions.use_once(c, "assertion", "x", now_ms() + 1000))


async def test_sweeping_forgets_only_what_has_ended(store: Store) -> None:
    await store.write(lambda c: sessions.add(c, ROW))
    await store.write(lambda c: sessions.add(c, replace(ROW, digest="old", ends_at=now_ms() - 1)))
    await store.write(lambda c: sessions.use_once(c, "request", "old", now_ms() - 1))
    await store.write(lambda c: sessions.use_once(c, "request", "new", now_ms() + 60_000))
    await store.write(sessions.sweep)
    assert await store.read(lambda c: sessions.find(c, "d")) == ROW
    assert await store.read(lambda c: sessions.find(c, "old")) is None
    assert await store.write(lambda c: sessions.use_once(c, "request", "old", now_ms()))
    assert not await store.write(lambda c: sessions.use_once(c, "request", "new", now_ms()))


async def test_a_lease_has_one_holder_and_a_growing_epoch(store: Store) -> None:
    async def take(holder: str, milliseconds: int = 60_000) -> int | None:
        return await store.write(lambda c: leases.take(c, "sync", holder, milliseconds))

    assert await take("one") == 1
    assert await take("two") is None
    assert await take("one", -1) == 1
    assert await take("two") == 2
    assert not await store.write(lambda c: leases.holds(c, "sync", "one", 1))
    assert await store.write(lambda c: leases.holds(c, "sync", "two", 2))
    await store.write(lambda c: leases.release(c, "sync", "two"))
    assert await take("one") == 3
