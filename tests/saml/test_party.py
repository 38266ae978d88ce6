from __future__ import annotations

from lxml import etree

from bridge.saml.document import tag
from bridge.saml.model import ServiceProvider
from bridge.saml.party import sp_metadata

from .parts import ACS, ENTITY_ID, PARTY, SCHEMAS


def test_our_metadata_is_valid_and_says_what_an_idp_needs():
    root = etree.fromstring(sp_metadata(PARTY))
    etree.XMLSchema(file=str(SCHEMAS / "saml-schema-metadata-2.0.xsd")).assertValid(root)
    assert root.get("entityID") == ENTITY_ID
    assert root.get("validUntil") is None
    (role,) = root
    assert (role.tag, role.get("WantAssertionsSigned"), role.get("AuthnRequestsSigned")) == (
        tag("md:SPSSODescriptor"),
        "true",
        "false",
    )
    (acs,) = role.iterchildren(tag("md:AssertionConsumerService"))
    assert acs.get("Location") == ACS
    assert acs.get("Binding") == "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
    assert role.find(tag("md:SingleLogoutService")) is None


def test_settings_are_text_not_markup():
    party = ServiceProvider('https://sp.test/?a&"<b>', "https://sp.test/acs?a&b")
    root = etree.fromstring(sp_metadata(party))
    assert root.get("entityID") == party.entity_id
    assert root[0][-1].get("Location") == party.acs
