"""Launches and refusals as the service writes them down, explained afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.errors import Code, Refusal, SamlRefusal
from bridge.exchange import Head
from bridge.explain import Explanation, change_for, explain_record
from bridge.explain.copy import NOBODY, Copy
from bridge.explain.text import lines
from bridge.front.judge import expectation
from bridge.identity.resolver import Resolver
from bridge.keys.custody import HeldKeys
from bridge.launches import history
from bridge.launches.launches import Launches
from bridge.saml.model import Assertion, Attribute
from bridge.saml.verify import verify
from bridge.store import launches as rows
from bridge.store.engine import now_ms
from bridge.store.launches import Filter
from bridge.store.sealing import Seal
from tests.explain.desk import Desk
from tests.explain.test_people import people
from tests.support.deployment import SECRET

SEAL = Seal([SECRET], history.PURPOSE)
WID = "3aa5550b7fe348b98d7b5741afc65534"


def service(desk: Desk) -> Launches:
    return Launches(desk.store, SEAL, lambda: desk.configuration)


async def refused(desk: Desk, **said: Any) -> None:
    """The service gets a response just now, and refuses it."""
    launches, tenant = service(desk), desk.tenant("acme")
    response = desk.response(**{"now": datetime.now(UTC), **said})
    trail = launches.begin(tenant, "link", "/courses/a", now_ms(), now_ms() - 2000)
    expected = expectation(tenant, "_asked", tenant.party.acs, HeldKeys())
    tried = trail.tried
    with pytest.raises(Refusal) as caught:
        assertion = verify(response, expected, now=datetime.now(UTC), progress=trail.progress)
        launches.verified(trail, assertion)
        await Resolver(desk.store, NOBODY).resolve(assertion, tenant, tried)
    launches.refused(trail, caught.value)
    await launches.write()


def verified(desk: Desk) -> Assertion:
    tenant = desk.tenant("acme")
    response = desk.response(now=datetime.now(UTC))
    return verify(response, expectation(tenant, "_asked", tenant.party.acs, HeldKeys()), now=datetime.now(UTC))


async def refused_with(desk: Desk, *attributes: Attribute) -> None:
    """The response passes, says this of the person, and nobody is found by it."""
    launches, tenant = service(desk), desk.tenant("acme")
    assertion = replace(verified(desk), attributes=attributes)
    trail = launches.begin(tenant, "link", "/courses/a", now_ms(), now_ms())
    launches.verified(trail, assertion)
    with pytest.raises(Refusal) as caught:
        await Resolver(desk.store, NOBODY).resolve(assertion, tenant, trail.tried)
    launches.refused(trail, caught.value)
    await launches.write()


async def last(desk: Desk, seal: Seal | None = SEAL, course: str | None = None) -> Explanation:
    [record, *_] = await desk.store.read(lambda c: history.recent(c, Filter(), 1))
    return await explain_record(record, desk.configuration, Copy(desk.store), seal, course)


@pytest.mark.parametrize(
    ("said", "case", "text"),
    [
        ({"audience": "https://old.example.com/sp"}, "audience_of_an_older_sp", "https://old.example.com/sp"),
        ({"acs": "http://127.0.0.1:8080/_bridge/saml/globex/acs"}, "acs_of_another_tenant", "globex"),
        ({"issuer": "http://localhost:7000/globex"}, "issuer_of_another_tenant", "globex"),
        ({"signer": "renewed"}, "signed_by_another_key", "in the metadata"),
        ({"sign": "none"}, "not_signed", "signs nothing"),
        ({"ago": -150, "sign": "response"}, "clock_ahead", "2 min ahead"),
        ({"ago": -150}, "clock_ahead", "nobody has signed"),
        ({"acs": "http://127.0.0.1:8080/courses/x"}, "another_acs", "/_bridge/saml/acme/acs"),
        ({"ago": 7200}, "too_old", "2 h before it came"),
        ({"ago": 400}, "late_or_clock_behind", "6 min before it came"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_response_that_was_refused(desk: Desk, said: dict[str, Any], case: str, text: str) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    ago = said.pop("ago", None) if "ago" in (said := dict(said)) else None
    if ago is not None:
        said["now"] = datetime.now(UTC) - timedelta(seconds=ago)
    await refused(desk, **said)
    told = await last(desk)
    assert (told.of, told.passes, told.outcome) == ("refusal", False, "saml_rejected")
    assert [check.standing for check in told.checks].count("failed") == 1
    assert told.change
    if case == "signed_by_another_key":  # unless the response shows its certificate
        assert told.change.case in ("certificate_changed", case)
    else:
        assert told.change.case == case
    assert text in told.change.text
    assert (told.change.write is not None) == (case == "audience_of_an_older_sp" or text == "2 min ahead")


async def test_what_was_refused_before_its_signature_was_verified_loosens_nothing(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"], "saml": {"signed": "both"}}})
    await refused(desk)
    told = await last(desk)
    assert told.change and (told.change.case, told.change.write) == ("signed_setting", None)


async def test_a_value_that_was_found_by_its_friendly_name(desk: Desk) -> None:
    """It is looked for again under the name that the tenant's file has."""
    desk.load({"acme": {"identity": [{"attribute": "lms_user_id"}]}})
    await desk.fill(desk.tenant("acme").integration_id, {"people": people("wids")})
    await refused_with(desk, Attribute("urn:oid:1.2.3", "lms_user_id", ("nobody",)))
    told = await last(desk)
    assert "the identifier (attribute) matches no Kombo user" in told.reason
    assert [(each.source, each.value, each.result) for each in told.identifiers] == [
        ("lms_user_id", "nobody", "unmatched")
    ]


