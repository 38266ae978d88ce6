"""In which order metadata is fetched where some hosts stall, and what is said of those that fail."""

from __future__ import annotations

import asyncio

import pytest

from bridge.idps import refresh
from bridge.idps.waiting import Lane, Waiting
from bridge.store.idps import Key

from .conftest import Customer, metadata


def key(tenant: str, host: str = "") -> Key:
    return Key(tenant, f"https://{host or tenant}.example.com/metadata")


async def taken(waiting: Waiting, count: int) -> list[str]:
    return [(await waiting.take()).tenant for _ in range(count)]


async def test_what_nobody_has_tried_goes_first_the_newest_before_others_and_what_failed_last() -> None:
    waiting = Waiting()
    waiting.add([key("failed")], Lane.FAILED)
    waiting.add([key("due")], Lane.DUE)
    for name in ("older", "newer"):
        waiting.add([key(name)], Lane.NEW)
    assert await taken(waiting, 4) == ["newer", "older", "due", "failed"]


async def test_whoever_waits_gives_way_when_its_host_begins_to_stall() -> None:
    waiting = Waiting()
    stalling = [key(f"t{number}", "stalls") for number in range(3)]
    waiting.add([key("good")], Lane.NEW)
    waiting.add(stalling, Lane.NEW)
    first = await waiting.take()
    assert first in stalling
    waiting.judge(first, stalls=True)
    assert (await taken(waiting, 3))[0] == "good"
    waiting.judge(first, stalls=False)
    waiting.add([key("due")], Lane.DUE)
    waiting.add([key("again", "stalls")], Lane.NEW)
    assert await taken(waiting, 2) == ["again", "due"]


async def test_each_waits_once_until_it_is_done() -> None:
    waiting = Waiting()
    for lane in (Lane.NEW, Lane.DUE, Lane.DUE):
        waiting.add([key("a")], lane)
    assert await taken(waiting, 1) == ["a"]
    waiting.add([key("a")], Lane.DUE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting.take(), 0.05)
    waiting.done(key("a"))
    waiting.add([key("a")], Lane.DUE)
    assert await asyncio.wait_for(waiting.take(), 1) == key("a")


async def test_hosts_that_nobody_names_any_more_are_forgotten() -> None:
    waiting = Waiting()
    waiting.judge(key("a"), stalls=True)
    waiting.judge(key("b"), stalls=True)
    waiting.keep([key("b")])
    assert waiting._stalled == {"b.example.com"}


async def test_a_new_tenant_does_not_wait_for_hosts_that_stall(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty at three seconds each, four at a time, are fifteen seconds."""
    monkeypatch.setattr(refresh, "STALLING_SECONDS", 0.5)

    async def stall(_writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    customer.site.answers["/stalls"] = stall
    for number in range(20):
        customer.write(f"t{number}", path="/stalls")
    async with customer.node() as node:
        await node.until(lambda: len(customer.site.heads) >= refresh.AT_ONCE)
        customer.write("late", path="/late")
        customer.site.says(metadata("idp"), path="/late")
        await node.until(lambda: "late" in node.reloader.configuration.tenants, 7)


async def test_a_failure_that_is_noted_while_others_are_told_is_told_next(customer: Customer) -> None:
    async with customer.node(runs=False) as node:
        told: list[set[str]] = []

        async def changed(slugs: set[str]) -> None:
            told.append(set(slugs))
            if len(told) == 1:
                node.refresher._failed |= {"acme", "other"}
            if len(told) == 2:
                raise RuntimeError

        node.refresher._changed = changed
        node.refresher._failed.add("acme")
        await node.refresher.notice()
        with pytest.raises(RuntimeError):
            await node.refresher.notice()
        await node.refresher.notice()
        await node.refresher.notice()
        assert told == [{"acme"}, {"acme", "other"}, {"acme", "other"}]
