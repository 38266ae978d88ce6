from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree
from onelogin.saml2.idp_metadata_parser import OneLogin_Saml2_IdPMetadataParser

from bridge.saml.document import tag
from bridge.saml.model import ServiceProvider
from bridge.saml.party import sp_metadata
from bridge.saml.signing import certificate_base64

from .logouts import PARTY, SLO
from .parts import ACS, ENTITY_ID, SCHEMAS, sp_key

REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
FORMER = "https://old.example.com/acs"
KEYS = [sp_key("sp"), sp_key("sp-old")]


def role(party: ServiceProvider = PARTY, *arguments: Any, **options: Any) -> etree._Element:
    root = etree.fromstring(sp_metadata(party, *arguments, **options))
    etree.XMLSchema(file=str(SCHEMAS / "saml-schema-metadata-2.0.xsd")).assertValid(root)
    (found,) = root
    return found


def services(found: etree._Element, name: str) -> list[tuple[str | None, str | None]]:
    return [(service.get("Binding"), service.get("Location")) for service in found.iterchildren(tag(name))]


def test_our_metadata_says_what_an_idp_needs():
    found = role()
    root = found.getparent()
    assert root is not None
    assert root.get("entityID") == ENTITY_ID
    assert root.get("validUntil") is None
    assert (found.tag, found.get("WantAssertionsSigned"), found.get("AuthnRequestsSigned")) == (
        tag("md:SPSSODescriptor"),
        "true",
        "false",
    )
    assert services(found, "md:AssertionConsumerService") == [(POST, ACS)]


def test_whether_requests_are_signed_is_said_truthfully():
    assert role(PARTY, KEYS, requests_signed=True).get("AuthnRequestsSigned") == "true"


def test_every_key_signs_and_decrypts_in_order():
    found = role(PARTY, KEYS)
    keys = [
        (descriptor.get("use"), descriptor.findtext(f".//{tag('ds:X509Certificate')}"))
        for descriptor in found.iterchildren(tag("md:KeyDescriptor"))
    ]
    assert keys == [(use, certificate_base64(key.certificate_pem)) for use in ("signing", "encryption") for key in KEYS]


def test_idps_are_told_to_encrypt_with_what_we_read():
    """AES-GCM: without a word many choose CBC, which is read only in a signed response."""
    for descriptor in role(PARTY, KEYS).iterchildren(tag("md:KeyDescriptor")):
        methods = [method.get("Algorithm") for method in descriptor.iterchildren(tag("md:EncryptionMethod"))]
        if descriptor.get("use") == "signing":
            assert methods == []
        else:
            assert methods == [
                "http://www.w3.org/2009/xmlenc11#aes256-gcm",
                "http://www.w3.org/2009/xmlenc11#aes128-gcm",
                "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
            ]


def test_single_logout_is_offered_by_both_bindings():
    assert services(role(PARTY, KEYS), "md:SingleLogoutService") == [(REDIRECT, SLO), (POST, SLO)]


@pytest.mark.parametrize(("party", "keys"), [(replace(PARTY, slo=""), KEYS), (PARTY, [])])
def test_single_logout_needs_an_address_and_a_key(party, keys):
    assert services(role(party, keys), "md:SingleLogoutService") == []


def test_the_acs_that_requests_name_is_the_default():
    found = role(replace(PARTY, former_acs=FORMER), KEYS)
    assert services(found, "md:AssertionConsumerService") == [(POST, FORMER), (POST, ACS)]
    former, own = found.iterchildren(tag("md:AssertionConsumerService"))
    assert (former.get("isDefault"), own.get("isDefault")) == ("true", None)
    assert former.get("index") != own.get("index")


def test_settings_are_text_not_markup():
    party = ServiceProvider('https://sp.test/?a&"<b>', "https://sp.test/acs?a&b", "https://sp.test/slo?a&b")
    root = etree.fromstring(sp_metadata(party, KEYS))
    assert root.get("entityID") == party.entity_id
    assert root[0][-1].get("Location") == party.acs
    assert services(root[0], "md:SingleLogoutService")[0][1] == party.slo


def test_other_peoples_software_reads_it():
    """Its parser is made for IdPs' metadata, but finds keys and addresses in ours alike."""
    text = sp_metadata(PARTY, KEYS).decode().replace("SPSSODescriptor", "IDPSSODescriptor")
    read = OneLogin_Saml2_IdPMetadataParser.parse(text)["idp"]
    assert read["entityId"] == ENTITY_ID
    assert read["singleLogoutService"]["url"] == SLO
    assert len(read["x509certMulti"]["signing"]) == 2
