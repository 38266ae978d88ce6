"""Encrypted assertions as IdPs write them: every allowed algorithm, both places of the key, and libxmlsec's own way."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
import xmlsec
from lxml import etree
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from bridge.demo.encryption import encrypt_assertion, encrypted, recipient, template
from bridge.errors import SamlRefusal
from bridge.saml.document import DSIG, PREFIXES, XENC, XENC11, tag
from bridge.saml.signing import sign_element
from bridge.saml.verify import verify

from .parts import ACS, ENTITY_ID, ISSUER, NOW, REQUEST_ID, encryption, expectation, key, response, shape, sp_key

EXPECTS = expectation(keys=(sp_key("sp"),))
GCM = ["aes128-gcm", "aes192-gcm", "aes256-gcm"]
CBC = ["aes128-cbc", "aes192-cbc", "aes256-cbc"]
TRANSPORTS = {
    "mgf1p": {},
    "mgf1p with its default written out": {"digest": f"{DSIG}sha1"},
    "mgf1p with SHA-256": {"digest": f"{XENC}sha256"},
    "oaep": {"transport": f"{XENC11}rsa-oaep"},
    "oaep with SHA-256 and MGF1 of SHA-1": {"transport": f"{XENC11}rsa-oaep", "digest": f"{XENC}sha256"},
    "oaep with SHA-256 twice": {
        "transport": f"{XENC11}rsa-oaep",
        "digest": f"{XENC}sha256",
        "mgf": f"{XENC11}mgf1sha256",
    },
    "oaep with SHA-512 twice": {
        "transport": f"{XENC11}rsa-oaep",
        "digest": f"{XENC}sha512",
        "mgf": f"{XENC11}mgf1sha512",
    },
}


def root_of(message: str) -> etree._Element:
    return etree.fromstring(base64.b64decode(message))


def posted(root: etree._Element) -> str:
    return base64.b64encode(etree.tostring(root)).decode()


def encrypted_in_place(message: str) -> etree._Element:
    """As software on libxmlsec does it: the node as it stands, its namespaces left to the elements around it."""
    root = root_of(message)
    (assertion,) = root.iterchildren(tag("saml:Assertion"))
    place = etree.Element(tag("saml:EncryptedAssertion"), nsmap=root.nsmap)
    root.replace(assertion, place)
    place.append(assertion)
    context = xmlsec.EncryptionContext(recipient(sp_key("sp").certificate_pem))
    context.key = xmlsec.Key.generate(xmlsec.constants.KeyDataAes, 256, xmlsec.constants.KeyDataTypeSession)
    context.encrypt_xml(template(place, encryption()), assertion)
    return root


@pytest.mark.parametrize("detached", [False, True], ids=["inline", "detached"])
@pytest.mark.parametrize("content", GCM + CBC)
def test_every_content_algorithm(content, detached):
    message = response(sign="both", encryption=encryption(content=content, detached=detached))
    assert verify(message, EXPECTS, now=NOW).name_id == "jane.doe"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_way_to_send_the_key(transport):
    message = response(encryption=encryption(**TRANSPORTS[transport]))
    assert verify(message, EXPECTS, now=NOW).name_id == "jane.doe"


@pytest.mark.parametrize("wanted", ["any", "assertion", "response", "both"])
@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_signatures_count_inside_and_outside(sign, wanted):
    message = response(sign=sign, encryption=encryption())
    expected = expectation(keys=(sp_key("sp"),), signed=wanted)
    if wanted in ("any", sign) or sign == "both":
        assert verify(message, expected, now=NOW).name_id == "jane.doe"
        return
    with pytest.raises(SamlRefusal) as caught:
        verify(message, expected, now=NOW)
    assert caught.value.check == "signature_missing"


@pytest.mark.parametrize("keys", [("sp", "sp-old"), ("sp-old", "sp")])
def test_during_a_rollover_either_key_opens(keys):
    expected = expectation(keys=tuple(sp_key(name) for name in keys))
    assert verify(response(encryption=encryption("sp-old")), expected, now=NOW).name_id == "jane.doe"


def test_without_a_key_the_operator_is_told():
    with pytest.raises(SamlRefusal) as caught:
        verify(response(encryption=encryption()), expectation(), now=NOW)
    assert caught.value.check == "decryption_key"
    assert "no SAML key" in caught.value.reason


@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_plaintext_that_leans_on_the_namespaces_around_it(sign):
    """libxmlsec encrypts a node without the declarations above it."""
    root = encrypted_in_place(response(sign="none" if sign == "response" else "assertion"))
    if sign != "assertion":
        sign_element(root, key("idp"))
    assert verify(posted(root), EXPECTS, now=NOW).name_id == "jane.doe"


@pytest.mark.parametrize("sign", ["assertion", "response"])
def test_types_named_by_prefixes_that_only_the_response_declares(sign):
    """The response's signature does not cover a declaration that no element uses."""
    text = base64.b64decode(response(sign="none"))
    declared = b' xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    assert declared in text
    root = etree.fromstring(text.replace(declared, b"").replace(b"<samlp:Response", b"<samlp:Response" + declared, 1))
    if sign == "assertion":
        sign_element(root[-1], key("idp"))
    root = encrypted_in_place(posted(root))
    if sign == "response":
        sign_element(root, key("idp"))
    assert b"xsi:type" in base64.b64decode(response())
    assert verify(posted(root), EXPECTS, now=NOW).attributes[0].values == ("jane.doe@acme.com",)


