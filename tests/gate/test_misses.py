"""Refusals for enrollment, from the first click to what they turn out to have been."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert
from structlog.testing import capture_logs

from bridge.errors import StateError
from bridge.gate import misses as module
from bridge.gate.misses import Misses, quantile, settle
from bridge.kombo.model import Course, Progression, Revision
from bridge.store import misses as rows
from bridge.store import tables
from bridge.store.engine import now_ms
from bridge.store.misses import Miss
from tests.support.directories import HOUR, LONG_AGO, MINUTE, Directory, person

SAFETY = Course("c1", "c1", LONG_AGO, origin_id="safety", revisions=(Revision("r1", "r1", LONG_AGO),))


async def noted(filled: Directory) -> Sequence[Miss]:
    return await filled.store.read(lambda c: rows.recent(c, None, 1000))


async def refuse(filled: Directory, user: str = "u1", *, ago: int = 0, reference: str = "a-b-c") -> None:
    """As if somebody had been refused so long ago."""
    key = (filled.tenant.slug, filled.tenant.integration_id, user, "safety")
    moment = now_ms() - ago
    await filled.store.write(lambda c: rows.note(c, *key, reference, moment))


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """What is written without anybody waiting is there soon."""
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.01)


async def _kinds(filled: Directory, expected: dict[str, str]) -> bool:
    return {miss.user_id: miss.kind for miss in await noted(filled)} == expected


async def _times(filled: Directory, expected: dict[str, int]) -> bool:
    return {miss.user_id: miss.times for miss in await noted(filled)} == expected


def assigned(user: str = "u1", *, ago: int | None = None) -> Progression:
    enrolled = None if ago is None else datetime.now(UTC) - timedelta(milliseconds=ago)
    return Progression(f"p-{user}", user, "r1", LONG_AGO, status="ENROLLED", enrolled_at=enrolled)


async def test_who_keeps_clicking_is_written_once_a_minute(filled: Directory) -> None:
    misses = Misses(filled.store)
    for number in range(50):
        misses.refused(filled.tenant, person(), "safety", f"reference-{number}")
    misses.refused(filled.tenant, person("u2"), "safety", "another")
    await until(lambda: _times(filled, {"u1": 1, "u2": 1}))
    [first] = [miss for miss in await noted(filled) if miss.user_id == "u1"]
    assert (first.kind, first.reference) == ("open", "reference-0")
    Misses(filled.store).refused(filled.tenant, person(), "safety", "next minute")
    await until(lambda: _times(filled, {"u1": 2, "u2": 1}))
    [again] = [miss for miss in await noted(filled) if miss.user_id == "u1"]
    assert (again.reference, again.first_at) == ("next minute", first.first_at)
    assert again.last_at >= again.first_at


async def test_nobody_waits_for_what_cannot_be_written(filled: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(work: Callable[[Connection], object]) -> object:
        raise StateError("the disk is full")

    monkeypatch.setattr(filled.store, "write", full)
    monkeypatch.setattr(module, "WAITING", 3)
    misses = Misses(filled.store)
    with capture_logs() as logs:
        for number in range(5):
            misses.refused(filled.tenant, person(f"u{number}"), "safety", "a-b-c")
        await asyncio.sleep(0.01)
    assert [line["reason"] for line in logs] == ["too many are being written already"] * 2 + ["the disk is full"] * 3


async def test_however_many_are_refused_others_may_write_in_between(
    filled: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, under_way, most = filled.store.write, 0, 0

    async def counted(work: Callable[[Connection], object]) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await write(work)
        finally:
            under_way -= 1

    monkeypatch.setattr(filled.store, "write", counted)
    misses, people = Misses(filled.store), [f"u{number}" for number in range(20)]
    for user in people:
        misses.refused(filled.tenant, person(user), "safety", "a-b-c")
    await until(lambda: _times(filled, dict.fromkeys(people, 1)))
    assert most == 1


async def test_tenants_that_share_an_integration_have_misses_of_their_own(filled: Directory) -> None:
    tenants = [filled.tenant.model_copy(update={"slug": slug}) for slug in ("one", "two")]
    misses = Misses(filled.store)
    for tenant in tenants:
        misses.refused(tenant, person(), "safety", f"of {tenant.slug}")

    async def known() -> bool:
        return {(each.tenant, each.reference, each.kind) for each in await noted(filled)} == expected

    expected = {("one", "of one", "open"), ("two", "of two", "open")}
    await until(known)
    await filled.fill(courses=[SAFETY], progressions=[assigned()])
    misses.opened(tenants[1], person(), "safety")
    expected = {("one", "of one", "open"), ("two", "of two", "sync_delay")}
    await until(known)
    await settle(filled.store, tenants[1])
    expected = {("one", "of one", "sync_delay"), ("two", "of two", "sync_delay")}
    assert await known()


LAGS = [
    # refused, enrolled (hours ago; None: Kombo does not say; below 0: by a clock ahead of ours), and the lag in hours
    (3, None, 3),
    (3, 700, 3),
    (3, 1, 1),
    (1, -1, 0),
]


async def test_a_progression_that_appears_makes_it_a_sync_delay(filled: Directory) -> None:
    for number, (refused, enrolled, lag) in enumerate(LAGS):
        here = filled.another(str(number))
        await refuse(here, ago=refused * HOUR)
        await here.fill(courses=[SAFETY])
        await settle(here.store, here.tenant)
        assert [(miss.kind, miss.settled_at) for miss in await of(here)] == [("open", None)]
        await here.fill(progressions=[assigned(ago=None if enrolled is None else enrolled * HOUR)])
        with capture_logs() as logs:
            await settle(here.store, here.tenant)
            await settle(here.store, here.tenant)
        [miss] = await of(here)
        assert (miss.kind, miss.settled_at is None) == ("sync_delay", False)
        assert miss.lag_ms == pytest.approx(lag * HOUR, abs=MINUTE)
        [told] = logs
        assert (told["event"], told["tenant"], told["kind"]) == ("miss_settled", "acme", "sync_delay")
        assert told["lag_seconds"] == pytest.approx(lag * 3600, abs=60)


WINDOWS = [
    # refused, last synced, Kombo's own last good sync (hours ago), what it is; the window is 48 hours
    (47, 0, None, "open"),
    (49, 0, None, "unauthorized"),
    (49, None, None, "open"),
    (200, 190, None, "open"),
    (200, 0, 190, "open"),
    (200, 0, 1, "unauthorized"),
]


async def test_without_one_it_is_unauthorized_once_kombo_would_have_had_it(filled: Directory) -> None:
    found = []
    for number, (refused, synced, good, _) in enumerate(WINDOWS):
        here = filled.another(str(number))
        await refuse(here, ago=refused * HOUR)
        await here.fill(courses=[SAFETY], progressions=[assigned("somebody else")])
        if synced is not None:
            await here.synced(ago=synced * HOUR)
        await here.good(None if good is None else good * HOUR)
        await settle(here.store, here.tenant)
        [miss] = await of(here)
        assert (miss.lag_ms, miss.settled_at is None) == (None, miss.kind == "open")
        found.append((refused, synced, good, miss.kind))
    assert found == WINDOWS


async def of(filled: Directory) -> list[Miss]:
    return [miss for miss in await noted(filled) if miss.integration_id == filled.tenant.integration_id]


async def test_a_refusal_after_that_is_another_miss(filled: Directory) -> None:
    await filled.fill(courses=[SAFETY])
    await filled.synced()
    await refuse(filled, ago=50 * HOUR)
    await settle(filled.store, filled.tenant)
    await refuse(filled)
    await settle(filled.store, filled.tenant)
    assert [(miss.kind, miss.times) for miss in await noted(filled)] == [("open", 1), ("unauthorized", 1)]
    await filled.fill(progressions=[assigned()])
    await settle(filled.store, filled.tenant)
    assert [miss.kind for miss in await noted(filled)] == ["sync_delay", "unauthorized"]


async def test_a_gate_that_opens_settles_it_without_a_sync(filled: Directory) -> None:
    await filled.fill(courses=[SAFETY])
    misses = Misses(filled.store)
    misses.refused(filled.tenant, person(), "safety", "a-b-c")
    misses.refused(filled.tenant, person("u2"), "safety", "d-e-f")
    await until(lambda: _times(filled, {"u1": 1, "u2": 1}))
    await filled.fill(progressions=[assigned()])
    misses.opened(filled.tenant, person(), "safety")
    misses.opened(filled.tenant, person("u3"), "safety")
    await until(lambda: _kinds(filled, {"u1": "sync_delay", "u2": "open"}))


async def test_many_are_settled_in_batches_and_under_the_permit(
    filled: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    people = [f"u{number}" for number in range(10)]
    for user in people:
        await refuse(filled, user)
    await filled.fill(courses=[SAFETY], progressions=map(assigned, people[::2]))
    asked = []

    def forbid(connection: Connection) -> None:
        asked.append(connection)
        raise StateError("another process has taken over")

    with pytest.raises(StateError, match="taken over"):
        await settle(filled.store, filled.tenant, forbid)
    assert {miss.kind for miss in await noted(filled)} == {"open"}
    await settle(filled.store, filled.tenant, asked.append)
    assert {miss.user_id for miss in await noted(filled) if miss.kind == "sync_delay"} == set(people[::2])
    assert len(asked) >= 4


async def test_other_integrations_are_left_alone(filled: Directory) -> None:
    other = filled.another("other")
    await refuse(other)
    await filled.fill(courses=[SAFETY], progressions=[assigned()])
    await settle(filled.store, filled.tenant)
    assert [miss.kind for miss in await noted(filled)] == ["open"]


async def test_old_ones_are_forgotten(filled: Directory) -> None:
    for number, days in enumerate((89, 91, 400)):
        await refuse(filled, f"u{number}", ago=days * 24 * HOUR)
    await settle(filled.store, filled.tenant)
    assert [miss.user_id for miss in await noted(filled)] == ["u0"]


USUAL = [([], None), ([1] * 4, None), ([5] * 5, 5), (list(range(1, 101)), 90), ([10] * 9 + [600], 10)]


async def test_how_long_it_usually_takes(filled: Directory) -> None:
    for number, (minutes, usual) in enumerate(USUAL):
        tenant = filled.tenant.model_copy(update={"slug": f"tenant-{number}"})
        settled = [row(f"{number} {index}", tenant.slug, lag) for index, lag in enumerate(minutes)]
        if settled:
            await filled.store.write(lambda c, settled=settled: c.execute(insert(tables.misses), settled))
        expected = None if usual is None else timedelta(minutes=usual)
        assert await Misses(filled.store).usual(tenant) == expected


def row(id: str, tenant: str, minutes: int) -> dict[str, object]:
    """A sync delay of just now."""
    moment = now_ms()
    known = {"id": id, "tenant": tenant, "integration_id": "i", "user_id": id, "course": "safety", "reference": "a-b-c"}
    times = {"first_at": moment, "last_at": moment, "times": 1, "settled_at": moment}
    return {**known, **times, "kind": "sync_delay", "lag_ms": minutes * MINUTE}


def test_quantiles_are_of_what_was_measured() -> None:
    assert [quantile(range(1, 11), share) for share in (0.5, 0.9, 1.0, 0.0)] == [5, 9, 10, 1]
    assert quantile([], 0.5) == 0
    assert quantile([7], 0.9) == 7
