"""Launches as rows, the ring of refusals, what is counted, and what was noticed of addresses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from sqlalchemy import func, select

from bridge.launches import history
from bridge.launches.trail import step
from bridge.store import drifts, funnel, launches, misses, refusals, sessions, tables
from bridge.store.engine import Store, now_ms
from bridge.store.launches import FAILED, FORWARDED, MOST_STEPS, Filter, Finish, Launch
from bridge.store.refusals import Refused
from bridge.store.sessions import SessionRow

HOSTILE = yaml.safe_load(Path(__file__).with_name("hostile_texts.yaml").read_text(encoding="utf-8"))
STEPS = f"[{step('asked', 'passed', found='link')}, {step('answered', 'passed', 900)}]"
LAUNCH = Launch("a-b-c.1", "a-b-c", "acme", "i", "idp", "link", 1000, "signed_in", STEPS, "/x", user_id="u")
LET_IN = Finish(LAUNCH.id, 3000, FORWARDED, step("forwarded", "passed", 5), course="c", gate="fresh", http_status=200)
TURNED_AWAY = Finish(LAUNCH.id, 2000, "not_enrolled", step("gate", "failed", 5), "why", "c", http_status=403)
SESSION = SessionRow("d", "acme", "i", "idp", "u", None, "name_id", 1, 2, 3, now_ms() + 3_600_000, launch=LAUNCH.id)
REFUSED = Refused("a-b-c", "acme", 1000, "saml_rejected", 403, "why", "POST", "/x")


async def begun(store: Store) -> None:
    await store.write(lambda c: launches.add(c, LAUNCH))
    await store.write(lambda c: sessions.add(c, SESSION))


async def said(store: Store, finish: Finish) -> Sequence[str]:
    return await store.write(lambda c: launches.finish(c, finish))


async def the_launch(store: Store) -> Launch:
    [launch] = await store.read(lambda c: launches.of_reference(c, "a-b-c"))
    return launch


async def waits_for(store: Store) -> tuple[str | None, str | None]:
    session = await store.read(lambda c: sessions.find(c, "d"))
    assert session
    return session.launch, session.awaits


async def test_the_platforms_answer_ends_a_launch_once(store: Store) -> None:
    await begun(store)
    assert list(await said(store, LET_IN)) == ["gate", "gate fresh", "forwarded"]
    assert await waits_for(store) == (None, None)
    assert list(await said(store, replace(LET_IN, http_status=500))) == []
    assert list(await said(store, TURNED_AWAY)) == []
    launch = await the_launch(store)
    assert (launch.outcome, launch.http_status, launch.finished_at, launch.gate) == (FORWARDED, 200, 3000, "fresh")
    assert [each["step"] for each in json.loads(launch.steps)] == ["asked", "answered", "forwarded"]


async def test_who_was_refused_a_page_may_be_let_in_later(store: Store) -> None:
    await begun(store)
    assert list(await said(store, TURNED_AWAY)) == ["not_enrolled"]
    assert await waits_for(store) == (LAUNCH.id, "c")
    assert list(await said(store, replace(TURNED_AWAY, finished_at=9999))) == [], "it looked again"
    assert (await the_launch(store)).finished_at == 2000
    assert list(await said(store, replace(TURNED_AWAY, outcome="enrollment_unknown"))) == ["enrollment_unknown"]
    assert list(await said(store, LET_IN)) == ["gate", "gate fresh", "forwarded"]
    launch = await the_launch(store)
    assert (launch.outcome, launch.reason, launch.finished_at) == (FORWARDED, None, 3000)
    assert [each["outcome"] for each in json.loads(launch.steps)] == ["passed", "passed", "failed", "failed", "passed"]
    assert await waits_for(store) == (None, None)


async def test_another_page_says_nothing_of_the_one_that_was_refused(store: Store) -> None:
    """The other process had not heard yet that the launch waits for a course."""
    await begun(store)
    await said(store, TURNED_AWAY)
    for other in (replace(LET_IN, course=None, gate=None), replace(TURNED_AWAY, course="another")):
        assert list(await said(store, other)) == []
    assert (await the_launch(store)).outcome == "not_enrolled"
    assert await waits_for(store) == (LAUNCH.id, "c")


async def test_a_gate_that_opened_is_counted_once_where_the_platform_failed_first(store: Store) -> None:
    await begun(store)
    down = replace(LET_IN, outcome="upstream_unavailable", reason="nobody listens", http_status=502)
    assert list(await said(store, down)) == ["gate", "gate fresh", "upstream_unavailable"]
    assert list(await said(store, LET_IN)) == ["forwarded"]


async def test_a_page_that_looks_again_for_ever_does_not_fill_the_row(store: Store) -> None:
    await begun(store)
    for number in range(300):
        code = ("not_enrolled", "enrollment_unknown")[number % 2]
        await said(store, replace(TURNED_AWAY, outcome=code, steps=step("gate", "failed", 5, reason="x" * 500)))
    assert len((await the_launch(store)).steps) < MOST_STEPS + 1000
    await said(store, LET_IN)
    launch = await the_launch(store)
    assert json.loads(launch.steps)[-1]["step"] == "forwarded"
    assert launch.outcome == FORWARDED


async def test_a_launch_that_was_forgotten_meanwhile_is_not_missed(store: Store) -> None:
    await begun(store)
    assert await store.write(lambda c: launches.forget_person(c, "acme", "u")) == 1
    assert list(await said(store, LET_IN)) == []
    assert await waits_for(store) == (None, None)


async def test_two_that_say_so_at_once_are_one(store: Store) -> None:
    await begun(store)
    told = await asyncio.gather(*(said(store, LET_IN) for _ in range(8)))
    assert sorted(map(len, told)) == [0] * 7 + [3]


async def test_a_row_that_is_there_already_is_not_added_again(store: Store) -> None:
    """A commit of which nobody heard is tried again."""
    assert await store.write(lambda c: launches.add(c, LAUNCH))
    assert not await store.write(lambda c: launches.add(c, replace(LAUNCH, outcome="user_unmatched")))
    assert (await the_launch(store)).outcome == "signed_in"


FILTERS = [
    (Filter(), "dcba"),
    (Filter(tenant="acme"), "dba"),
    (Filter(outcome="forwarded"), "c"),
    (Filter(outcome="signed_in"), "a"),
    (Filter(outcome=FAILED), "db"),
    (Filter(tenant="acme", outcome=FAILED), "db"),
    (Filter(since=2000), "dcb"),
    (Filter(until=3000), "ba"),
    (Filter(since=2000, until=3000), "b"),
    (Filter(tenant="nobody"), ""),
]


@pytest.mark.parametrize(("which", "found"), FILTERS)
async def test_which_launches_and_refusals(store: Store, which: Filter, found: str) -> None:
    for reference, tenant, at, outcome in [
        ("a", "acme", 1000, "signed_in"),
        ("b", "acme", 2000, "not_enrolled"),
        ("c", "globex", 3000, "forwarded"),
    ]:
        row = replace(LAUNCH, id=reference, reference=reference, tenant=tenant, began_at=at, outcome=outcome)
        await store.write(lambda c, row=row: launches.add(c, row))
    await store.write(lambda c: refusals.note(c, "acme", [replace(REFUSED, reference="d", at=4000)], 9))
    records = await store.read(lambda c: history.recent(c, which, 10))
    assert "".join(record.reference for record in records) == found
    assert len(await store.read(lambda c: history.recent(c, which, 1))) == min(1, len(found))


async def test_a_ring_keeps_the_latest_whatever_its_size_was(store: Store) -> None:
    async def note(first: int, last: int, size: int, tenant: str = "acme") -> None:
        some = [replace(REFUSED, tenant=tenant, reference=str(each), at=each) for each in range(first, last)]
        await store.write(lambda c: refusals.note(c, tenant, some, size))

    async def kept() -> list[str]:
        found = await store.read(lambda c: refusals.recent(c, Filter(tenant="acme"), 1000))
        return [each.reference for each in found]

    await note(0, 7, 5)
    assert await kept() == list("65432")
    await note(7, 9, 5)
    assert await kept() == list("87654")
    await note(9, 40, 5)
    assert await kept() == ["39", "38", "37", "36", "35"]
    await note(40, 43, 8)
    assert (await kept())[:3] == ["42", "41", "40"]
    await note(43, 60, 8)
    assert await kept() == [str(each) for each in range(59, 51, -1)]
    await note(60, 61, 3)
    assert await kept() == ["60", "59", "58"]
    await note(0, 5, 3, tenant="")
    assert await kept() == ["60", "59", "58"]
    await store.write(lambda c: refusals.sweep(c, 10_000, 100))
    await note(70, 71, 3)
    assert await kept() == ["70"]


async def test_processes_that_note_at_once_lose_none(store: Store) -> None:
    async def note(number: int) -> None:
        await store.write(lambda c: refusals.note(c, "acme", [replace(REFUSED, reference=str(number))], 50))

    await asyncio.gather(*(note(number) for number in range(30)))
    assert len(await store.read(lambda c: refusals.recent(c, Filter(), 100))) == 30


async def test_counts_add_up_by_day_and_for_ever(store: Store) -> None:
    further = {("acme", "2026-11-21", "asked"): 2, ("acme", "2026-11-22", "asked"): 3, ("", "2026-11-22", "x"): 1}
    await asyncio.gather(*(store.write(lambda c: funnel.count(c, further)) for _ in range(5)))
    days = ["2026-11-21", "2026-11-22"]
    assert await store.read(lambda c: funnel.of_days(c, days)) == {("acme", "asked"): 25, ("", "x"): 5}
    assert await store.write(lambda c: funnel.sweep(c, "2026-11-22", 100)) == 1
    assert await store.read(lambda c: funnel.of_days(c, days)) == {("acme", "asked"): 15, ("", "x"): 5}
    assert await store.read(funnel.ever) == {("acme", "asked"): 25, ("", "x"): 5}
    await store.write(lambda c: funnel.count(c, {}))


async def test_a_drift_is_news_once(store: Store) -> None:
    async def note(address: str, moment: int, other: str | None = None) -> bool:
        kind: drifts.Kind = "address_shared" if other else "address_changed"
        return await store.write(lambda c: drifts.note(c, "acme", kind, "u", address, other, moment))

    assert await note("a@x", 1)
    assert not await note("a@x", 5)
    assert await note("b@x", 6)
    assert await note("b@x", 7, "v")
    found = await store.read(lambda c: drifts.recent(c, "acme", 10))
    assert [(each.times, each.first_at, each.last_at, each.other_id) for each in found] == [
        (1, 7, 7, "v"),
        (1, 6, 6, None),
        (2, 1, 5, None),
    ]
    assert await store.read(lambda c: drifts.counts(c, 6)) == {
        ("acme", "address_changed"): 1,
        ("acme", "address_shared"): 1,
    }
    assert await store.write(lambda c: drifts.forget_person(c, "acme", "v")) == 1
    assert await store.write(lambda c: drifts.sweep(c, 6, 100)) == 1
    assert len(await store.read(lambda c: drifts.recent(c, None, 10))) == 1


async def test_old_rows_are_forgotten_some_at_a_time(store: Store) -> None:
    for number in range(10):
        row = replace(LAUNCH, id=str(number), began_at=number, seen="sealed")
        await store.write(lambda c, row=row: launches.add(c, row))
    assert [await store.write(lambda c: launches.sweep(c, 5, 3)) for _ in range(3)] == [3, 2, 0]
    assert [await store.write(lambda c: launches.sweep_seen(c, 8, 2)) for _ in range(3)] == [2, 1, 0]
    found = await store.read(lambda c: launches.recent(c, Filter(), 100))
    assert [(each.id, each.seen) for each in found] == [*((id, "sealed") for id in "98"), *((id, None) for id in "765")]


async def test_one_persons_rows_are_deleted_and_nobody_elses(store: Store) -> None:
    def work(c: object) -> None:
        for tenant in ("acme", "globex"):
            for user in ("u", "v"):
                own = f"{tenant}{user}"
                launches.add(c, replace(LAUNCH, id=own, tenant=tenant, user_id=user))
                drifts.note(c, tenant, "address_changed", user, "a@x", None, 1)
                misses.note(c, tenant, "i", user, "course", "a-b-c", 1)
            some = [replace(REFUSED, tenant=tenant, user_id=user) for user in ("u", "v", None)]
            refusals.note(c, tenant, some, 10)

    await store.write(work)
    for forget in (launches, refusals, drifts, misses):
        assert await store.write(lambda c, forget=forget: forget.forget_person(c, "acme", "u")) == 1
    for table, left in [(tables.launches, 3), (tables.refusals, 5), (tables.drifts, 3), (tables.misses, 3)]:
        found = await store.read(lambda c, table=table: c.execute(select(func.count()).select_from(table)).scalar())
        assert found == left


async def test_the_last_good_one(store: Store) -> None:
    for number, (tenant, outcome) in enumerate(
        [("acme", "forwarded"), ("acme", "forwarded"), ("acme", "not_enrolled"), ("globex", "signed_in")]
    ):
        row = replace(LAUNCH, id=str(number), tenant=tenant, outcome=outcome, began_at=number)
        await store.write(lambda c, row=row: launches.add(c, row))
    assert await store.read(lambda c: launches.last_good_of(c, ["acme", "globex", "initech"])) == {"acme": 1}


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_others_chose_is_data(store: Store, text: str) -> None:
    """As it is given to the store: `bridge.launches` takes out what PostgreSQL does not take."""
    await begun(store)
    await said(store, replace(TURNED_AWAY, steps=step("gate", "failed", 1, reason=text), reason=text, course=text))
    await store.write(lambda c: refusals.note(c, "acme", [replace(REFUSED, reason=text, path=text, course=text)], 9))
    for record in await store.read(lambda c: history.recent(c, Filter(), 10)):
        assert record.reason == text
        assert record.of.course == text
    launch, refused = sorted(await store.read(lambda c: history.of_reference(c, "a-b-c")), key=lambda each: each.at)
    assert {launch.outcome, refused.outcome} == {"not_enrolled", "saml_rejected"}
