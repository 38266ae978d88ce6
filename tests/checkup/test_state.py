"""What the state says of a tenant, as the report has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from bridge.checkup.snapshot import day_of
from bridge.store import clocks, funnel, keys, misses
from bridge.store.engine import now_ms
from bridge.store.keys import Kind, MadeKey
from bridge.store.sealing import Seal
from tests.support.certificates import certificate

from .conftest import Looking

IDP = "http://localhost:7000/acme"


async def counted(looking: Looking, ago: int = 0, **what: int) -> None:
    day = day_of(now_ms(), ago)
    counts = {("acme", day, name): many for name, many in what.items()}
    await looking.rooms.store.write(lambda c: funnel.count(c, counts))


async def test_a_week_is_seven_days(looking: Looking) -> None:
    await counted(looking, asked=3, signed_in=2, matched=2, gate=2, forwarded=2)
    await counted(looking, ago=6, signed_in=8, matched=8, forwarded=8)
    await counted(looking, ago=7, signed_in=100, matched=1)
    report = await looking.acme()
    week = report.fields["week"]
    assert (week["asked"], week["signed_in"], week["matched"], week["forwarded"]) == (3, 10, 10, 10)
    assert report.findings == []


async def test_a_low_match_rate_is_a_finding(looking: Looking) -> None:
    await counted(looking, signed_in=20, matched=16, forwarded=16)
    assert (await looking.acme()).level == "attention"
    await counted(looking, signed_in=20)
    assert (await looking.acme()).level == "broken"
    looking.rooms.deployment.tenants["acme"] |= {"gate": "library", "unmatched": "pass"}
    assert (await looking.acme()).level == "attention", "nobody is shut out"


async def test_people_who_match_and_never_arrive(looking: Looking) -> None:
    await counted(looking, signed_in=3, matched=3)
    [finding] = (await looking.acme()).findings
    assert finding.level == "attention"
    assert finding.says.startswith(
        "Of 3 people who signed in and matched in seven days, none has reached the platform:"
    )


async def test_misses_count_by_what_became_of_them(looking: Looking) -> None:
    tenant = looking.rooms.deployment.load().tenants["acme"].integration_id
    for user in ("u1", "u2"):
        note = partial(misses.note, tenant="acme", integration_id=tenant, user_id=user, course="c", reference="a b c")
        await looking.rooms.store.write(partial(note, moment=now_ms()))
    report = await looking.acme()
    assert report.misses == {"open": 2, "sync_delay": 0, "unauthorized": 0}


async def test_a_clock_that_is_off(looking: Looking) -> None:
    record = partial(clocks.record, tenant="acme", provider=IDP)
    await looking.rooms.store.write(partial(record, offset_ms=-90_000))
    report = await looking.acme()
    assert (report.offset_ms, report.level) == (-90_000, "broken")
    assert report.fields["clock"]["skew_seconds"] == 60
    await looking.rooms.store.write(partial(record, offset_ms=-1_000))
    assert (await looking.acme()).level == "good"
    await looking.rooms.store.write(partial(record, provider="a former IdP", offset_ms=-90_000))
    report = await looking.acme()
    assert (report.offset_ms, report.level) == (None, "good")


async def test_certificates_of_our_own(looking: Looking) -> None:
    async def add(id: str, scope: str, days: int) -> None:
        made = MadeKey(id, b"private", certificate(datetime.now(UTC) + timedelta(days=days, hours=1)))
        kind, seal = Kind("saml", scope), Seal(["s" * 32])
        await looking.rooms.store.write(partial(keys.add, seal=seal, kind=kind, made=made))

    await looking.synced("globex", "initech", "vandelay")
    await add("ab12", "", 5)
    result = await looking.look()
    assert [report.own_days for report in result.reports] == [5, 5, 5, 5]
    assert [report.level for report in result.reports] == ["good"] * 4, "it is the deployment's, and told once"
    [finding] = result.findings
    assert finding.says.startswith("The certificate of our SAML key ab12 ends on ")
    looking.rooms.deployment.tenants["acme"]["saml"]["own_keys"] = "true"
    await add("cd34", "acme", 3)
    acme, globex, *_ = (await looking.look()).reports
    assert (acme.own_days, acme.level) == (3, "attention")
    assert (globex.own_days, globex.level) == (5, "good")


async def test_what_was_never_read(looking: Looking) -> None:
    looking.rooms.deployment.tenants["acme"]["kombo"]["integration_id"] = "sandbox:Fresh"
    await looking.rooms.control("integrations", id="sandbox:Fresh", organization="Acme")
    report = await looking.acme()
    assert report.ages == {"users": None, "courses": None, "progressions": None}
    assert [finding.level for finding in report.findings] == ["attention"]


async def test_looking_changes_nothing(looking: Looking) -> None:
    before = looking.rooms.world.completions, looking.rooms.world.enrollments
    await looking.look()
    assert (looking.rooms.world.completions, looking.rooms.world.enrollments) == before