async def test_of_two_values_neither_is_taken(desk: Desk) -> None:
    """Though the one that was kept under that name is somebody's."""
    desk.load({"acme": {"identity": [{"attribute": "id"}]}})
    await desk.fill(desk.tenant("acme").integration_id, {"people": people("wids")})
    await refused_with(desk, Attribute("id", None, (WID,)), Attribute("id", None, ("other",)))
    told = await last(desk)
    assert (told.passes, told.change and told.change.case) == (False, "several_values")


async def test_somebody_who_was_not_found(desk: Desk) -> None:
    desk.load({"acme": {"identity": [{"attribute": "lms_user_id"}]}})
    await desk.fill(desk.tenant("acme").integration_id, {"people": people("wids")})
    await refused(desk, name_id="u", attributes={"wid": WID})
    told = await last(desk)
    assert (told.of, told.outcome, told.verified) == ("launch", "identifier_missing", True)
    assert told.change and told.change.case == "another_source"
    assert told.change.write and told.change.write.yaml == "identity:\n  - attribute: wid"
    assert WID not in "\n".join(lines(told, values=False)) + str(told.fields(values=False))
    assert WID in "\n".join(lines(told, values=True)) and WID in str(told.fields(values=True))
    [record, *_] = await desk.store.read(lambda c: history.recent(c, Filter(), 1))
    assert await change_for(record, desk.configuration, desk.store, SEAL) == told.change


async def test_values_that_are_gone(desk: Desk) -> None:
    """Without them the change is a more general one, and nobody is found by what was once known."""
    desk.load({"acme": {"identity": [{"attribute": "lms_user_id"}]}})
    await desk.fill(desk.tenant("acme").integration_id, {"people": people("wids")})
    await refused(desk, name_id="u", attributes={"wid": WID})
    await desk.store.write(lambda c: rows.sweep_seen(c, now_ms() + 1, 10))
    told = await last(desk)
    assert (told.passes, told.change and told.change.case) == (False, "identifier_not_sent")
    assert "was not kept" in str(told.change and told.change.text)
    assert [each.result for each in told.identifiers] == ["absent"]


