from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from bridge.demo.responses import read_authn_request
from bridge.errors import MetadataError, SamlRefusal
from bridge.saml.document import tag
from bridge.saml.model import OutgoingRequest, ServiceProvider
from bridge.saml.profile import read_profile
from bridge.saml.request import authn_request
from bridge.saml.signature import verified
from bridge.saml.signing import certificate_base64

from .logouts import parameters, tree
from .parts import ACS, ENTITY_ID, PARTY, SCHEMAS, key, provider, sp_key


def sent_query(**changes: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(ask(**changes).send.url).query, strict_parsing=True)


def ask(
    relay_state: str = "token", party: ServiceProvider = PARTY, signer: str | None = None, **provider_changes: Any
) -> OutgoingRequest:
    return authn_request(
        replace(provider(), **provider_changes), party, relay_state, sp_key(signer) if signer else None
    )


def only_post(**changes: Any) -> OutgoingRequest:
    """To an IdP that takes requests by HTTP-POST only."""
    return ask(sso_redirect=None, sso_post="https://idp.test/post?a=1&b=2", **changes)


def test_the_request_says_who_asks_and_where_to_answer():
    made = ask()
    assert made.send.url.startswith("https://idp.example.com/sso?SAMLRequest=")
    assert made.send.fields is None
    assert parameters(made.send)["RelayState"] == "token"
    assert read_authn_request(parameters(made.send)["SAMLRequest"]) == (made.id, ENTITY_ID, ACS)


@pytest.mark.parametrize("make", [ask, only_post])
@pytest.mark.parametrize("signer", [None, "sp"])
def test_the_request_is_valid_and_asks_for_as_little_as_possible(make, signer):
    root = tree(make(signer=signer).send)
    etree.XMLSchema(file=str(SCHEMAS / "saml-schema-protocol-2.0.xsd")).assertValid(root)
    assert root.get("Destination") in ("https://idp.example.com/sso", "https://idp.test/post?a=1&b=2")
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
    ids = {ask().id for _ in range(50)}
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
    made = ask(sso_redirect=sso)
    assert made.send.url.startswith(start)
    assert tree(made.send).get("Destination") == sso


def test_settings_are_text_not_markup():
    party = ServiceProvider('https://sp.test/?a=1&b="<x>', "https://sp.test/acs?a=1&b=2")
    for make in (ask, only_post):
        made = make(relay_state="a&b=c", party=party, entity_id="urn:<&", signer="sp")
        root = tree(made.send)
        assert root.findtext(tag("saml:Issuer")) == party.entity_id
        assert root.get("AssertionConsumerServiceURL") == party.acs
        assert parameters(made.send)["RelayState"] == "a&b=c"


def test_the_acs_of_an_older_service_provider_is_asked_for():
    party = replace(PARTY, former_acs="https://old.example.com/acs")
    assert tree(ask(party=party).send).get("AssertionConsumerServiceURL") == "https://old.example.com/acs"


def test_a_relay_state_has_at_most_80_bytes():
    for make in (ask, only_post):
        assert make(relay_state="x" * 80)
        with pytest.raises(ValueError, match="80 bytes"):
            make(relay_state="é" * 41)


def test_without_a_key_nothing_is_signed():
    assert list(sent_query()) == ["SAMLRequest", "RelayState"]
    assert tree(only_post().send).find(tag("ds:Signature")) is None


def test_a_signature_by_redirect_is_over_the_query():
    """Verified by other means than our own (SAML bindings 3.4.4.1)."""
    made = ask(signer="sp")
    assert list(parameters(made.send)) == ["SAMLRequest", "RelayState", "SigAlg", "Signature"]
    assert parameters(made.send)["SigAlg"] == "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    octets = urlsplit(made.send.url).query.partition("&Signature=")[0]
    certificate = x509.load_pem_x509_certificate(sp_key("sp").certificate_pem.encode())
    found = base64.b64decode(parameters(made.send)["Signature"], validate=True)
    certificate.public_key().verify(found, octets.encode(), padding.PKCS1v15(), SHA256())
    assert tree(made.send).find(tag("ds:Signature")) is None


def test_a_signature_by_post_is_in_the_request_and_says_whose():
    made = only_post(signer="sp")
    assert made.send.url == "https://idp.test/post?a=1&b=2"
    assert list(parameters(made.send)) == ["SAMLRequest", "RelayState"]
    root = tree(made.send)
    signature = root.find(tag("ds:Signature"))
    assert signature is not None
    assert signature.findtext(f".//{tag('ds:X509Certificate')}") == certificate_base64(sp_key("sp").certificate_pem)
    signed = verified(root, read_profile(root), (sp_key("sp").certificate_pem,))
    assert signed.get("ID") == made.id
    with pytest.raises(SamlRefusal, match="no signing certificate"):
        verified(root, read_profile(root), (key("idp").certificate_pem,))


def test_python3_saml_reads_our_signatures():
    """An IdP on other people's software."""
    cert = sp_key("sp").certificate_pem
    made = ask(signer="sp")
    fields = parameters(made.send)
    octets = urlsplit(made.send.url).query.partition("&Signature=")[0]
    assert OneLogin_Saml2_Utils.validate_binary_sign(
        octets, base64.b64decode(fields["Signature"]), cert, fields["SigAlg"]
    )
    posted = base64.b64decode(parameters(only_post(signer="sp").send)["SAMLRequest"])
    assert OneLogin_Saml2_Utils.validate_sign(posted, cert, xpath="/samlp:AuthnRequest/ds:Signature")


def test_an_idp_without_an_address_cannot_be_asked():
    with pytest.raises(MetadataError, match="HTTP-Redirect or HTTP-POST"):
        ask(sso_redirect=None)


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
