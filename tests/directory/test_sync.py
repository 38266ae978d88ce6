"""Reading a simulated Kombo into the directory, when all goes well and when it does not."""

from __future__ import annotations

import pytest

from bridge.directory.sync import Sync
from bridge.errors import KomboRefused, KomboUnavailable, StateError
from bridge.simulator import seed
from bridge.store import lookups, syncs
from tests.support.permits import only
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


async def test_a_pass_reads_everything_and_the_next_what_changed(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    first = {done.model: done for done in await rooms.sync(tenant)}
    assert first["users"].rows == len([p for p in seed.PEOPLE if p.integration == seed.ACME]) - 1, "all but the deleted"
    assert await synced(rooms) == {"users", "courses", "progressions"}
    await remove(rooms, seed.JANE)
    second = {done.model: (done.mode, done.rows) for done in await rooms.sync(tenant)}
    assert second == {"users": ("delta", 1), "courses": ("delta", 0), "progressions": ("delta", 0)}
    assert not await known(rooms, seed.JANE)
    assert await known(rooms, seed.CARLOS)


async def test_with_a_full_pass_nothing_is_missed_that_a_delta_was_not_told(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    del rooms.world.integrations[seed.ACME].users.seen[seed.JANE.id]
    await rooms.sync(tenant)
    assert await known(rooms, seed.JANE)
    await Sync(rooms.store, rooms.client(tenant), tenant.integration_id).run(full=True)
    assert not await known(rooms, seed.JANE)


@pytest.mark.parametrize("fault", ["html502", "empty500", "cut", "429"])
async def test_an_interrupted_pass_removes_nothing(rooms: Rooms, fault: str) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    del rooms.world.integrations[seed.ACME].users.seen[seed.JANE.id]
    await rooms.control("faults", kind=fault, count=None)
    with pytest.raises(KomboUnavailable):
        await Sync(rooms.store, rooms.client(tenant), tenant.integration_id).run(full=True)
    assert await known(rooms, seed.JANE)


async def test_a_pass_goes_on_behind_the_page_that_was_kept(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Kombo's own cursors, which hold for the same filters only."""
    monkeypatch.setattr("bridge.kombo.client.PAGE_SIZE", 10)
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    for person in rooms.world.integrations[seed.ACME].users.lms.values():
        rooms.world.integrations[seed.ACME].patch(
            rooms.world.integrations[seed.ACME].users, person.id, first_name="Changed"
        )
    with pytest.raises(StateError):
        await Sync(rooms.store, rooms.client(tenant), tenant.integration_id, only(3)).run()
    standing = (await rooms.store.read(lambda c: syncs.of(c, seed.ACME)))["users"]
    assert (standing.mode, standing.rows) == ("delta", 19), "two pages, without the one whom a full pass left out"
    done = await Sync(rooms.store, rooms.client(tenant), tenant.integration_id).read("users")
    assert done.rows == len(rooms.world.integrations[seed.ACME].users.lms), "none of them twice"


async def test_a_pass_with_unreadable_rows_is_no_proof_of_absence(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    as_of = await rooms.store.read(lambda c: lookups.synced(c, seed.ACME))
    await rooms.control("faults", kind="rows", count=1, without=["remote_id"])
    passes = await Sync(rooms.store, rooms.client(tenant), tenant.integration_id).run(full=True)
    users = passes[0]
    assert users.unreadable
    assert users.removed == 0
    assert await known(rooms, seed.JANE)
    later = await rooms.store.read(lambda c: lookups.synced(c, seed.ACME))
    assert later["users"] == as_of["users"], "what was known completely is still as old as it was"
    assert later["courses"] > as_of["courses"]


async def test_a_pass_that_may_no_longer_write_stops(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    with pytest.raises(StateError, match="taken over"):
        await Sync(rooms.store, rooms.client(tenant), tenant.integration_id, only(2, "taken over")).run()
    assert await known(rooms, seed.JANE)
    assert await synced(rooms) == set()


async def test_a_model_that_kombo_refuses_does_not_keep_the_others_from_being_read(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    fault = {"kind": "error", "code": "INTEGRATION.MODEL_NOT_AVAILABLE", "path": "/v1/lms/courses", "count": None}
    await rooms.http.post(f"{rooms.origin}/_control/faults", json=fault)
    with pytest.raises(KomboRefused, match="MODEL_NOT_AVAILABLE"):
        await rooms.sync(tenant)
    assert await synced(rooms) == {"users", "progressions"}
