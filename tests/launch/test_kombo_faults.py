"""Whatever goes wrong at Kombo while somebody launches: who is known gets in, nobody else does, and it all passes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from bridge.simulator.faults import Kind
from tests.support.regions import (
    COURSE,
    FAULTS,
    PROGRESSIONS,
    REGIONS,
    USERS,
    Case,
    Region,
    each_in_some_region,
    in_regions,
    regions_of,
)
from tests.support.scene import Scene, scene

OUTLIVED = 2
"""So many faults in a row do not keep a live question from its answer."""

QUESTIONS = 12
"""A case has at most so many asked live."""


def prepared(found: Scene) -> None:
    """The directory is read once and not again, so every answer is a live one."""
    in_regions(found, sync_every="12h")


async def launched_under(region: Region, case: Case) -> tuple[object, object]:
    """What comes of launches while the fault lasts."""
    kombo, slug, learner = region.kombo, region.slug, next(region.learners)
    await region.affords(QUESTIONS)
    newcomer = await kombo.hire(region.integration)
    nobody = replace(newcomer, remote_id=f"not-{newcomer.remote_id}")
    await kombo.enroll(newcomer, COURSE)
    await kombo.enroll(learner.person, learner.later)
    wanted = [case.get("learner", "fresh"), case.get("course", "fresh")]
    fault = case["fault"] | {"count": OUTLIVED if wanted == ["fresh", "fresh"] else None, "method": "GET"}
    async with region.node.browser() as first, region.node.browser() as second, region.node.browser() as third:
        for path in (USERS, PROGRESSIONS):
            if case["fault"].get("path", path) == path:
                await kombo.control("faults", **(fault | {"path": path}))
        unknown = asyncio.gather(first.enters(slug, newcomer, COURSE), second.enters(slug, nobody, COURSE))
        got = [await third.enters(slug, learner.person, learner.open)]
        got += await asyncio.gather(third.opens(learner.later), third.opens(learner.never))
        got += await unknown
        await kombo.control("faults", "DELETE")
    return ["fresh", wanted[1], "not_enrolled", wanted[0], "user_unmatched"], got


@pytest.mark.long
async def test_launches_that_need_an_answer_while_kombo_has_none(tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path}/bridge.db"
    async with scene(tmp_path, state, prepare=prepared, kombos=len(REGIONS)) as found:
        everywhere = await regions_of(found)
        await each_in_some_region(everywhere, FAULTS, launched_under)
        await found.command("sync", "--full")
        for region in everywhere:
            assert await found.same(region.kombo, region.integration), f"{region.slug}: nothing is left of it"


def test_every_fault_of_the_simulator_is_tried() -> None:
    assert {case["fault"]["kind"] for case in FAULTS} == set(get_args(Kind))