async def test_somebody_who_would_be_found_by_now(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    integration = desk.tenant("acme").integration_id
    await desk.fill(integration, {"people": people("wids")})
    await refused(desk, name_id="5b3f70aab1f44cc19a3aa7a35a4e0d54")
    assert (await last(desk)).passes is False
    hired = [{"id": "new", "remote_id": "5b3f70aab1f44cc19a3aa7a35a4e0d54"}]
    await desk.fill(integration, {"people": hired})
    told = await last(desk)
    assert (told.passes, told.user, told.change) == (True, "new", None)
    course = await last(desk, course="a")
    assert (course.passes, course.course and course.course.open) == (False, False)
    assert "would pass by now" in "\n".join(lines(told, values=False))


async def test_a_gate_that_did_not_open(desk: Desk) -> None:
    tenant = desk.tenant("acme")
    await desk.fill(
        tenant.integration_id, {"people": people("wids"), "courses": [{"id": "k1", "remote_id": "c", "origin_id": "a"}]}
    )
    launches = service(desk)
    head = Head(b"GET", b"/courses/a", [], "127.0.0.1")
    refusal = Refusal(Code.NOT_ENROLLED, "no progression of jane opens the course 'a'")
    launches.noted(head, refusal, "amber-falcon-river", tenant, "jane", "a")
    await launches.write()
    told = await last(desk)
    assert (told.passes, told.change and told.change.case) == (False, "not_assigned")
    await desk.fill(
        tenant.integration_id,
        {"progressions": [{"id": "p", "user_id": "jane", "status": "ENROLLED"}]},
    )
    told = await last(desk)
    assert (told.passes, told.change) == (True, None)
    told = await last(desk, course="b")
    assert (told.passes, told.change and told.change.case) == (False, "course_unknown")
    told = await last(desk)
    assert any("came with a later sync" in note for note in told.notes)


@pytest.mark.parametrize("code", [code for code in Code if not code.startswith("saml")])
async def test_every_refusal_has_a_change(desk: Desk, code: Code) -> None:
    """With a tenant or without, with nothing else known."""
    launches = service(desk)
    head = Head(b"GET", b"/x", [], "127.0.0.1")
    for tenant in (None, desk.tenant("acme")):
        launches.noted(head, Refusal(code, "a reason"), "amber-falcon-river", tenant, None, None)
        await launches.write()
        told = await last(desk, None)
        assert not told.passes
        if tenant:
            assert told.change, code
        assert "\n".join(lines(told, values=False))


async def test_a_refusal_of_single_logout_is_explained_by_its_check(desk: Desk) -> None:
    refusal = SamlRefusal(Code.SAML_REJECTED, "not_on_or_after", "the request is over")
    service_ = service(desk)
    service_.noted(Head(b"POST", b"/slo", [], ""), refusal, "amber-falcon-river", desk.tenant("acme"), None, None)
    await service_.write()
    told = await last(desk)
    assert told.change and told.change.case == "not_the_profile"


async def test_a_change_for_one_where_others_come_in(desk: Desk) -> None:
    """What is proposed is for everybody, so that it is said when the file as it is has just let somebody in."""
    desk.load({"acme": {"identity": [{"attribute": "lms_user_id"}]}})
    await desk.fill(desk.tenant("acme").integration_id, {"people": people("wids")})
    await refused(desk, name_id="u", attributes={"wid": WID})
    assert not any("others were let in" in note for note in (await last(desk)).notes)
    [record] = await desk.store.read(lambda c: history.recent(c, Filter(), 1))
    assert isinstance(record.of, rows.Launch)
    good = replace(record.of, id="good", outcome=rows.FORWARDED, began_at=record.at - 1000)
    await desk.store.write(lambda c: rows.add(c, good))
    assert any("others were let in" in note for note in (await last(desk)).notes)
    told = await desk.explain(desk.response(name_id="u", attributes={"wid": WID}))
    assert any("others were let in" in note for note in told.notes)
