"""What is written of launches, when, and what is not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text
from structlog.testing import capture_logs

from bridge.errors import Code, Refusal, SamlRefusal, StateError
from bridge.launches import history, waiting
from bridge.launches import launches as module
from bridge.launches.history import PURPOSE
from bridge.launches.trail import LONGEST_REASON, step
from bridge.saml.steps import Step
from bridge.store import drifts, funnel, launches, refusals
from bridge.store.engine import now_ms
from bridge.store.launches import FORWARDED, Finish, Launch
from bridge.store.refusals import Refused
from bridge.store.sealing import Seal
from tests.launches.conftest import Desk
from tests.support.deployment import SECRET

HOSTILE = yaml.safe_load(Path(__file__).with_name("hostile.yaml").read_text(encoding="utf-8"))
DAY_MS = 24 * 3600 * 1000
UNMATCHED = Refusal(Code.USER_UNMATCHED, "it matches nobody")


async def test_refused_before_its_answer_was_verified_a_launch_is_in_the_ring(desk: Desk) -> None:
    trail = desk.trail()
    trail.progress.at(Step.READ)
    trail.progress.at(Step.STATUS)
    refusal = SamlRefusal(Code.SAML_REJECTED, "status", "the IdP says no")
    desk.launches.refused(trail, refusal)
    assert await desk.records() == [], "nobody who has not signed in makes anything be written at once"
    await desk.launches.write()
    [record] = await desk.records()
    assert isinstance(record.of, Refused)
    assert (record.reference, record.outcome, record.of.check) == (refusal.reference, "saml_rejected", "status")
    assert record.of.path == "/courses/x"
    [asked, answered, verified] = record.steps
    assert [asked.step, asked.outcome, asked.facts] == ["asked", "passed", {"found": "link"}]
    assert answered.ms == 1000
    assert (verified.step, verified.outcome, verified.facts["code"]) == ("verified", "failed", "saml_rejected")
    checks = verified.facts["checks"]
    assert list(checks) == [str(each) for each in Step]
    assert list(checks.values()) == ["passed", "failed", *["not_reached"] * (len(Step) - 2)]
    assert await desk.counted() == {"saml_rejected": 1}


async def test_refused_after_that_it_has_a_row_with_what_was_seen_sealed(desk: Desk) -> None:
    trail = desk.verified(mail=("jane@acme.com",), roles=("a", "b"))
    desk.launches.refused(trail, UNMATCHED)
    await desk.launches.write()
    [record] = await desk.records()
    assert isinstance(record.of, Launch)
    assert (record.outcome, record.of.user_id, record.of.http_status) == ("user_unmatched", None, 403)
    assert record.took_ms is not None
    assert [taken.outcome for taken in record.steps] == ["passed", "passed", "passed", "failed"]
    tried = {"source": "NameID", "tier": "name_id", "result": "unmatched", "reason": "nobody has it"}
    assert record.steps[-1].facts["tried"] == [tried]
    assert history.seen(Seal([SECRET], PURPOSE), record.of) == {
        "NameID": ["E12345"],
        "mail": ["jane@acme.com"],
        "roles": ["a", "b"],
    }
    everything = json.dumps([str(record.of), str(record.steps)])
    assert "jane" not in everything
    assert "E12345" not in everything
    assert (await desk.counted()) == {"signed_in": 1, "user_unmatched": 1}


async def test_what_was_seen_opens_for_its_own_purpose_and_secret_only(desk: Desk) -> None:
    desk.launches.refused(desk.verified(), UNMATCHED)
    await desk.launches.write()
    [record] = await desk.records()
    assert isinstance(record.of, Launch)
    for seal in (Seal([SECRET]), Seal(["another secret of 32 bytes or more"], PURPOSE)):
        with pytest.raises(StateError, match="sealed under another secret"):
            history.seen(seal, record.of)
    newer = Seal(["another secret of 32 bytes or more", SECRET], PURPOSE)
    assert history.seen(newer, record.of) == {"NameID": ["E12345"]}


async def test_of_who_signed_in_only_the_identifiers_are_kept(desk: Desk) -> None:
    trail = desk.verified(mail=("jane@acme.com",))
    row = desk.launches.matched(trail, "user")
    assert (row.outcome, row.user_id, row.finished_at) == ("signed_in", "user", None)
    assert history.seen(Seal([SECRET], PURPOSE), row) == {"NameID": ["E12345"]}
    assert [each["step"] for each in json.loads(row.steps)] == [
        "asked",
        "answered",
        "verified",
        "identified",
        "signed_in",
    ]
    await desk.launches.write()
    assert await desk.records() == [], "its row is written with the session"


@pytest.mark.parametrize(("user", "matched"), [("user", 1), (None, 0)])
async def test_who_is_let_pass_unmatched_is_not_counted_as_matched(desk: Desk, user: str | None, matched: int) -> None:
    assert desk.launches.matched(desk.verified(), user).user_id == user
    await desk.launches.write()
    counted = await desk.counted()
    assert counted["signed_in"] == 1
    assert {what: many for what, many in counted.items() if what.startswith("matched")} == (
        {"matched": 1, "matched by name_id": 1} if matched else {}
    )


async def test_a_sign_in_that_becomes_no_session_has_a_row_that_knows_whose(desk: Desk) -> None:
    trail = desk.verified()
    desk.launches.matched(trail, "user")
    desk.launches.refused(trail, Refusal(Code.LOGIN_EXPIRED, "logged out meanwhile"))
    await desk.launches.write()
    [record] = await desk.records()
    assert (record.of.user_id, record.steps[-1].step, record.steps[-1].outcome) == ("user", "signed_in", "failed")


@pytest.mark.parametrize("keep_values", ["0s", "1h"])
async def test_nothing_is_kept_of_persons_where_the_settings_say_so(desk: Desk, keep_values: str) -> None:
    desk.keeps(keep_values=keep_values)
    assert (desk.launches.matched(desk.verified(), "user").seen is None) is (keep_values == "0s")
    desk.launches.refused(desk.verified(mail=("jane@acme.com",)), UNMATCHED)
    await desk.launches.write()
    [record] = await desk.records()
    assert isinstance(record.of, Launch)
    assert (record.of.seen is None) is (keep_values == "0s")


async def test_an_idp_that_says_very_much_is_cut_short(desk: Desk) -> None:
    many = {f"a{number}" * 200: tuple(str(value) * 9999 for value in range(50)) for number in range(500)}
    trail = desk.verified(**many)
    refusal = SamlRefusal(Code.USER_UNMATCHED, "x", "y" * 99_999)
    desk.launches.refused(trail, refusal)
    await desk.launches.write()
    [record] = await desk.records()
    assert isinstance(record.of, Launch)
    assert len(record.of.seen or "") < 250_000
    assert len(record.of.reason or "") == len(record.steps[-1].facts["reason"]) == LONGEST_REASON


async def test_a_flood_of_refusals_writes_no_more_than_a_trickle(desk: Desk) -> None:
    for number in range(60):
        desk.deployment.tenants[f"t{number}"] = desk.deployment.tenants["acme"]
    desk.configuration = desk.deployment.load()
    for number in range(60):
        for _ in range(100):
            desk.noted(tenant=f"t{number}")
            desk.noted(tenant=None)
    written = []

    def counting(connection: Any, tenant: str, refused: Any, size: int) -> None:
        written.append(len(refused))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "note", counting)
        await desk.launches.write()
    assert sum(written) <= waiting.REFUSED_AT_ONCE
    assert len(written) == 61, "and yet of every tenant some"
    ever = await desk.store.read(funnel.ever)
    assert ever["", "path_ambiguous"] == 6000
    assert ever["t7", "path_ambiguous"] == 100
    for _ in range(1000):
        desk.noted()
        desk.noted(tenant=None)
    await desk.launches.write()
    assert len(await desk.records()) == 2 * waiting.REFUSED_EACH


async def test_the_ring_is_as_large_as_the_settings_say_by_now(desk: Desk) -> None:
    for size in (30, 10):
        desk.keeps(refusals=size)
        for _ in range(4):
            for _ in range(15):
                desk.noted()
            await desk.launches.write()
        assert len(await desk.records()) == size


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
async def test_whatever_is_refused_holds_nothing_up(desk: Desk, hostile: dict[str, str]) -> None:
    """PostgreSQL takes no NUL: what cannot be written must not stand before everybody else's launches."""
    said: dict[str, Any] = {
        name: value.encode() if name in ("target", "method") else value for name, value in hostile.items()
    }
    desk.noted(**said)
    desk.launches.refused(desk.verified(), Refusal(Code.USER_UNKNOWN, hostile.get("reason", "why")))
    desk.launches.finished(
        desk.tenant, Finish("?", 1, "x", step("gate", "failed"), hostile.get("reason"), hostile.get("course"))
    )
    with capture_logs() as logged:
        await desk.launches.write()
    assert logged == []
    found = await desk.records()
    assert {record.outcome for record in found} == {"path_ambiguous", "user_unknown"}


