"""Each case of `responses.yaml` gets its diagnosis; nobody in an unverified response counts as let in."""

from __future__ import annotations

import base64
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.demo.encryption import Encryption
from bridge.demo.responses import idp_metadata
from bridge.explain.text import lines
from bridge.saml.fingerprints import of_certificate
from bridge.saml.keys import new_key
from bridge.store import idps, keys
from bridge.store.engine import now_ms
from bridge.store.idps import Key
from bridge.store.keys import Kind, MadeKey
from bridge.store.sealing import Seal
from tests.explain.desk import Desk, key
from tests.support.deployment import SECRET
from tests.support.shapes import signed

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("responses.yaml").read_text())
PEOPLE = {"people": [{"id": "jane", "remote_id": "x-1", "work_email": "jane@acme.com"}]}
PLACE = re.compile(r"\{(acs|entity|idp|fingerprint):([a-z]+)\}")


def filled(desk: Desk, text: str) -> str:
    def value(match: re.Match[str]) -> str:
        what, name = match.groups()
        if what == "fingerprint":
            return of_certificate(key(name).certificate_pem)
        tenant = desk.tenant(name)
        return {"acs": tenant.party.acs, "entity": tenant.party.entity_id, "idp": tenant.provider.entity_id}[what]

    return PLACE.sub(value, text)


def said(desk: Desk, case: dict[str, Any]) -> dict[str, Any]:
    found = {name: filled(desk, value) for name, value in case.get("says", {}).items() if isinstance(value, str)}
    if seconds := case.get("says", {}).get("lifetime_seconds"):
        found["lifetime"] = timedelta(seconds=seconds)
    if case.get("encrypted"):
        found["encryption"] = Encryption(new_key("another", datetime.now(UTC)).certificate_pem)
    return found | {"edit": case.get("edit", {})}


async def by_url(desk: Desk, url: str) -> None:
    """The metadata was fetched from a URL, as far as the state knows."""
    metadata = idp_metadata(desk.tenant("acme").provider.entity_id, key("idp"), "http://localhost:7000/acme/sso")
    name = Key("acme", url)

    def work(connection: Any) -> None:
        idps.claim(connection, name, now_ms())
        idps.keep(connection, name, metadata, desk.tenant("acme").provider.entity_id, None, now_ms())

    await desk.store.write(work)
    desk.load_fetched({"acme": {"saml": {"metadata": url}}})


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(case["name"] for case in CASES).items() if count > 1] == []


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_case(desk: Desk, case: dict[str, Any]) -> None:
    desk.load({"acme": {"identity": ["name_id"], **case.get("tenant", {})}})
    await desk.fill(desk.tenant("acme").integration_id, PEOPLE)
    if "metadata_url" in case:
        await by_url(desk, case["metadata_url"])
    response = desk.response(**said(desk, case))
    told = await desk.explain(response)
    assert (told.passes, told.verified, told.check) == (False, False, case["check"]), told.reason
    assert [each.standing for each in told.checks].count("failed") == 1
    change = told.change
    assert change is not None
    assert change.case == case["change"], change.text
    assert change.side == case.get("side", change.side)
    shown = " ".join("\n".join(lines(told, values=False)).split())
    assert ("(unverified: nobody is let in by them)" in shown) == bool(told.identifiers or told.carried)
    if told.user is not None:
        assert "Match: would be, were it verified, the Kombo user jane" in shown
    for text in case.get("text", []):
        assert filled(desk, text).lower() in shown.lower(), shown
    if "yaml" in case:
        assert change.write is not None
        assert change.write.yaml == case["yaml"]
        desk.apply("acme", change.write.yaml)
        assert (await desk.explain(response)).passes


