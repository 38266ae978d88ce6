"""Reading Kombo into the directory, when all goes well and when it does not."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from bridge.directory.keeper import Keeper
from bridge.directory.sync import Sync
from bridge.errors import KomboUnavailable, StateError
from bridge.simulator import seed
from bridge.store import lookups
from tests.support.rooms import Rooms


async def known(rooms: Rooms, person: seed.Person) -> bool:
    return await rooms.store.read(lambda c: lookups.person(c, person.integration, person.id)) is not None


async def synced(rooms: Rooms, integration: str = seed.ACME) -> set[str]:
    return set(await rooms.store.read(lambda c: lookups.synced(c, integration)))


async def remove(rooms: Rooms, person: seed.Person) -> None:
    answer = await rooms.http.delete(
        f"{rooms.origin}/_control/users/{person.id}", params={"integration": person.integration}
    )
    assert answer.status_code == 200
    await rooms.control("sync")


async def test_a_pass_reads_everything_and_removes_what_is_gone(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    first = {done.model: done for done in await rooms.sync(tenant)}
    assert first["users"].rows == len([p for p in seed.PEOPLE if p.integration == seed.ACME]) - 1, "all but the deleted"
    assert await synced(rooms) == {"users", "courses", "progressions"}
    await remove(rooms, seed.JANE)
    second = {done.model: done.removed for done in await rooms.sync(tenant)}
    assert second["users"] == 1
    assert not await known(rooms, seed.JANE)
    assert await known(rooms, seed.CARLOS)


@pytest.mark.parametrize("fault", ["html502", "empty500", "cut"])
async def test_an_interrupted_pass_removes_nothing(rooms: Rooms, fault: str) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    await remove(rooms, seed.JANE)
    await rooms.control("faults", kind=fault, count=None)
    with pytest.raises(KomboUnavailable):
        await rooms.sync(tenant)
    assert await known(rooms, seed.JANE)


async def test_a_pass_with_unreadable_rows_is_no_proof_of_absence(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    as_of = await rooms.store.read(lambda c: lookups.synced(c, seed.ACME))
    await rooms.control("faults", kind="rows", count=1, without=["remote_id"])
    passes = {done.model: done for done in await rooms.sync(tenant)}
    assert passes["users"].unreadable
    assert passes["users"].removed == 0
    assert await known(rooms, seed.JANE)
    later = await rooms.store.read(lambda c: lookups.synced(c, seed.ACME))
    assert later["users"] == as_of["users"], "what was known completely is still as old as it was"
    assert later["courses"] > as_of["courses"]
    assert (await rooms.store.read(lambda c: lookups.passed(c, seed.ACME)))["users"] > as_of["users"]


async def test_a_pass_that_may_no_longer_write_stops(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    writes = 0

    def permit(_: Connection) -> None:
        nonlocal writes
        writes += 1
        if writes > 2:
            raise StateError("taken over")

    with pytest.raises(StateError, match="taken over"):
        await Sync(rooms.store, rooms.client(tenant), tenant.integration_id, permit).run()
    assert await known(rooms, seed.JANE)
    assert await synced(rooms) == set()


async def test_keepers_take_turns_and_read_again_when_it_is_due(rooms: Rooms) -> None:
    rooms.deployment.tenants = {"acme": rooms.deployment.tenants["acme"]}
    rooms.deployment.tenants["acme"]["kombo"] = {"integration_id": seed.ACME, "sync_every": "2s"}
    configuration = rooms.deployment.load()
    keepers = [Keeper(rooms.store, lambda: configuration, rooms.client) for _ in range(3)]
    tasks = [asyncio.ensure_future(keeper.run()) for keeper in keepers]
    try:
        for _ in range(100):
            await asyncio.sleep(0.05)
            if await synced(rooms):
                break
        await asyncio.sleep(0.3)
        assert rooms.asked("/lms/users") == 1, "one of the three"
        await remove(rooms, seed.JANE)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not await known(rooms, seed.JANE):
                break
        assert not await known(rooms, seed.JANE)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_keeper_outlives_a_kombo_that_is_away(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.directory.keeper.RETRY_MS", 200)
    rooms.deployment.tenants = {"acme": rooms.deployment.tenants["acme"]}
    configuration = rooms.deployment.load()
    await rooms.control("down", value=True)
    task = asyncio.ensure_future(Keeper(rooms.store, lambda: configuration, rooms.client).run())
    try:
        await asyncio.sleep(0.5)
        assert await synced(rooms) == set()
        await rooms.control("down", value=False)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if len(await synced(rooms)) == 3:
                break
        assert await known(rooms, seed.JANE)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_no_integration_waits_for_ever_behind_busier_ones(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.directory.keeper.AT_ONCE", 1)
    monkeypatch.setattr("bridge.directory.keeper.TICK_SECONDS", 0.02)
    for slug, integration in (("acme", seed.ACME), ("globex", seed.GLOBEX), ("initech", seed.INITECH)):
        rooms.deployment.tenants[slug]["kombo"] = {"integration_id": integration, "sync_every": "1s"}
    configuration = rooms.deployment.load()
    await rooms.control("faults", kind="slow", seconds=0.4, count=None)
    task = asyncio.ensure_future(Keeper(rooms.store, lambda: configuration, rooms.client).run())
    try:
        for _ in range(200):
            await asyncio.sleep(0.05)
            if all([await synced(rooms, each) for each in (seed.ACME, seed.GLOBEX, seed.INITECH, seed.VANDELAY)]):
                break
        assert await synced(rooms, seed.VANDELAY), "each pass takes longer than the time until the next is due"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
