from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from bridge.simulator import clockwork, seed
from bridge.simulator.integration import Integration
from bridge.simulator.records import Progression
from bridge.simulator.seed import ACME, JANE, NOOR, TOM, revision_id
from bridge.simulator.world import World

USERS = "/v1/lms/users"
PROGRESSIONS = "/v1/lms/course-progressions"
REVISION = revision_id(ACME, "ergonomics")


@pytest.fixture
def acme(world: World) -> Integration:
    acme = world.integrations[ACME]
    acme.lag = True
    return acme


async def rows(api: httpx.AsyncClient, path: str, **query: str) -> list[dict[str, Any]]:
    results = (await api.get(path, params=query)).json()["data"]["results"]
    assert isinstance(results, list)
    return results


async def name(api: httpx.AsyncClient) -> str:
    return str((await rows(api, USERS, ids=JANE.id))[0]["first_name"])


async def test_a_sync_takes_its_time_and_there_is_one_at_a_time(
    api: httpx.AsyncClient, world: World, acme: Integration
) -> None:
    world.sync_seconds = 60
    acme.patch(acme.users, JANE.id, first_name="Janet")
    first = (await api.post("/v1/force-sync", json={"type": "DELTA"})).json()["data"]
    second = (await api.post("/v1/force-sync", json={"type": "FULL"})).json()["data"]
    assert (first["already_queued"], second["already_queued"]) == (False, True)
    assert (second["sync_id"], second["type"]) == (first["sync_id"], "DELTA")
    assert await name(api) == "Jane"
    world.clock_ahead = 61
    assert await name(api) == "Janet"
    third = (await api.post("/v1/force-sync", json={})).json()["data"]
    assert (third["already_queued"], third["type"]) == (False, "FULL")


async def test_kombo_syncs_by_itself_full_and_delta_in_turn(world: World, acme: Integration) -> None:
    world.sync_every = 600
    clockwork.tick(world)
    seen = []
    for step in range(1, 6):
        world.clock_ahead = step * 601
        clockwork.tick(world)
        seen.append(acme.synced)
    assert seen == ["FULL", "DELTA", "FULL", "DELTA", "FULL"]
    acme.delta_supported = False
    for step in range(6, 8):
        world.clock_ahead = step * 601
        clockwork.tick(world)
        assert acme.synced == "FULL"


async def test_a_sync_that_was_asked_for_moves_the_schedule(world: World, acme: Integration) -> None:
    world.sync_every = 600
    clockwork.tick(world)
    world.clock_ahead = 500
    acme.sync()
    at = acme.synced_at
    world.clock_ahead = 700
    clockwork.tick(world)
    assert acme.synced_at == at
    world.clock_ahead = 1200
    clockwork.tick(world)
    assert acme.synced_at != at


@pytest.mark.parametrize("status", ["INVALID", "INACTIVE"])
async def test_syncing_stops_where_it_is_not_active(
    status: Any, world: World, acme: Integration, api: httpx.AsyncClient
) -> None:
    world.sync_every = 600
    clockwork.tick(world)
    acme.change(status=status)
    acme.patch(acme.users, JANE.id, first_name="Janet")
    world.clock_ahead = 601
    clockwork.tick(world)
    acme.sync()
    assert await name(api) == "Jane"
    acme.change(status="ACTIVE")
    acme.sync()
    assert await name(api) == "Janet"


async def test_three_days_without_authentication_make_it_invalid(world: World, acme: Integration) -> None:
    acme.outcome = "AUTHENTICATION_FAILED"
    statuses = []
    for days in (0, 1, 2, 3):
        world.clock_ahead = days * 86400 + 1
        acme.sync()
        statuses.append(acme.status)
    assert statuses == ["ACTIVE", "ACTIVE", "ACTIVE", "INVALID"]


@pytest.mark.parametrize("outcome", ["FAILED", "AUTHENTICATION_FAILED", "CANCELLED", "TIMED_OUT", "PARTIALLY_FAILED"])
async def test_a_sync_that_fails_reads_nothing_or_a_part(
    outcome: Any, acme: Integration, api: httpx.AsyncClient
) -> None:
    acme.patch(acme.users, JANE.id, first_name="Janet")
    acme.enroll(NOOR.id, REVISION)
    before = len(await rows(api, PROGRESSIONS, user_ids=NOOR.id))
    acme.sync(outcome=outcome)
    assert await name(api) == ("Janet" if outcome == "PARTIALLY_FAILED" else "Jane")
    assert len(await rows(api, PROGRESSIONS, user_ids=NOOR.id)) == before
    acme.sync(full=False)
    assert len(await rows(api, PROGRESSIONS, user_ids=NOOR.id)) == before + 1


async def test_when_our_own_writes_show_is_a_knob_of_its_own(api: httpx.AsyncClient, acme: Integration) -> None:
    body = {"user_id": NOOR.id, "course_revision_id": REVISION}
    acme.writes_lag = False
    made = (await api.post(PROGRESSIONS, json=body)).json()["data"]
    assert made["id"] in [row["id"] for row in await rows(api, PROGRESSIONS, user_ids=NOOR.id)]
    acme.lag, acme.writes_lag = False, True
    await api.post(f"{PROGRESSIONS}/{made['id']}/complete", json={})
    [row] = await rows(api, PROGRESSIONS, ids=made["id"])
    assert row["status"] == "ENROLLED"
    acme.patch(acme.users, JANE.id, first_name="Janet")
    assert await name(api) == "Janet"
    acme.sync(full=False)
    [row] = await rows(api, PROGRESSIONS, ids=made["id"])
    assert row["status"] == "COMPLETED"


