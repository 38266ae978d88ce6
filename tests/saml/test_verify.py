from __future__ import annotations

import base64
import threading
from datetime import timedelta

import pytest
import xmlsec
import yaml

from bridge.errors import Code, SamlRefusal
from bridge.saml.model import Assertion
from bridge.saml.verify import verify
from tests.hostile.saml.mutations import build
from tests.support.shapes import OTHERS, shapes

from .parts import (
    ISSUER,
    NOW,
    REQUEST_ID,
    expectation,
    filled,
    provider,
    response,
    shape,
    shape_names,
    sign_templates,
)

EXPECTED = yaml.safe_load((OTHERS / "expected.yaml").read_text())


def attributes(assertion: Assertion) -> dict[str, list[str]]:
    return {attribute.name: list(attribute.values) for attribute in assertion.attributes}


def test_every_shape_has_its_expectation():
    assert set(shape_names()) == set(EXPECTED)


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
    text = filled(shapes()["okta"].read_bytes())
    own = b' Version="2.0" xmlns:xs="http://www.w3.org/2001/XMLSchema"><saml2:Issuer Format'
    assert text.count(own) == 1
    text = text.replace(own, b' Version="2.0"><saml2:Issuer Format')
    message = base64.b64encode(sign_templates(text))
    assert verify(message, expectation(signed="both"), now=NOW).name_id == "jane.doe@acme.com"


def test_the_default_namespace_may_be_listed():
    """Libraries for .NET list it; here the assertion declares one that no name in it uses."""
    text = filled(shapes()["okta"].read_bytes())
    declared = text.replace(b"<saml2:Assertion ", b'<saml2:Assertion xmlns="urn:x:unused" ')
    listed = declared.replace(b'PrefixList="xs"', b'PrefixList="#default xs"')
    assert text != declared != listed
    message = base64.b64encode(sign_templates(listed))
    assert verify(message, expectation(signed="both"), now=NOW).name_id == "jane.doe@acme.com"


def test_names_of_elements_may_have_any_letters():
    text = filled(shapes()["okta"].read_bytes())
    value = b"</saml2:Attribute>"
    unusual = '<saml2:AttributeValue><é:größe xmlns:é="urn:x" ñ="x"/></saml2:AttributeValue>'.encode()
    assert value in text
    message = base64.b64encode(sign_templates(text.replace(value, unusual + value, 1)))
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