async def test_a_response_that_passes(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    await desk.fill(desk.tenant("acme").integration_id, PEOPLE)
    told = await desk.explain(desk.response())
    assert (told.passes, told.user, told.tier, told.change) == (True, "jane", "name_id", None)
    standings = {check.step: check.standing for check in told.checks}
    assert standings["answered"] == standings["replay"] == "not_judged"
    assert standings["decryption"] == standings["response_signature"] == "not_needed"
    assert told.age and told.age >= timedelta(days=2)


async def test_sha1_of_the_idps_own_may_be_allowed(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    await desk.fill(desk.tenant("acme").integration_id, PEOPLE)
    data = base64.b64decode(desk.response())
    data = re.sub(rb"<(ds:(?:Digest|Signature)Value)>[^<]*<", rb"<\1><", data)
    data = re.sub(rb'(SignatureMethod Algorithm=")[^"]*', rb"\1http://www.w3.org/2000/09/xmldsig#rsa-sha1", data)
    data = re.sub(rb'(DigestMethod Algorithm=")[^"]*', rb"\1http://www.w3.org/2000/09/xmldsig#sha1", data)
    response = base64.b64encode(signed(data, key("idp"))).decode()
    change = (await desk.explain(response)).change
    assert change and change.write and change.write.yaml == "saml:\n  accept_sha1: true"
    desk.apply("acme", change.write.yaml)
    assert (await desk.explain(response)).passes


async def test_one_from_the_future_names_the_clock(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    await desk.fill(desk.tenant("acme").integration_id, PEOPLE)
    told = await desk.explain(desk.response(now=datetime.now(UTC) + timedelta(minutes=4)))
    assert (told.passes, told.check, told.change and told.change.case) == (False, "issue_instant", "clock_ahead")
    assert told.change and told.change.write and told.change.write.yaml.startswith("saml:\n  clock_skew: 2")
    far = await desk.explain(desk.response(now=datetime.now(UTC) + timedelta(hours=3)))
    assert far.change and far.change.write is None
    assert "No `saml.clock_skew` helps" in far.change.text


async def test_what_is_encrypted_for_us_is_opened(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    await desk.fill(desk.tenant("acme").integration_id, PEOPLE)
    ours = new_key("ours", datetime.now(UTC))
    made = MadeKey(ours.id, ours.private_pem, ours.certificate_pem)
    await desk.store.write(lambda c: keys.add(c, Seal([SECRET]), Kind("saml"), made))
    encryption = Encryption(ours.certificate_pem)
    assert (await desk.explain(desk.response(encryption=encryption))).user == "jane"
    other = await desk.explain(desk.response(encryption=encryption, audience=desk.tenant("globex").party.entity_id))
    assert other.change and other.change.case == "audience_of_another_tenant"
    assert (other.user, other.verified) == ("jane", False)
    another = Encryption(new_key("another", datetime.now(UTC)).certificate_pem)
    closed = await desk.explain(desk.response(encryption=another))
    assert closed.change and closed.change.case == "encrypted_for_another_key"
    assert of_certificate(ours.certificate_pem) in closed.change.text
    assert closed.identifiers == ()


async def test_a_certificate_in_the_response_is_never_trusted(desk: Desk) -> None:
    """Also where it is another tenant's: whose it is, is said, and nothing passes."""
    desk.load({"acme": {"identity": ["name_id"]}})
    await desk.fill(desk.tenant("acme").integration_id, PEOPLE)
    metadata = idp_metadata(desk.tenant("globex").provider.entity_id, key("globex"), "http://localhost:7000/globex/sso")
    response = desk.response(signer="globex")
    desk.replace_metadata("globex", metadata)
    told = await desk.explain(response)
    assert (told.passes, told.change and told.change.case) == (False, "certificate_of_another_tenant")
    assert told.change and "globex" in told.change.text
    assert key("globex").certificate_base64 in base64.b64decode(response).decode().replace("\n", "")


async def test_an_answer_that_nobody_asked_for_is_noted(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    await desk.fill(desk.tenant("acme").integration_id, PEOPLE)
    response = desk.response(in_response_to=None)
    assert any("idp_initiated: false" in note for note in (await desk.explain(response)).notes)
    desk.load({"acme": {"saml": {"idp_initiated": True}}})
    assert not any("idp_initiated" in note for note in (await desk.explain(response)).notes)
