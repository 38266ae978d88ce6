"""What is noted of an integration itself, and how old that makes what was read of it."""

from __future__ import annotations

import pytest

from bridge.store import integrations, tables
from bridge.store.engine import Store, upsert
from bridge.store.integrations import Ages


async def test_a_note_changes_only_what_it_names(either_store: Store) -> None:
    await either_store.write(lambda c: integrations.note(c, "i", "acme", status="ACTIVE", good_at=5))
    await either_store.write(lambda c: integrations.note(c, "i", "acme", status="INVALID"))
    found = await either_store.read(lambda c: integrations.standing(c, "i"))
    assert found
    assert (found.status, found.good_at, found.tenant) == ("INVALID", 5, "acme")
    assert await either_store.read(lambda c: integrations.standing(c, "other")) is None


@pytest.mark.parametrize(("good_at", "age"), [(None, 70), (60, 60), (90, 70)])
async def test_nothing_is_younger_than_kombos_own_last_good_sync(
    either_store: Store, good_at: int | None, age: int
) -> None:
    row = dict.fromkeys(tables.syncs.columns.keys()) | {"integration_id": "i", "model": "users", "started_at": 1}
    await either_store.write(lambda c: upsert(c, tables.syncs, [row | {"as_of": 70}]))
    await either_store.write(lambda c: integrations.note(c, "i", "acme", good_at=good_at))
    ages = await either_store.read(lambda c: integrations.ages(c, "i"))
    assert ages.of("users") == age
    assert ages.of("courses") == 0


def test_a_row_is_as_old_as_the_last_time_that_anything_vouched_for_it() -> None:
    ages = Ages({"users": 50}, good_at=80)
    assert [ages.of_row("users", seen) for seen in (40, 60, 90)] == [50, 60, 80]
