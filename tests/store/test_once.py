"""Sessions, single use, leases and sealed keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bridge.errors import StateError
from bridge.store import keys, leases, sessions
from bridge.store.engine import Store, now_ms
from bridge.store.sealing import Seal
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
    assert not await store.read(lambda c: leases.holds(c, "sync", "one", 1))
    assert await store.read(lambda c: leases.holds(c, "sync", "two", 2))
    await store.write(lambda c: leases.release(c, "sync", "two"))
    assert await take("one") == 3


async def test_two_nodes_agree_on_the_first_key(store: Store) -> None:
    seal = Seal(["s" * 32])
    found = await asyncio.gather(
        *(
            store.write(lambda c, k=kid: keys.first_of_purpose(c, seal, "stamp", (k, k.encode())))
            for kid in ("one", "two", "three")
        )
    )
    assert len({key.id for [key] in found}) == 1
    assert all(key.private_pem == key.id.encode() for [key] in found)


async def test_keys_open_under_a_rotated_secret_and_not_under_another(store: Store) -> None:
    old, new = "o" * 32, "n" * 32
    await store.write(lambda c: keys.first_of_purpose(c, Seal([old]), "stamp", ("kid", b"private")))
    [key] = await store.read(lambda c: keys.of_purpose(c, Seal([new, old]), "stamp"))
    assert key.private_pem == b"private"
    with pytest.raises(StateError, match="put the former secret back"):
        await store.read(lambda c: keys.of_purpose(c, Seal([new]), "stamp"))


async def test_a_private_key_is_not_readable_in_the_database(store: Store) -> None:
    from sqlalchemy import select

    from bridge.store import tables

    await store.write(lambda c: keys.first_of_purpose(c, Seal(["s" * 32]), "stamp", ("kid", b"very private")))
    assert "very private" not in str(await store.read(lambda c: c.execute(select(tables.keys)).all()))