SHA1 = [
    {"at": "//ds:SignatureMethod", "name": "Algorithm", "to": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"},
    {"at": "//ds:DigestMethod", "name": "Algorithm", "to": "http://www.w3.org/2000/09/xmldsig#sha1"},
]


@pytest.mark.parametrize("changes", [SHA1, SHA1[:1], SHA1[1:]], ids=["both", "signature", "digest"])
@pytest.mark.parametrize("sign", ["assertion", "response"])
def test_sha1_is_accepted_only_by_opt_in(sign, changes):
    message = build({"sign": sign, "template": [{"set": change} for change in changes]})
    assert verify(message, expectation(accept_sha1=True), now=NOW).name_id == "jane.doe"
    with pytest.raises(SamlRefusal) as caught:
        verify(message, expectation(), now=NOW)
    assert caught.value.check == "sha1"


def test_an_answer_may_be_posted_to_the_address_of_an_older_service_provider():
    former = "https://old.example.com/acs"
    message = response(acs=former)
    assert verify(message, expectation(posted_to=former), now=NOW).name_id == "jane.doe"
    for expected in (expectation(), expectation(posted_to=f"{former}/")):
        with pytest.raises(SamlRefusal) as caught:
            verify(message, expected, now=NOW)
        assert caught.value.check == "destination"


MARKUP = [
    {"add": {"to": "(//saml:AttributeValue)[1]", "xml": "<saml:X>boss@acme.com</saml:X>"}},
    {"drop": {"at": "(//saml:AttributeValue)[1]", "name": "{http://www.w3.org/2001/XMLSchema-instance}type"}},
]
UNREADABLE = {
    "markup": {"content": MARKUP},
    "a NameID among text": {
        "content": [{"add": {**MARKUP[0]["add"], "xml": "<saml:NameID>boss</saml:NameID>"}}, MARKUP[1]]
    },
    "a line break": {"options": {"attributes": {"mail": "jane\nX: y", "groups": ["staff"]}}},
    "a line separator": {"options": {"attributes": {"mail": "jane\u2028x", "groups": ["staff"]}}},
    "a control character": {"options": {"attributes": {"mail": "jane\x9bx", "groups": ["staff"]}}},
    "text turned around": {"options": {"attributes": {"mail": "\u202eenaj", "groups": ["staff"]}}},
    "one value of two": {"options": {"attributes": {"mail": ["jane", "jane\ndoe"], "groups": ["staff"]}}},
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_an_attribute_that_has_no_one_reading_spoils_only_itself(what):
    """F16. IdPs send whole profiles: an address with line breaks in it must not keep anybody out."""
    assertion = verify(build(UNREADABLE[what]), expectation(), now=NOW)
    mail, groups = assertion.attributes
    assert (mail.name, mail.values) == ("mail", ())
    assert mail.unreadable is not None
    assert "jane" not in mail.unreadable
    assert "staff" in groups.values
    assert groups.unreadable is None


def test_an_attribute_in_two_parts_is_unreadable_if_one_part_is():
    message = build(
        {
            "options": {"attributes": {"mail": "jane@acme.com"}},
            "content": [
                {"copy": {"what": "//saml:Attribute", "to": "//saml:AttributeStatement"}},
                {"set": {"at": "//saml:Attribute[2]/*", "to": "boss\n@acme.com"}},
            ],
        }
    )
    (mail,) = verify(message, expectation(), now=NOW).attributes
    assert mail.values == ()
    assert mail.unreadable


def test_a_friendly_name_with_odd_characters_is_none():
    step = {"set": {"at": "(//saml:Attribute)[1]", "name": "FriendlyName", "to": "mail\u200f"}}
    mail = verify(build({"content": [step]}), expectation(), now=NOW).attributes[0]
    assert (mail.name, mail.friendly_name, mail.values) == ("mail", None, ("jane.doe@acme.com",))


@pytest.mark.parametrize(
    ("later", "check", "said"),
    [
        (-timedelta(minutes=4), "issue_instant", "the IdP's clock is at least 4 min ahead of ours"),
        (-timedelta(seconds=90), "issue_instant", "the IdP's clock is at least 90 s ahead of ours"),
        (-timedelta(days=3), "issue_instant", "the IdP's clock is at least 3 days ahead of ours"),
        (timedelta(minutes=7), "confirmation_not_on_or_after", "by the IdP's clock it was issued 7 min ago"),
        (timedelta(hours=5), "issue_instant", "by the IdP's clock it was issued 5 h ago"),
    ],
)
def test_a_refusal_for_the_time_says_how_far_the_clocks_are_apart(later, check, said):
    with pytest.raises(SamlRefusal) as caught:
        verify(response(sign="response"), expectation(), now=NOW + later)
    assert caught.value.check == check
    assert f"{said}, and clock_skew allows 60 s" in caught.value.reason


def test_a_time_that_nobody_signed_measures_nobodys_clock():
    with pytest.raises(SamlRefusal) as caught:
        verify(response(sign="assertion"), expectation(), now=NOW - timedelta(minutes=4))
    assert "says nothing about the IdP's clock" in caught.value.reason
    assert "ahead" not in caught.value.reason


def test_whatever_goes_wrong_inside_is_a_refusal(monkeypatch):
    for error in (RuntimeError("x"), MemoryError(), RecursionError(), xmlsec.Error("x"), KeyError("x")):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr("bridge.saml.verify.check_assertion", fail)
        with pytest.raises(SamlRefusal) as caught:
            verify(response(), expectation(), now=NOW)
        assert (caught.value.code, caught.value.check) == (Code.SAML_REJECTED, "internal")