async def test_paths_are_cut_and_have_no_query(desk: Desk) -> None:
    desk.noted(target=b"/" + b"x" * 60_000 + b"?secret=1", reason="y" * 60_000)
    desk.noted(target=b"/x?secret=1")
    await desk.launches.write()
    for record in await desk.records():
        assert isinstance(record.of, Refused)
        assert len(record.of.path) <= module.LONGEST_PATH
        assert len(record.of.reason) <= LONGEST_REASON
        assert "secret" not in record.of.path


async def test_what_the_state_does_not_take_now_waits(desk: Desk) -> None:
    def rename(one: str, other: str) -> Any:
        return lambda connection: connection.execute(text(f"ALTER TABLE {one} RENAME TO {other}"))

    await desk.store.write(rename("funnel", "gone"))
    with capture_logs() as logged:
        for _ in range(3):
            desk.noted()
            desk.launches.refused(desk.verified(), Refusal(Code.USER_UNMATCHED, "nobody"))
            await desk.launches.write()
    assert [each["event"] for each in logged] == ["launches_not_written"], "said now and then, not each time"
    assert await desk.records() == []
    for _ in range(5000):
        desk.noted()
    await desk.store.write(rename("gone", "funnel"))
    await desk.launches.write()
    found = await desk.records()
    assert len([record for record in found if isinstance(record.of, Launch)]) == 3
    assert (await desk.counted())["path_ambiguous"] == 5003
    await desk.launches.write()
    assert len(await desk.records()) == len(found)


