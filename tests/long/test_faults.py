"""Whatever goes wrong at Kombo while it is read or written to: nobody is lost or let in, and it all passes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from itertools import islice
from pathlib import Path

from sqlalchemy import func, select

from bridge.simulator import seed
from bridge.store import tables
from tests.support.regions import (
    COURSE,
    FAULTS,
    PROGRESSIONS,
    REGIONS,
    Case,
    Region,
    each_in_some_region,
    in_regions,
    regions_of,
)
from tests.support.scene import Directory, Scene, scene, until

NOBODY = seed.Person("", "nobody", "No", "Body", None)
STRUCK = 3
"""After so many requests that met it, a fault has done what it could."""


def read_all_the_time(found: Scene) -> None:
    in_regions(found, sync_every="1s", full_sync_every="3s")


async def test_readings_that_meet_a_fault(tmp_path: Path, either_url: str) -> None:
    """All of them over SQLite; over PostgreSQL those by which what is known may change."""
    over_sqlite = either_url.startswith("sqlite")
    cases = [
        case for case in FAULTS if case.get("sync") != "alike" and (over_sqlite or case["fault"]["kind"] == "rows")
    ]
    async with scene(tmp_path, either_url, prepare=read_all_the_time, kombos=len(REGIONS)) as found:
        everywhere = await regions_of(found)
        await each_in_some_region(everywhere, cases, lambda region, case: read_under(found, region, case))


async def read_under(found: Scene, region: Region, case: Case) -> tuple[object, object]:
    """What is known while the fault lasts, and afterwards."""
    kombo, slug, learner = region.kombo, region.slug, next(region.learners)
    path = case["fault"].get("path", "/v1/")
    before = await found.directory(region.integration)
    await kombo.control("faults", **(case["fault"] | {"count": None, "method": "GET", "path": path}))
    struck = await kombo.asked(path) + STRUCK
    newcomer = await kombo.hire(region.integration)
    await kombo.enroll(newcomer, COURSE)
    await until(lambda: has_struck(region, path, struck), "the fault strikes")
    async with region.node.browser() as known, region.node.browser() as nobody:
        misled = case.get("sync") == "misled"
        wanted, got = ["user_unmatched"], [await nobody.enters(slug, NOBODY, COURSE)]
        if not misled:
            wanted += ["known", "not_enrolled", "nothing is lost"]
            gate = await known.enters(slug, learner.person, learner.open)
            got += ["known" if gate in ("fresh", "stale") else gate, await known.opens(learner.never)]
            got.append(lost(before, await found.directory(region.integration)) or "nothing is lost")
    await kombo.control("faults", "DELETE")
    await until(lambda: found.same(kombo, region.integration), "all is as Kombo has it")
    return wanted, got


def lost(before: Directory, now: Directory) -> str:
    """What was there and is not any more, and who was inactive and is active now.

    But for those who have just been hired, as a few may really go at a time, and those who were out already.
    """
    gone = {
        name: {id for id, row in rows.items() if id not in now[name] and not _may_go(row)}
        for name, rows in before.items()
    }
    left = {id for id, (status, *_) in before["users"].items() if status == "INACTIVE"}
    back = [id for id in left if now["users"].get(id, ("INACTIVE",))[0] in ("ACTIVE", None)]
    return ", ".join([*(f"{len(ids)} {name}" for name, ids in gone.items() if ids), *(f"{id} is back" for id in back)])


def _may_go(row: tuple[str | None, ...]) -> bool:
    return row[0] == "INACTIVE" or any(value and value.startswith("hired-") for value in row)


async def has_struck(region: Region, path: str, times: int) -> bool:
    return await region.kombo.asked(path) >= times


def read_seldom(found: Scene) -> None:
    in_regions(found, sync_every="12h")


async def test_each_completion_that_met_a_fault_is_written_once(tmp_path: Path, either_url: str) -> None:
    """All those of a region at a time: which one meets which fault is left to chance."""
    async with scene(tmp_path, either_url, prepare=read_seldom, kombos=len(REGIONS)) as found:
        await written_under(found, await regions_of(found))


async def written_under(found: Scene, everywhere: list[Region]) -> None:
    writes = [case for case in FAULTS if case["fault"].get("path", PROGRESSIONS) == PROGRESSIONS]
    shares = [writes[number :: len(everywhere)] for number in range(len(everywhere))]
    reported = await asyncio.gather(*map(reported_under, everywhere, shares))
    dead = sum(case.get("write") == "dead" for case in writes)
    await until(lambda: settled(found, everywhere, reported, dead), "all but those that gave up are sent")
    for region in everywhere:
        assert {fault["count"] for fault in await region.kombo.control("faults", "GET")} == {0}, "each has struck"
    gave_up = json.loads(await found.command("outbox", "--json"))
    assert sorted({each["code"] for each in gave_up}) == sorted(
        case["fault"]["code"] for case in writes if case.get("write") == "dead"
    )
    await found.command("outbox", "retry", "--all-dead")
    await until(lambda: settled(found, everywhere, reported, 0), "those that gave up are sent as well")
    for region, ids in zip(everywhere, reported, strict=True):
        assert Counter(await region.kombo.completions()) == Counter(ids), region.slug
        assert await region.kombo.control("enrollments", "GET") == []


async def reported_under(region: Region, cases: list[Case]) -> list[str]:
    for case in cases:
        fault = case["fault"] | {"count": 1, "method": "POST", "path": PROGRESSIONS}
        await region.kombo.control("faults", **fault)
    chosen = list(islice(region.learners, len(cases)))
    progressions = [await region.kombo.enroll(learner.person, learner.later) for learner in chosen]
    answers = await asyncio.gather(
        *(region.node.complete(region.slug, learner.person, learner.later) for learner in chosen)
    )
    assert {answer.status_code for answer in answers} == {202}
    return progressions


async def settled(found: Scene, everywhere: list[Region], reported: list[list[str]], dead: int) -> bool:
    done = [progression for region in everywhere for progression in await region.kombo.completions()]
    if len(set(done)) != sum(map(len, reported)) - dead:
        return False
    waiting = select(func.count()).select_from(tables.outbox).where(tables.outbox.c.state == "waiting")
    return await found.store.read(lambda connection: connection.execute(waiting).scalar()) == 0
