"""The background work: whose turn it is, what is due, what is wanted, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from structlog.testing import capture_logs

from bridge.directory.keeper import Keeper
from bridge.directory.turns import lease_of
from bridge.settings.model import Configuration, Tenant
from bridge.simulator import seed
from bridge.store import leases, lookups, syncs
from bridge.store.engine import Store, now_ms
from bridge.store.rows import MODELS
from bridge.store.syncs import Progress
from tests.support.rooms import Rooms


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.directory.keeper.TICK_SECONDS", 0.02)
    monkeypatch.setattr("bridge.directory.schedule.HINT_GAP_MS", 0)


def acme_alone(rooms: Rooms, **kombo: str) -> Configuration:
    rooms.deployment.tenants = {"acme": rooms.deployment.tenants["acme"]}
    rooms.deployment.tenants["acme"]["kombo"] = {"integration_id": seed.ACME, **kombo}
    return rooms.deployment.load()


@contextlib.asynccontextmanager
async def keeping(rooms: Rooms, configuration: Configuration, *stores: Store) -> AsyncIterator[None]:
    keepers = [Keeper(store, lambda: configuration, rooms.client) for store in stores or (rooms.store,)]
    tasks = [asyncio.ensure_future(keeper.run()) for keeper in keepers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def progress(rooms: Rooms) -> dict[str, Progress]:
    return dict(await rooms.store.read(lambda c: syncs.of(c, seed.ACME)))


async def all_read(rooms: Rooms, integration: str = seed.ACME) -> bool:
    return len(await rooms.store.read(lambda c: lookups.synced(c, integration))) == len(MODELS)


async def idle(rooms: Rooms) -> bool:
    """Every model is read, and nobody holds the lease any more."""
    holder = await rooms.store.read(partial(leases.holder_of, name=lease_of(seed.ACME)))
    return holder is None and await all_read(rooms)


async def gone(rooms: Rooms, person: seed.Person) -> bool:
    return await rooms.store.read(lambda c: lookups.person(c, person.integration, person.id)) is None


async def refuse_courses(rooms: Rooms) -> None:
    fault = {"kind": "error", "code": "INTEGRATION.MODEL_NOT_AVAILABLE", "path": "/v1/lms/courses", "count": None}
    await rooms.http.post(f"{rooms.origin}/_control/faults", json=fault)


async def test_of_several_keepers_one_reads(rooms: Rooms) -> None:
    others = [Store(str(rooms.store.engine.url)) for _ in range(2)]
    try:
        async with keeping(rooms, acme_alone(rooms), rooms.store, *others):
            await until(partial(idle, rooms))
            await asyncio.sleep(0.2)
            assert [rooms.asked(f"/lms/{path}") for path in ("users", "courses", "course-progressions")] == [1, 1, 1]
            assert rooms.asked(f"/integrations/{seed.ACME}") == 1
    finally:
        for store in others:
            store.close()


async def test_an_address_that_two_people_have_is_said_to_each_tenant_of_the_integration(rooms: Rooms) -> None:
    acme = rooms.deployment.tenants["acme"]
    rooms.deployment.tenants = {"acme": acme, "acme-eu": acme}
    with capture_logs() as logs:
        async with keeping(rooms, rooms.deployment.load()):
            await until(partial(idle, rooms))
    said = {(line["tenant"], line["user"]) for line in logs if line["event"] == "address_shared"}
    assert said == {(slug, min(seed.SAM.id, seed.SAMIRA.id)) for slug in ("acme", "acme-eu")}


async def test_what_is_due_is_read_again(rooms: Rooms) -> None:
    async with keeping(rooms, acme_alone(rooms, sync_every="1s")):
        await until(partial(all_read, rooms))
        integration = rooms.world.integrations[seed.ACME]
        integration.remove(integration.users, seed.JANE.id)
        await until(partial(gone, rooms, seed.JANE))
        assert (await progress(rooms))["users"].number == 1, "by what changed"


async def test_everything_is_read_again_when_that_is_due(rooms: Rooms) -> None:
    async with keeping(rooms, acme_alone(rooms, sync_every="1s", full_sync_every="1s")):
        await until(partial(all_read, rooms))
        del rooms.world.integrations[seed.ACME].users.seen[seed.JANE.id]
        await until(partial(gone, rooms, seed.JANE))


async def test_a_hint_from_any_node_starts_a_pass_over_what_it_names(rooms: Rooms) -> None:
    other = Store(str(rooms.store.engine.url))
    try:
        async with keeping(rooms, acme_alone(rooms)):
            await until(partial(idle, rooms))
            before = await progress(rooms)
            integration = rooms.world.integrations[seed.ACME]
            integration.remove(integration.users, seed.JANE.id)
            for _ in range(3):
                await other.write(lambda c: syncs.want(c, seed.ACME, {"users"}, now_ms()))
            await until(partial(gone, rooms, seed.JANE))
            await until(partial(idle, rooms))
            after = await progress(rooms)
            assert after["users"].as_of != before["users"].as_of
            assert {after[model].as_of == before[model].as_of for model in ("courses", "progressions")} == {True}
            assert await rooms.store.read(lambda c: syncs.wanted(c, now_ms())) == set()
    finally:
        other.close()


async def test_one_log_line_a_pass(rooms: Rooms) -> None:
    with capture_logs() as logs:
        async with keeping(rooms, acme_alone(rooms)):
            await until(partial(idle, rooms))
    told = [line for line in logs if line["event"] == "sync_finished"]
    assert [(line["model"], line["mode"]) for line in told] == [(model, "full") for model in MODELS]
    assert all(line["tenant"] == "acme" and line["rows"] and line["seconds"] >= 0 for line in told)


async def test_a_kombo_that_is_away_is_asked_again_after_a_pause(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.directory.schedule.RETRY_MS", 200)
    await rooms.control("down", value=True)

    async def failed() -> bool:
        return sum(each.failures or 0 for each in (await progress(rooms)).values()) > 1

    async with keeping(rooms, acme_alone(rooms)):
        await until(failed)
        assert not await all_read(rooms)
        await rooms.control("down", value=False)
        await until(partial(all_read, rooms))
    assert {each.failures for each in (await progress(rooms)).values()} == {None}


async def test_a_refused_model_is_no_reason_not_to_read_the_others(rooms: Rooms) -> None:
    await refuse_courses(rooms)
    with capture_logs() as logs:
        async with keeping(rooms, acme_alone(rooms)):

            async def others() -> bool:
                return len(await rooms.store.read(lambda c: lookups.synced(c, seed.ACME))) == 2

            await until(others)
    known = await progress(rooms)
    assert known["courses"].failures == 1
    assert known["courses"].retry_at and known["courses"].retry_at > now_ms() + 20_000
    [line] = [line for line in logs if line["event"] == "sync_failed"]
    assert (line["model"], line["failures"]) == ("courses", 1)


async def test_kombos_own_wish_to_be_left_alone_counts(rooms: Rooms) -> None:
    fault = {"kind": "429", "count": None, "retry_after": "200", "path": "/v1/lms/users"}
    await rooms.http.post(f"{rooms.origin}/_control/faults", json=fault)
    async with keeping(rooms, acme_alone(rooms)):

        async def failed() -> bool:
            return bool((await progress(rooms)).get("users", Progress("", "users", 0)).failures)

        await until(failed)
    retry_at = (await progress(rooms))["users"].retry_at
    assert retry_at and retry_at > now_ms() + 150_000


async def test_another_node_goes_on_with_a_pass_that_was_cut_off(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.kombo.client.PAGE_SIZE", 5)
    configuration = acme_alone(rooms)
    await rooms.control("faults", kind="slow", seconds=0.05, count=None)

    async def half_way() -> bool:
        return ((await progress(rooms)).get("users", Progress("", "users", 0)).rows or 0) >= 10

    async with keeping(rooms, configuration):
        await until(half_way)
    standing = (await progress(rooms))["users"]
    assert standing.mode == "full"
    await rooms.control("faults", "DELETE")
    read = rooms.asked("/lms/users")
    async with keeping(rooms, configuration):
        await until(partial(all_read, rooms))
    everybody = len([p for p in seed.PEOPLE if p.integration == seed.ACME])
    assert rooms.asked("/lms/users") - read <= (everybody - (standing.rows or 0)) // 5 + 1
    assert (await progress(rooms))["users"].as_of == standing.started_at


async def test_no_integration_waits_for_ever_behind_busier_ones(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.directory.keeper.AT_ONCE", 1)
    for slug, integration in (("acme", seed.ACME), ("globex", seed.GLOBEX), ("initech", seed.INITECH)):
        rooms.deployment.tenants[slug]["kombo"] = {"integration_id": integration, "sync_every": "1s"}
    await rooms.control("faults", kind="slow", seconds=0.3, count=None)
    async with keeping(rooms, rooms.deployment.load()):
        for integration in (seed.ACME, seed.GLOBEX, seed.INITECH, seed.VANDELAY):
            await until(partial(all_read, rooms, integration))


async def test_a_start_asks_nothing_that_is_not_due(rooms: Rooms) -> None:
    configuration = acme_alone(rooms)
    async with keeping(rooms, configuration):
        await until(partial(idle, rooms))
    asked = len(rooms.world.requests)
    async with keeping(rooms, configuration):
        await asyncio.sleep(0.3)
    assert len(rooms.world.requests) == asked


async def test_only_a_few_integrations_are_read_side_by_side(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    work, together, most = Keeper._work, 0, 0

    async def counted(self: Keeper, tenant: Tenant) -> int:
        nonlocal together, most
        together += 1
        most = max(most, together)
        try:
            return await work(self, tenant)
        finally:
            together -= 1

    monkeypatch.setattr("bridge.directory.keeper.AT_ONCE", 2)
    monkeypatch.setattr(Keeper, "_work", counted)
    async with keeping(rooms, rooms.deployment.load()):
        for integration in (seed.ACME, seed.GLOBEX, seed.INITECH, seed.VANDELAY):
            await until(partial(all_read, rooms, integration))
    assert most == 2


async def test_a_clock_that_was_set_back_does_not_stop_the_readings(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = acme_alone(rooms, sync_every="1s")
    right, ahead = time.time_ns, 24 * 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: right() + ahead)
    async with keeping(rooms, configuration):
        await until(lambda: all_read(rooms))
        await asyncio.sleep(0.2)  # so that no pass is under way, which would set the next one's time anew
        monkeypatch.setattr(time, "time_ns", right)
        asked = rooms.asked("/lms/users")
        await until(lambda: _true(rooms.asked("/lms/users") > asked))


async def _true(value: bool) -> bool:
    return value
