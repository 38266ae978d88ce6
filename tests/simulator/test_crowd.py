from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest

from bridge.simulator import reads, seed
from bridge.simulator.app import create
from bridge.simulator.crowd import STATUSES, Assignments, Learners
from bridge.simulator.world import World

PROGRESSIONS = "/v1/lms/course-progressions"
BIG = {"people": 200_000, "progressions": 2_000_000, "courses": 50}


@pytest.fixture
def world() -> World:
    """As large as a large customer, made in an instant."""
    return seed.seeded(**BIG)


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {world.api_key}", "X-Integration-Id": seed.ACME}
    transport = httpx.ASGITransport(create(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        yield client


async def found(api: httpx.AsyncClient, path: str, **query: str) -> list[dict[str, Any]]:
    answer = await api.get(path, params={"page_size": "250", **query})
    assert answer.status_code == 200, answer.text
    results = answer.json()["data"]["results"]
    assert isinstance(results, list)
    return results


@pytest.mark.parametrize(("people", "progressions", "revisions"), [(1, 1, 1), (7, 100, 3), (100, 7, 3), (1000, 999, 8)])
def test_everything_follows_from_a_number_and_the_number_from_everything(
    people: int, progressions: int, revisions: int
) -> None:
    learners = Learners("workday:x", people, "acme.com")
    courses = [f"r{turn}" for turn in range(revisions)]
    assignments = Assignments("workday:x", progressions, learners, courses, datetime.fromisoformat("2025-01-01T00Z"))
    assert len({learners.record(number).id for number in range(people)}) == people
    for number in range(people):
        learner = learners.record(number)
        assert re.fullmatch("[1-9A-HJ-NP-Za-km-z]{24}", learner.id)
        assert learners.number(learner.id) == number
        assert learners.numbers("remote_id", learner.remote_id) == (number,)
        assert learner.work_email is None or learners.numbers("work_email", learner.work_email) == (number,)
    by_user, by_course = [], []
    for number in range(people):
        by_user += assignments.numbers("user_id", learners.record(number).id)
    for course in courses:
        by_course += assignments.numbers("course_revision_id", course)
    assert by_user == sorted(by_course) == list(range(progressions))
    for number in range(progressions):
        record = assignments.record(number)
        assert assignments.number(record.id) == number
        assert assignments.numbers("remote_id", record.remote_id) == (number,)
        assert number in assignments.numbers("user_id", record.user_id)
        assert number in assignments.numbers("course_revision_id", record.course_revision_id)


@pytest.mark.parametrize("id", ["", "x", "1" * 24, "0" * 24, "é" * 24])
def test_ids_of_nobody(id: str) -> None:
    learners = Learners("workday:x", 10, "acme.com")
    assert learners.number(id) is None
    assert list(learners.numbers("work_email", f"{id}@acme.com")) == []
    assert learners.number(learners.record(0).id[:-1] + "0") is None


def test_progressions_of_nobody_are_refused() -> None:
    with pytest.raises(ValueError, match="people"):
        seed.seeded(progressions=1)


async def test_pages_in_the_midst_of_everything(api: httpx.AsyncClient, world: World) -> None:
    """A page costs the same wherever it is."""
    acme = world.integrations[seed.ACME]
    assert len(acme.progressions.seen) > BIG["progressions"]
    total = 0
    for start in (0, 1_000_000, acme.progressions.seen.places - 260):
        cursor = reads._cursor(start, reads._digest(acme, reads.PROGRESSIONS, {}))
        data = (await api.get(PROGRESSIONS, params={"page_size": "250", "cursor": cursor})).json()["data"]
        total += len(data["results"])
        assert data["next"]
    assert total == 750


async def test_every_filter_finds_its_own(api: httpx.AsyncClient) -> None:
    *_, one = await found(api, PROGRESSIONS)
    user, course = one["user"], one["course_revision"]["course"]
    for name, value in (("ids", one["id"]), ("remote_ids", one["remote_id"])):
        assert [row["id"] for row in await found(api, PROGRESSIONS, **{name: value})] == [one["id"]]
    mine = await found(api, PROGRESSIONS, user_ids=user["id"])
    assert len(mine) == 10
    assert {row["user_id"] for row in mine} == {user["id"]}
    both = await found(api, PROGRESSIONS, user_ids=user["id"], course_ids=course["id"])
    assert [row["id"] for row in both] == [one["id"]]
    theirs = await found(api, PROGRESSIONS, course_ids=course["id"])
    assert len(theirs) == 250
    assert {row["course_revision"]["course"]["id"] for row in theirs} == {course["id"]}
    for name, value in (("ids", "id"), ("remote_ids", "remote_id"), ("work_emails", "work_email")):
        assert [row["id"] for row in await found(api, "/v1/lms/users", **{name: user[value]})] == [user["id"]]
    shouted = await found(api, "/v1/lms/users", work_emails=user["work_email"].upper())
    assert [row["id"] for row in shouted] == [user["id"]]


async def test_filters_page_in_the_order_of_the_list(api: httpx.AsyncClient) -> None:
    [*_, one] = await found(api, PROGRESSIONS)
    query = {"course_ids": one["course_revision"]["course"]["id"], "page_size": "3"}
    ids, cursor = [], None
    for _ in range(4):
        data = (await api.get(PROGRESSIONS, params=query | ({"cursor": cursor} if cursor else {}))).json()["data"]
        ids += [row["id"] for row in data["results"]]
        cursor = data["next"]
    assert ids == [row["id"] for row in await found(api, PROGRESSIONS, **{**query, "page_size": "12"})]


async def test_what_is_changed_is_kept_at_its_place(api: httpx.AsyncClient, world: World) -> None:
    acme = world.integrations[seed.ACME]
    before = await found(api, "/v1/lms/users")
    chosen = before[200]
    acme.patch(acme.users, chosen["id"], work_email="Else@acme.com", first_name="Else")
    after = await found(api, "/v1/lms/users")
    assert [row["id"] for row in after] == [row["id"] for row in before]
    assert after[200]["first_name"] == "Else"
    assert await found(api, "/v1/lms/users", work_emails=chosen["work_email"]) == []
    assert [row["id"] for row in await found(api, "/v1/lms/users", work_emails="else@ACME.com")] == [chosen["id"]]
    changed = await found(api, "/v1/lms/users", updated_after="2025-09-02")
    assert [row["id"] for row in changed] == [chosen["id"]]


async def test_what_is_removed_is_deleted(api: httpx.AsyncClient, world: World) -> None:
    acme = world.integrations[seed.ACME]
    acme.lag = True
    chosen = (await found(api, "/v1/lms/users"))[100]["id"]
    size = len(acme.users.lms)
    acme.remove(acme.users, chosen)
    assert (len(acme.users.lms), chosen in acme.users.lms) == (size - 1, False)
    acme.sync(full=False)
    assert len(await found(api, "/v1/lms/users", ids=chosen)) == 1
    acme.sync()
    assert await found(api, "/v1/lms/users", ids=chosen) == []
    [row] = await found(api, "/v1/lms/users", ids=chosen, include_deleted="true")
    assert row["remote_deleted_at"]


async def test_learners_act_as_anybody_does(api: httpx.AsyncClient) -> None:
    user = (await found(api, "/v1/lms/users"))[150]["id"]
    [row, *_] = [row for row in await found(api, PROGRESSIONS, user_ids=user) if row["status"] == "ENROLLED"]
    done = (await api.post(f"{PROGRESSIONS}/{row['id']}/complete", json={})).json()["data"]
    assert done["status"] == "COMPLETED"
    body = {"user_id": user, "course_revision_id": row["course_revision_id"]}
    anew = (await api.post(PROGRESSIONS, json=body)).json()["data"]
    mine = await found(api, PROGRESSIONS, user_ids=user)
    assert len(mine) == 11
    assert {one["id"]: one["status"] for one in mine}[row["id"]] == "COMPLETED"
    assert mine[-1]["id"] == anew["id"]


async def test_a_scope_that_is_switched_off_is_off_for_everybody(api: httpx.AsyncClient, world: World) -> None:
    acme = world.integrations[seed.ACME]
    acme.rescope("users", without={"work_email"})
    assert (await found(api, "/v1/lms/users"))[200]["work_email"]
    acme.sync(full=False)
    assert {row["work_email"] for row in await found(api, "/v1/lms/users")} == {None}
    assert len(await found(api, "/v1/lms/users", updated_after="2025-09-02")) == 250
    acme.rescope("users", enabled=False, without=())
    acme.sync(full=False)
    assert await found(api, "/v1/lms/users") == []
    gone = await found(api, "/v1/lms/users", include_deleted="true")
    assert all(row["remote_deleted_at"] for row in gone)
    assert gone[200]["first_name"]
    world.clock_ahead = 15 * 86400
    acme.sync(full=False)
    gone = await found(api, "/v1/lms/users", include_deleted="true")
    assert {row["first_name"] for row in gone} == {None}
    acme.rescope("users", enabled=True)
    acme.sync()
    assert (await found(api, "/v1/lms/users"))[200]["work_email"]


def test_all_statuses_occur() -> None:
    acme = seed.seeded(people=30, progressions=300).integrations[seed.ACME]
    assert {one.status for one in acme.progressions.lms.values()} == {*STATUSES, "DROPPED"}
    places = [acme.progressions.seen._place_of(id) for id in acme.progressions.seen]
    assert all(one < other for one, other in pairwise(places))
