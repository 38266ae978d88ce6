from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from bridge.demo.responses import read_authn_request
from bridge.errors import MetadataError
from bridge.saml.document import tag
from bridge.saml.model import ServiceProvider
from bridge.saml.request import authn_request

from .parts import ACS, ENTITY_ID, PARTY, SCHEMAS, provider


def query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, strict_parsing=True)


def tree(url: str) -> etree._Element:
    return etree.fromstring(zlib.decompress(base64.b64decode(query(url)["SAMLRequest"][0]), wbits=-15))


def test_the_request_says_who_asks_and_where_to_answer():
    made = authn_request(provider(), PARTY, "token")
    assert made.url.startswith("https://idp.example.com/sso?SAMLRequest=")
    assert query(made.url)["RelayState"] == ["token"]
    assert read_authn_request(query(made.url)["SAMLRequest"][0]) == (made.id, ENTITY_ID, ACS)


def test_the_request_is_valid_and_asks_for_as_little_as_possible():
    root = tree(authn_request(provider(), PARTY, "token").url)
    etree.XMLSchema(file=str(SCHEMAS / "saml-schema-protocol-2.0.xsd")).assertValid(root)
    assert root.get("Destination") == "https://idp.example.com/sso"
    assert root.get("ForceAuthn") is None
    assert root.get("IsPassive") is None
    assert root.find(tag("samlp:RequestedAuthnContext")) is None
    policy = root.find(tag("samlp:NameIDPolicy"))
    assert policy is not None
    assert dict(policy.attrib) == {
        "Format": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
        "AllowCreate": "true",
    }


def test_ids_are_long_random_names():
    ids = {authn_request(provider(), PARTY, "token").id for _ in range(50)}
    assert len(ids) == 50
    assert all(len(value) == 41 and value.startswith("_") and value.isascii() for value in ids)


@pytest.mark.parametrize(
    ("sso", "start"),
    [
        ("https://idp.test/sso?a=1&b=%26", "https://idp.test/sso?a=1&b=%26&SAMLRequest="),
        ("https://idp.test/sso?", "https://idp.test/sso?SAMLRequest="),
        ("https://idp.test/sso?a=1&", "https://idp.test/sso?a=1&SAMLRequest="),
        ("https://idp:8443/", "https://idp:8443/?SAMLRequest="),
        ("http://localhost:1/", "http://localhost:1/?SAMLRequest="),
    ],
)
def test_the_query_is_appended_to_the_idps_own(sso, start):
    made = authn_request(replace(provider(), sso_redirect=sso), PARTY, "token")
    assert made.url.startswith(start)
    assert tree(made.url).get("Destination") == sso


def test_settings_are_text_not_markup():
    party = ServiceProvider('https://sp.test/?a=1&b="<x>', "https://sp.test/acs?a=1&b=2")
    made = authn_request(replace(provider(), entity_id="urn:<&"), party, "a&b=c")
    assert read_authn_request(query(made.url)["SAMLRequest"][0])[1:] == (party.entity_id, party.acs)
    assert query(made.url)["RelayState"] == ["a&b=c"]


def test_a_relay_state_has_at_most_80_bytes():
    assert authn_request(provider(), PARTY, "x" * 80)
    with pytest.raises(ValueError, match="80 bytes"):
        authn_request(provider(), PARTY, "é" * 41)


def test_an_idp_without_http_redirect_cannot_be_asked():
    with pytest.raises(MetadataError, match="HTTP-Redirect"):
        authn_request(replace(provider(), sso_redirect=None, sso_post="https://idp.test/"), PARTY, "token")


def deflated(data: bytes) -> str:
    packer = zlib.compressobj(9, wbits=-15)
    return base64.b64encode(packer.compress(data) + packer.flush()).decode()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "%%%",
        base64.b64encode(b"\xff\xff\xff").decode(),
        deflated(b"<x/>"),
        deflated(b'<!DOCTYPE x><samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>'),
        deflated(b'<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_1"/>'),
        deflated(b" " * 50_000_000),
    ],
)
def test_the_demo_idp_refuses_other_requests(value):
    """The last one is F6: 50 MB in 50 kB are not inflated."""
    with pytest.raises(ValueError):  # each has a message of its own
        read_authn_request(value)