async def test_an_action_answers_with_what_the_lms_has_even_under_lag(
    api: httpx.AsyncClient, acme: Integration
) -> None:
    id = seed.course_id(ACME, "ergonomics")
    closed = (await api.post(f"/v1/lms/courses/{id}/deactivate")).json()["data"]
    assert [each["status"] for each in closed["revisions"]] == ["INACTIVE"]
    [row] = await rows(api, "/v1/lms/courses", ids=id)
    assert [each["status"] for each in row["revisions"]] == ["ACTIVE"]


async def test_changed_at_is_when_kombo_noticed(api: httpx.AsyncClient, world: World, acme: Integration) -> None:
    acme.patch(acme.users, JANE.id, first_name="Janet")
    world.clock_ahead = 3600
    noticed = world.clock()
    acme.sync()
    since = (noticed - timedelta(seconds=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert [row["id"] for row in await rows(api, USERS, updated_after=since)] == [JANE.id]
    acme.changed_at_behind = 60
    acme.patch(acme.users, TOM.id, first_name="Thomas")
    acme.sync()
    assert [row["id"] for row in await rows(api, USERS, updated_after=since)] == [JANE.id]
    [tom] = await rows(api, USERS, ids=TOM.id)
    assert (tom["first_name"], tom["changed_at"] < since) == ("Thomas", True)


async def test_a_sync_without_changes_leaves_changed_at(api: httpx.AsyncClient, acme: Integration) -> None:
    before = await rows(api, USERS)
    acme.sync()
    assert await rows(api, USERS) == before


async def test_after_fourteen_days_a_deleted_person_is_anonymous(
    api: httpx.AsyncClient, world: World, acme: Integration
) -> None:
    acme.remove(acme.users, JANE.id)
    acme.sync()
    names = []
    for days in (0, 13, 15):
        world.clock_ahead = days * 86400
        acme.sync(full=False)
        [jane] = await rows(api, USERS, ids=JANE.id, include_deleted="true")
        names.append((jane["first_name"], jane["work_email"], jane["status"], jane["remote_id"]))
    kept = ("Jane", JANE.email, "ACTIVE", JANE.remote_id)
    assert names == [kept, kept, (None, None, None, JANE.remote_id)]


async def test_who_comes_back_is_there_again(api: httpx.AsyncClient, acme: Integration) -> None:
    jane = acme.users.lms[JANE.id]
    acme.remove(acme.users, JANE.id)
    acme.sync()
    assert await rows(api, USERS, ids=JANE.id) == []
    acme.put(jane)
    acme.sync(full=False)
    [row] = await rows(api, USERS, ids=JANE.id)
    assert (row["remote_deleted_at"], row["first_name"]) == (None, "Jane")


@pytest.mark.parametrize(("counts", "found"), [(False, 0), (True, 1)])
async def test_whether_a_changed_person_changes_their_progressions_is_a_knob(
    counts: bool, found: int, api: httpx.AsyncClient, acme: Integration
) -> None:
    acme.nested_changes_count = counts
    acme.patch(acme.users, JANE.id, first_name="Janet")
    acme.sync()
    assert len(await rows(api, PROGRESSIONS, updated_after="2025-09-02")) == found


async def test_a_model_that_is_switched_off(api: httpx.AsyncClient, acme: Integration) -> None:
    await api.patch("/_control/scope", json={"integration": ACME, "model": "progressions", "enabled": False})
    details = (await api.get(f"/v1/integrations/{ACME}")).json()["data"]
    [model] = [model for model in details["read_models"] if model["id"] == "lms_course_progressions"]
    assert (model["is_available"], model["scope_config_setting"]) == (False, "DISABLED")
    assert details["data_expired_at"]
    assert await rows(api, PROGRESSIONS, user_ids=JANE.id)
    acme.sync(full=False)
    assert await rows(api, PROGRESSIONS, user_ids=JANE.id) == []
    assert await rows(api, PROGRESSIONS, user_ids=JANE.id, include_deleted="true")
    assert (await api.get(f"/v1/integrations/{ACME}")).json()["data"]["data_expired_at"] is None


async def test_the_last_sync_of_a_setup_completes_it(api: httpx.AsyncClient, acme: Integration) -> None:
    acme.setup_status = "FINAL_SYNC_PENDING"
    assert (await api.get(USERS)).json()["error"]["code"] == "INTEGRATION.SETUP_SYNC_PENDING"
    acme.sync()
    assert (await api.get(USERS)).status_code == 200


async def test_a_progression_of_somebody_whom_kombo_has_not_seen_waits(
    api: httpx.AsyncClient, acme: Integration
) -> None:
    acme.put(Progression(id="p", remote_id="p", user_id="nobody", course_revision_id=REVISION))
    acme.sync()
    assert await rows(api, PROGRESSIONS, ids="p") == []
