"""The bridge's own metadata towards one tenant (SAML metadata 2.4.4)."""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from bridge.saml.document import DSIG, METADATA, PROTOCOL, tag
from bridge.saml.metadata import HTTP_POST, HTTP_REDIRECT
from bridge.saml.model import ServiceProvider, SpKey
from bridge.saml.request import UNSPECIFIED
from bridge.saml.sending import add
from bridge.saml.signing import certificate_base64

ENCRYPTION_METHODS = (
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
)
"""What IdPs are asked to encrypt with. Without this list many choose CBC, which is read only in a signed response."""


def sp_metadata(party: ServiceProvider, keys: Sequence[SpKey] = (), *, requests_signed: bool = False) -> bytes:
    """What the tenant's IdP is configured from: where to answer, and the certificates of all our keys, in order.

    It names no end of validity: nothing in it changes by itself, and an IdP that stops trusting it would lock learners
    out. Single logout is offered where there is a key, since it counts only when it is signed.
    """
    root = etree.Element(tag("md:EntityDescriptor"), {"entityID": party.entity_id}, nsmap={"md": METADATA, "ds": DSIG})
    role = add(
        root,
        "md:SPSSODescriptor",
        AuthnRequestsSigned="true" if requests_signed else "false",
        WantAssertionsSigned="true",
        protocolSupportEnumeration=PROTOCOL,
    )
    for use, methods in (("signing", ()), ("encryption", ENCRYPTION_METHODS)):
        for key in keys:
            _add_key(role, key, use, methods)
    if party.slo and keys:
        for binding in (HTTP_REDIRECT, HTTP_POST):
            add(role, "md:SingleLogoutService", Binding=binding, Location=party.slo)
    add(role, "md:NameIDFormat", UNSPECIFIED)
    _add_consumers(role, party)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _add_key(role: etree._Element, key: SpKey, use: str, methods: Sequence[str]) -> None:
    descriptor = add(role, "md:KeyDescriptor", use=use)
    data = add(add(descriptor, "ds:KeyInfo"), "ds:X509Data")
    add(data, "ds:X509Certificate", certificate_base64(key.certificate_pem))
    for method in methods:
        add(descriptor, "md:EncryptionMethod", Algorithm=method)


def _add_consumers(role: etree._Element, party: ServiceProvider) -> None:
    """The address that requests name is the default, for an IdP that answers without having been asked."""
    addresses = dict.fromkeys((party.requested_acs, party.acs))
    for index, address in enumerate(addresses, start=1):
        service = add(role, "md:AssertionConsumerService", Binding=HTTP_POST, Location=address, index=str(index))
        if index == 1 and len(addresses) > 1:
            service.set("isDefault", "true")
