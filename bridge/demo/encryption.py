"""How an IdP encrypts an assertion for a service provider (SAML core 6), for the demo IdP and for tests.

libxmlsec does the work here, as it does in many IdPs, while the bridge decrypts without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from bridge.saml.document import ASSERTION, DSIG, XENC, XENC11, children, tag

Content = Literal["aes128-gcm", "aes192-gcm", "aes256-gcm", "aes128-cbc", "aes192-cbc", "aes256-cbc", "tripledes-cbc"]

_CONTENT = {
    "aes128-gcm": (xmlsec.constants.TransformAes128Gcm, xmlsec.constants.KeyDataAes, 128),
    "aes192-gcm": (xmlsec.constants.TransformAes192Gcm, xmlsec.constants.KeyDataAes, 192),
    "aes256-gcm": (xmlsec.constants.TransformAes256Gcm, xmlsec.constants.KeyDataAes, 256),
    "aes128-cbc": (xmlsec.constants.TransformAes128Cbc, xmlsec.constants.KeyDataAes, 128),
    "aes192-cbc": (xmlsec.constants.TransformAes192Cbc, xmlsec.constants.KeyDataAes, 192),
    "aes256-cbc": (xmlsec.constants.TransformAes256Cbc, xmlsec.constants.KeyDataAes, 256),
    "tripledes-cbc": (xmlsec.constants.TransformDes3Cbc, xmlsec.constants.KeyDataDes, 192),
}


@dataclass(frozen=True, slots=True)
class Encryption:
    """For whom, and how. `transport`, `digest` and `mgf` are algorithms' URIs; without one it is the default's.

    `detached` puts the key beside the data, with a reference to it there, as Okta does.
    """

    certificate_pem: str
    content: Content = "aes256-gcm"
    detached: bool = False
    transport: str = f"{XENC}rsa-oaep-mgf1p"
    digest: str | None = None
    mgf: str | None = None


def encrypt_assertion(response: etree._Element, encryption: Encryption) -> None:
    """Puts an EncryptedAssertion in the place of the response's assertion, which has its signature already."""
    assertion = next(children(response, "saml:Assertion"))
    response.replace(assertion, encrypted(etree.tostring(assertion, with_tail=False), encryption))


def encrypted(plaintext: bytes, encryption: Encryption) -> etree._Element:
    """An EncryptedAssertion that holds any bytes."""
    _, kind, bits = _CONTENT[encryption.content]
    place = etree.Element(tag("saml:EncryptedAssertion"), nsmap={"saml": ASSERTION})
    place.append(data := template(place, encryption))
    context = xmlsec.EncryptionContext(recipient(encryption.certificate_pem))
    context.key = xmlsec.Key.generate(kind, bits, xmlsec.constants.KeyDataTypeSession)
    place.append(context.encrypt_binary(data, plaintext))
    if encryption.detached:
        _detach(place)
    return place


def template(parent: etree._Element, encryption: Encryption) -> etree._Element:
    """An EncryptedData that xmlsec fills in; it has to stand in some document."""
    method, _, _ = _CONTENT[encryption.content]
    data: etree._Element = xmlsec.template.encrypted_data_create(parent, method, type=f"{XENC}Element", ns="xenc")
    xmlsec.template.encrypted_data_ensure_cipher_value(data)
    info = xmlsec.template.encrypted_data_ensure_key_info(data, ns="ds")
    key = xmlsec.template.add_encrypted_key(info, xmlsec.constants.TransformRsaOaep)
    xmlsec.template.encrypted_data_ensure_cipher_value(key)
    transport = key[0]
    transport.set("Algorithm", encryption.transport)
    if encryption.digest:
        etree.SubElement(transport, tag("ds:DigestMethod"), Algorithm=encryption.digest)
    if encryption.mgf:
        etree.SubElement(transport, f"{{{XENC11}}}MGF", nsmap={"xenc11": XENC11}, Algorithm=encryption.mgf)
    return data


def _detach(place: etree._Element) -> None:
    key = next(place.iter(tag("xenc:EncryptedKey")))
    info = key.getparent()
    assert info is not None
    place.append(key)
    key.set("Id", "_key")
    pointer = etree.SubElement(info, f"{{{DSIG}}}RetrievalMethod")
    pointer.set("Type", f"{XENC}EncryptedKey")
    pointer.set("URI", "#_key")


@lru_cache(maxsize=64)
def recipient(certificate_pem: str) -> xmlsec.KeysManager:
    """Making one reads every root certificate of the system, which takes longer than all the rest."""
    public = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem))
    return manager