async def test_what_can_never_be_written_is_given_up(desk: Desk) -> None:
    """Nothing of the kind is known; if there is, the launches after it are not lost as well."""
    row = desk.launches.matched(desk.verified(), "user")
    object.__setattr__(row, "path", None)
    desk.launches._waiting.launches.append(row)
    with capture_logs() as logged:
        await desk.launches.write()
    assert [each["event"] for each in logged] == ["launches_not_written"]
    desk.launches.refused(desk.verified(), UNMATCHED)
    await desk.launches.write()
    assert len(await desk.records()) == 1


@pytest.mark.parametrize("moments", [1, 2, 3, 10])
async def test_nothing_is_lost_as_the_service_stops(desk: Desk, monkeypatch: pytest.MonkeyPatch, moments: int) -> None:
    """Whatever it was doing; what was begun is not done twice either."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 0)
    running = asyncio.ensure_future(desk.launches.run())
    for number in range(20):
        desk.launches.refused(desk.verified(), Refusal(Code.USER_UNMATCHED, str(number)))
        for _ in range(moments):
            await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert {record.reason for record in await desk.records()} == {str(number) for number in range(20)}
    assert (await desk.counted())["user_unmatched"] == 20


async def test_two_processes_that_say_the_same_count_it_once(desk: Desk) -> None:
    row = desk.launches.matched(desk.verified(), "user")
    await desk.store.write(lambda connection: launches.add(connection, row))
    finish = Finish(row.id, now_ms(), FORWARDED, step("forwarded", "passed"), course="c", gate="fresh")
    both = [desk.launches, desk.another()]
    for each in both:
        each.finished(desk.tenant, finish)
    await asyncio.gather(*(each.write() for each in both))
    counted = await desk.counted()
    assert (counted["gate"], counted["forwarded"]) == (1, 1)


async def test_the_service_forgets_by_itself_what_is_too_old(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEPT_AT_ONCE", 3)
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.01)
    desk.keeps(keep="10d", keep_values="2d")
    row = desk.launches.matched(desk.verified(), "user")
    days = [0, 1, 3, 5, 7, 9, 11, 12, 13, 14, 15, 16, 17]

    def work(connection: Any) -> None:
        for age in days:
            then = now_ms() - age * DAY_MS
            object.__setattr__(row, "began_at", then)
            object.__setattr__(row, "id", str(age))
            launches.add(connection, row)
            refused = Refused(str(age), "acme", then, "x", 403, "", "GET", "/")
            refusals.note(connection, "acme", [refused], 100)
            drifts.note(connection, "acme", "address_changed", "u", str(age), None, then)
            counted = {("acme", f"2026-01-{age + 1:02}", "asked"): 1, ("acme", "2099-01-01", "asked"): 1}
            funnel.count(connection, counted)

    await desk.store.write(work)
    running = asyncio.ensure_future(desk.launches.run())
    january = [f"2026-01-{day:02}" for day in range(1, 32)]
    async with asyncio.timeout(20):
        while await desk.store.read(lambda c: funnel.of_days(c, january)):
            await asyncio.sleep(0.02)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    found = await desk.records()
    kept = {record.of.id: record.of.seen is not None for record in found if isinstance(record.of, Launch)}
    assert kept == {"0": True, "1": True, "3": False, "5": False, "7": False, "9": False}
    assert {record.reference for record in found if isinstance(record.of, Refused)} == set(map(str, days[:6]))
    assert len(await desk.store.read(lambda c: drifts.recent(c, None, 100))) == 6
    assert (await desk.counted())["asked"] == 2 * len(days)


async def test_what_comes_while_much_is_forgotten_is_written_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of thousands of rows take a minute, in which more launches may end than there is room for."""
    monkeypatch.setattr(module, "SWEPT_AT_ONCE", 1)
    monkeypatch.setattr(waiting, "ROOM", 5)
    desk.launches, left = desk.another(), iter(range(10, -1, -1))

    def noted_meanwhile(connection: Any, before: int, limit: int) -> int:
        if next(left, 0) == 0:
            return 0
        desk.launches.refused(desk.verified(), UNMATCHED)
        return limit

    monkeypatch.setattr(module.rows, "sweep", noted_meanwhile)
    await desk.launches.sweep()
    await desk.launches.write()
    assert len(await desk.records()) == 10


async def test_who_was_let_in_after_a_refusal_is_told_from_who_was_let_in(desk: Desk) -> None:
    for refused in (False, True):
        row = desk.launches.matched(desk.verified(), "user")
        await desk.store.write(lambda connection, row=row: launches.add(connection, row))
        if refused:
            last = step("gate", "failed", code="not_enrolled")
            desk.launches.finished(desk.tenant, Finish(row.id, now_ms(), "not_enrolled", last, course="c"))
            await desk.launches.write()
        last = step("forwarded", "passed")
        desk.launches.finished(desk.tenant, Finish(row.id, now_ms(), FORWARDED, last, course="c"))
        await desk.launches.write()
        [record] = await desk.store.read(lambda connection, row=row: history.of_reference(connection, row.reference))
        assert record.first_refused == ("not_enrolled" if refused else None)
        assert record.outcome == FORWARDED
