"""`courses map import`: a whole map, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection, select

from bridge.courses.mapping import CourseMap, Imported
from bridge.errors import SettingsError
from bridge.kombo.model import Course
from bridge.store import courses, directory, lookups, tables
from bridge.store.courses import Source
from bridge.store.engine import Store, upsert

CASES = yaml.safe_load((Path(__file__).parent / "maps.yaml").read_text(encoding="utf-8"))
INTEGRATION = "successfactors:x"
UNNAMED = "export-controls"


def id_of(name: str) -> str:
    """A Kombo id; not the origin id, so that nothing can be right by chance."""
    return f"kombo-{name}"


def known(connection: Connection, *, synced: bool, already: Mapping[str, tuple[str, Source]]) -> None:
    """Courses of which one has no origin id, and what is on the map already."""
    if synced:
        found = [
            Course(id_of(name), f"ext-{name}", datetime(2026, 1, 1, tzinfo=UTC), None if name == UNNAMED else name)
            for name in ("fire-safety", UNNAMED)
        ]
        directory.save_courses(connection, INTEGRATION, found, 1)
        row = dict.fromkeys(tables.syncs.columns.keys()) | {"integration_id": INTEGRATION, "model": "courses"}
        upsert(connection, tables.syncs, [row | {"started_at": 1, "as_of": 1}])
    for name, (origin_id, source) in already.items():
        courses.map_courses(connection, INTEGRATION, {id_of(name): origin_id}, source)


async def on_the_map(store: Store) -> dict[str, str]:
    course_map = tables.course_map.c
    rows = await store.read(lambda c: c.execute(select(course_map.course_id, course_map.origin_id)).all())
    return {row.course_id: row.origin_id for row in rows}


async def imported(store: Store, path: Path, csv: str, **options: bool) -> Imported:
    path.write_text(re.sub(r"\$\{([a-z-]+)\}", lambda name: id_of(name[1]), csv), newline="")
    take_over = partial(CourseMap(path).take_over, integration_id=INTEGRATION, **options)
    return await store.write(take_over)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_a_map_is_taken_over_whole_or_not_at_all(store: Store, tmp_path: Path, case: dict[str, Any]) -> None:
    await check(store, tmp_path / "map.csv", case)


async def test_on_either_database(either_store: Store, tmp_path: Path) -> None:
    [case] = [case for case in CASES if case["name"] == "against an earlier import, which is put right"]
    await check(either_store, tmp_path / "map.csv", case)


async def check(store: Store, path: Path, case: dict[str, Any]) -> None:
    synced = not case.get("unsynced")
    await store.write(partial(known, synced=synced, already=case.get("map", {})))
    before = await on_the_map(store)
    if "problems" in case:
        with pytest.raises(SettingsError) as caught:
            await imported(store, path, case["csv"])
        found = list(map(str, caught.value.problems))
        assert len(found) == len(case["problems"]), found
        for problem, expected in zip(found, case["problems"], strict=True):
            assert problem.startswith(f"{path}:{expected}"), problem
        assert await on_the_map(store) == before
        return
    done = await imported(store, path, case["csv"])
    expected = {id_of(name): origin_id for name, origin_id in case.get("mapped", {}).items()} | case.get("unseen", {})
    assert (done.count, done.compared) == (len(expected), synced)
    assert await on_the_map(store) == expected
    for course_id, origin_id in expected.items():
        ids = await store.read(partial(lookups.course_ids, integration_id=INTEGRATION, origin_id=origin_id))
        assert ids == [course_id]


async def test_replacing_forgets_earlier_imports_and_no_push(store: Store, tmp_path: Path) -> None:
    already: dict[str, tuple[str, Source]] = {"gone": ("gone", "import"), "pushed": ("pushed", "push")}
    await store.write(partial(known, synced=True, already=already))
    csv = "origin_id,remote_id\nexports,ext-export-controls\n"
    await imported(store, tmp_path / "map.csv", csv)
    assert set((await on_the_map(store)).values()) == {"gone", "pushed", "exports"}
    await imported(store, tmp_path / "map.csv", csv, replace=True)
    assert set((await on_the_map(store)).values()) == {"pushed", "exports"}


async def test_several_courses_with_one_remote_id(store: Store, tmp_path: Path) -> None:
    await store.write(partial(known, synced=True, already={}))
    twin = Course("twin", f"ext-{UNNAMED}", datetime(2026, 1, 1, tzinfo=UTC))
    await store.write(lambda c: directory.save_courses(c, INTEGRATION, [twin], 1))
    with pytest.raises(SettingsError, match="2 courses have this id: write course_id instead"):
        await imported(store, tmp_path / "map.csv", f"origin_id,remote_id\nx,ext-{UNNAMED}\n")


async def test_what_a_push_said_is_not_forgotten_with_the_imports_that_say_the_same(
    either_store: Store, tmp_path: Path
) -> None:
    await either_store.write(partial(known, synced=True, already={UNNAMED: ("exports", "push")}))
    same = "origin_id,remote_id\nexports,ext-export-controls\n"
    assert (await imported(either_store, tmp_path / "map.csv", same)).count == 1
    await imported(
        either_store, tmp_path / "map.csv", "origin_id,course_id\nfire-safety,${fire-safety}\n", replace=True
    )
    assert (await on_the_map(either_store))[id_of(UNNAMED)] == "exports"