@pytest.mark.parametrize("name", ["okta", "entra", "adfs", "shibboleth", "keycloak", "simplesamlphp"])
def test_the_shapes_of_real_idps_encrypted(name):
    root = root_of(shape(name))
    for signature in root.iterchildren(tag("ds:Signature")):
        root.remove(signature)
    encrypt_assertion(root, encryption(detached=name == "okta"))
    sign_element(root, key("idp"))
    assert verify(posted(root), EXPECTS, now=NOW) == verify(shape(name), EXPECTS, now=NOW)


def test_what_python3_saml_signs_and_libxmlsec_encrypts():
    unsigned = root_of(response(sign="none"))
    (assertion,) = unsigned.iterchildren(tag("saml:Assertion"))
    signed = OneLogin_Saml2_Utils.add_sign(
        etree.tostring(assertion).decode(),
        key("idp").private_pem.decode(),
        key("idp").certificate_pem,
        sign_algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        digest_algorithm="http://www.w3.org/2001/04/xmlenc#sha256",
    )
    unsigned.replace(assertion, etree.fromstring(signed))
    assert verify(posted(unsigned), EXPECTS, now=NOW).name_id == "jane.doe"
    assert verify(posted(encrypted_in_place(posted(unsigned))), EXPECTS, now=NOW).name_id == "jane.doe"


@pytest.mark.parametrize("detached", [False, True], ids=["inline", "detached"])
def test_python3_saml_reads_what_our_idp_encrypts(detached):
    """So that the messages of these tests are not merely what our own code likes."""
    settings = OneLogin_Saml2_Settings(
        {
            "strict": True,
            "sp": {
                "entityId": ENTITY_ID,
                "assertionConsumerService": {"url": ACS},
                "privateKey": sp_key("sp").private_pem.decode(),
                "x509cert": sp_key("sp").certificate_pem,
            },
            "idp": {
                "entityId": ISSUER,
                "singleSignOnService": {"url": "https://idp.example.com/sso"},
                "x509cert": key("idp").certificate_base64,
            },
        }
    )
    message = response(now=datetime.now(UTC), sign="both", encryption=encryption(detached=detached))
    theirs = OneLogin_Saml2_Response(settings, message)
    request = {"https": "on", "http_host": "learn.example.com", "script_name": "/_bridge/saml/acme/acs"}
    assert theirs.is_valid({**request, "get_data": {}, "post_data": {}}, request_id=REQUEST_ID), theirs.get_error()
    assert theirs.get_nameid() == "jane.doe"


CONTENT, KEY = "xenc:EncryptedData/xenc:CipherData/*", ".//xenc:EncryptedKey//xenc:CipherValue"
SPOILT = [(KEY, 5), (CONTENT, 40), (CONTENT, -1), (CONTENT, -17)]
NO_XML = [b"<a>", b"<a/></plaintext><b/>", b"<a>\xff</a>", b"<a:b/>", b"<!DOCTYPE a>", b"\0"]


@pytest.mark.parametrize("content", ["aes256-gcm", "aes128-cbc"])
def test_every_failure_to_decrypt_is_one_and_the_same(content):
    """Whoever can tell them apart by our answer can ask us, bit by bit, for what is inside (Bleichenbacher, Manger)."""
    good = encryption(content=content)
    for_another = root_of(response(encryption=encryption("sp-old", content=content)))
    attempts = [for_another, *(root_of(response(encryption=good)) for _ in (*SPOILT, *NO_XML))]
    for root, (path, at) in zip(attempts[1:], SPOILT, strict=False):
        (value,) = root[-1].xpath(path, namespaces=PREFIXES)
        data = bytearray(base64.b64decode(value.text))
        data[at] ^= 0x55
        value.text = base64.b64encode(data).decode()
    for root, plaintext in zip(attempts[1 + len(SPOILT) :], NO_XML, strict=True):
        root.replace(root[-1], encrypted(plaintext, good))
    refusals = set()
    for root in attempts:
        sign_element(root, key("idp"))
        with pytest.raises(SamlRefusal) as caught:
            verify(posted(root), EXPECTS, now=NOW)
        refusals.add((caught.value.code, caught.value.check, caught.value.reason))
    assert [check for _, check, _ in refusals] == ["decryption"]
