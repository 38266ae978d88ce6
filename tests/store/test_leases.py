"""Leases: one holder at a time, whatever the clocks say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import time_ns

import pytest

from bridge.store import leases
from bridge.store.engine import Store

LENGTH = 60_000
Clock = Callable[[int], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the clock by so many milliseconds."""
    apart = [0]
    monkeypatch.setattr("bridge.store.engine.time.time_ns", lambda: time_ns() + apart[0] * 1_000_000)
    return lambda milliseconds: apart.__setitem__(0, milliseconds)


async def take(store: Store, holder: str) -> int | None:
    return await store.write(partial(leases.take, name="x", holder=holder, milliseconds=LENGTH))


async def holds(store: Store, holder: str, epoch: int) -> bool:
    return await store.write(partial(leases.holds, name="x", holder=holder, epoch=epoch))


async def test_one_holder_at_a_time(store: Store, clock: Clock) -> None:
    assert await take(store, "one") == 1
    assert await take(store, "two") is None
    assert await store.read(partial(leases.holder_of, name="x")) == "one"
    assert await holds(store, "one", 1)
    clock(LENGTH + 1000)
    assert not await holds(store, "one", 1), "it was not renewed in time"
    assert await store.read(partial(leases.holder_of, name="x")) is None
    assert await take(store, "two") == 2
    assert not await holds(store, "one", 1)
    assert await take(store, "one") is None


async def test_released_it_goes_to_the_next(store: Store) -> None:
    assert await take(store, "one") == 1
    await store.write(partial(leases.release, name="x", holder="one"))
    assert await take(store, "two") == 2


@pytest.mark.parametrize(("back", "free"), [(LENGTH, False), (5 * LENGTH, False), (100 * LENGTH, True)])
async def test_a_lease_of_a_clock_since_set_back_keeps_nobody_out_for_long(
    store: Store, clock: Clock, back: int, free: bool
) -> None:
    """Its holder is dead. By little, clocks may differ without anybody being taken over from all the time."""
    clock(back)
    assert await take(store, "one") == 1
    clock(0)
    assert (await take(store, "two") is not None) is free
