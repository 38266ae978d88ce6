from __future__ import annotations

import base64
import threading
from datetime import timedelta

import pytest
import yaml

from bridge.saml.model import Assertion
from bridge.saml.verify import verify

from .parts import ISSUER, NOW, REQUEST_ID, SHAPES, expectation, filled, provider, response, shape, sign_templates

EXPECTED = yaml.safe_load((SHAPES / "expected.yaml").read_text())


def attributes(assertion: Assertion) -> dict[str, list[str]]:
    return {attribute.name: list(attribute.values) for attribute in assertion.attributes}


def test_every_shape_has_its_expectation():
    assert {path.stem for path in SHAPES.glob("*.xml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_shapes_of_real_idps_are_read(name):
    assertion = verify(shape(name), expectation(), now=NOW)
    expected = EXPECTED[name]
    assert assertion.name_id == expected["name_id"]
    assert (assertion.subject and assertion.subject.format) == expected["name_id_format"]
    assert attributes(assertion) == expected["attributes"]
    assert assertion.issuer == ISSUER
    assert assertion.in_response_to == REQUEST_ID


def test_listed_namespaces_may_be_declared_around_the_assertion():
    """Okta's PrefixList names `xs`; here only the Response declares it, and the assertion's signature covers it."""
    text = filled((SHAPES / "okta.xml").read_bytes())
    own = b' Version="2.0" xmlns:xs="http://www.w3.org/2001/XMLSchema"><saml2:Issuer Format'
    assert text.count(own) == 1
    text = text.replace(own, b' Version="2.0"><saml2:Issuer Format')
    message = base64.b64encode(sign_templates(text))
    assert verify(message, expectation(signed="both"), now=NOW).name_id == "jane.doe@acme.com"


@pytest.mark.parametrize("signer", ["idp", "ec"])
@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_either_signature_and_either_kind_of_key_will_do(signer, sign):
    assertion = verify(response(signer, sign=sign), expectation(provider=provider(signer)), now=NOW)
    assert assertion.name_id == "jane.doe"
    assert attributes(assertion) == {"mail": ["jane.doe@acme.com"], "groups": ["staff", "learners"]}


@pytest.mark.parametrize(
    ("sign", "wanted"),
    [("assertion",) * 2, ("response",) * 2, ("both",) * 2, ("both", "assertion"), ("both", "response")],
)
def test_a_tenant_may_say_which_signature_it_wants(sign, wanted):
    assert verify(response(sign=sign), expectation(signed=wanted), now=NOW).name_id == "jane.doe"


def test_any_of_several_certificates_may_have_signed():
    rollover = provider("old", "ec-new", "idp")
    assert verify(response(), expectation(provider=rollover), now=NOW).name_id == "jane.doe"


def test_idp_initiated_carries_no_request_id():
    assertion = verify(response(in_response_to=None), expectation(request_id=None), now=NOW)
    assert assertion.in_response_to is None


def test_times_are_read_and_the_skew_is_added_to_the_end():
    assertion = verify(shape("simplesamlphp"), expectation(clock_skew=timedelta(seconds=90)), now=NOW)
    assert assertion.expires == NOW + timedelta(minutes=5, seconds=90)
    assert assertion.authn_instant == NOW
    assert assertion.session_not_on_or_after == NOW + timedelta(hours=8)
    assert assertion.session_index == "_b1d3a6f5"
    assert assertion.id == "_0c2f5d3e41a0c4b8d0a8e9b7c6d5e4f3a2b1c0d9e8"


@pytest.mark.parametrize("seconds", [-59, 5 * 60 + 59])
def test_clocks_may_differ_by_the_skew(seconds):
    assert verify(response(), expectation(), now=NOW + timedelta(seconds=seconds)).name_id == "jane.doe"


def test_line_breaks_in_the_base64_and_bytes_are_fine():
    text = response()
    lines = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert verify(lines.encode(), expectation(), now=NOW).name_id == "jane.doe"


def test_friendly_names_are_kept():
    assertion = verify(shape("shibboleth"), expectation(), now=NOW)
    assert [attribute.friendly_name for attribute in assertion.attributes] == ["mail", "eduPersonTargetedID"]


def test_threads_verify_side_by_side():
    messages = [(f"user-{number}", response(name_id=f"user-{number}", sign="both")) for number in range(4)]
    wrong: list[str] = []

    def work(name: str, message: str) -> None:
        wrong.extend(name for _ in range(25) if verify(message, expectation(), now=NOW).name_id != name)

    threads = [threading.Thread(target=work, args=pair) for pair in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
