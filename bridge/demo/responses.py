"""An IdP's side of SAML: key, metadata, and signed responses, for the demo IdP and for tests.

Nothing here takes part in judging a response.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from lxml import etree

from bridge.demo.encryption import Encryption, encrypt_assertion
from bridge.saml.document import ASSERTION, DSIG, METADATA, PROTOCOL, XSI, parse, tag, text
from bridge.saml.sending import add, instant_text, new_id
from bridge.saml.signing import certificate_base64, sign_element

MAX_REQUEST = 64 * 1024

UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
BASIC = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_XS = "http://www.w3.org/2001/XMLSchema"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Sign = Literal["assertion", "response", "both", "none"]


@dataclass(frozen=True, slots=True)
class IdpKey:
    """A signing key and its self-signed certificate, both PEM."""

    private_pem: bytes
    certificate_pem: str

    @classmethod
    def generate(cls, name: str = "Demo IdP", *, curve: ec.EllipticCurve | None = None) -> IdpKey:
        """RSA-2048, or EC on the given curve."""
        key: PrivateKey = (
            ec.generate_private_key(curve) if curve else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        today = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(today - timedelta(days=1))
            .not_valid_after(today + timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(private, certificate.public_bytes(Encoding.PEM).decode())

    @classmethod
    def from_pem(cls, private_pem: bytes, certificate_pem: str) -> IdpKey:
        """Raises `ValueError` where the two do not belong together."""
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        public = load_pem_private_key(private_pem, None).public_key().public_bytes(*form)
        if public != x509.load_pem_x509_certificate(certificate_pem.encode()).public_key().public_bytes(*form):
            raise ValueError("the certificate is not the key's")
        return cls(private_pem, certificate_pem)

    @property
    def certificate_base64(self) -> str:
        """As it stands in an X509Certificate element."""
        return certificate_base64(self.certificate_pem)


def idp_metadata(entity_id: str, key: IdpKey, sso_url: str) -> bytes:
    """Metadata of an IdP with one address for HTTP-Redirect."""
    root = etree.Element(tag("md:EntityDescriptor"), nsmap={"md": METADATA, "ds": DSIG}, entityID=entity_id)
    role = add(root, "md:IDPSSODescriptor", protocolSupportEnumeration=PROTOCOL, WantAuthnRequestsSigned="false")
    data = add(add(add(role, "md:KeyDescriptor", use="signing"), "ds:KeyInfo"), "ds:X509Data")
    add(data, "ds:X509Certificate", key.certificate_base64)
    add(role, "md:NameIDFormat", UNSPECIFIED)
    binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
    add(role, "md:SingleSignOnService", Binding=binding, Location=sso_url)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def signed_response(
    key: IdpKey,
    *,
    issuer: str,
    acs: str,
    audience: str,
    in_response_to: str | None,
    name_id: str | None,
    name_id_format: str = UNSPECIFIED,
    attributes: Mapping[str, str | Sequence[str]] | None = None,
    attribute_format: str = BASIC,
    now: datetime,
    lifetime: timedelta = timedelta(minutes=5),
    sign: Sign = "assertion",
    encryption: Encryption | None = None,
) -> str:
    """A base64 SAMLResponse, as an IdP posts it to the ACS; an assertion is signed before it is encrypted."""
    response = unsigned_response(
        issuer=issuer,
        acs=acs,
        audience=audience,
        in_response_to=in_response_to,
        name_id=name_id,
        name_id_format=name_id_format,
        attributes=attributes or {},
        attribute_format=attribute_format,
        now=now,
        lifetime=lifetime,
    )
    if sign in ("assertion", "both"):
        sign_element(response[-1], key)
    if encryption:
        encrypt_assertion(response, encryption)
    if sign in ("response", "both"):
        sign_element(response, key)
    return base64.b64encode(etree.tostring(response)).decode()


def unsigned_response(
    *,
    issuer: str,
    acs: str,
    audience: str,
    in_response_to: str | None,
    name_id: str | None,
    name_id_format: str,
    attributes: Mapping[str, str | Sequence[str]],
    attribute_format: str,
    now: datetime,
    lifetime: timedelta,
) -> etree._Element:
    """The tree of a successful response with one bearer assertion (SAML profiles 4.1.4.2)."""
    instant, end = instant_text(now), instant_text(now + lifetime)
    answered = {"InResponseTo": in_response_to} if in_response_to else {}
    response = etree.Element(
        tag("samlp:Response"),
        nsmap={"samlp": PROTOCOL, "saml": ASSERTION},
        attrib={"ID": new_id(), "Version": "2.0", "IssueInstant": instant, "Destination": acs, **answered},
    )
    add(response, "saml:Issuer", issuer)
    add(add(response, "samlp:Status"), "samlp:StatusCode", Value=_SUCCESS)
    assertion = add(response, "saml:Assertion", ID=new_id(), Version="2.0", IssueInstant=instant)
    add(assertion, "saml:Issuer", issuer)
    subject = add(assertion, "saml:Subject")
    if name_id is not None:
        add(subject, "saml:NameID", name_id, Format=name_id_format)
    confirmation = add(subject, "saml:SubjectConfirmation", Method="urn:oasis:names:tc:SAML:2.0:cm:bearer")
    add(confirmation, "saml:SubjectConfirmationData", Recipient=acs, NotOnOrAfter=end, **answered)
    begin = instant_text(now - timedelta(seconds=30))
    conditions = add(assertion, "saml:Conditions", NotBefore=begin, NotOnOrAfter=end)
    add(add(conditions, "saml:AudienceRestriction"), "saml:Audience", audience)
    statement = add(assertion, "saml:AuthnStatement", AuthnInstant=instant, SessionIndex=new_id())
    context = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    add(add(statement, "saml:AuthnContext"), "saml:AuthnContextClassRef", context)
    if attributes:
        _add_attributes(assertion, attributes, attribute_format)
    return response


def read_authn_request(saml_request: str) -> tuple[str, str, str]:
    """ID, Issuer and AssertionConsumerServiceURL of an AuthnRequest that came by HTTP-Redirect; raises `ValueError`.

    `saml_request` is the decoded query parameter. It is DEFLATE data (SAML bindings 3.4.4.1), which can grow a
    thousandfold, so inflating stops at 64 KiB.
    """
    inflater = zlib.decompressobj(wbits=-15)
    try:
        data = inflater.decompress(base64.b64decode(saml_request, validate=True), MAX_REQUEST)
    except zlib.error:
        raise ValueError("the SAMLRequest is not DEFLATE data") from None
    if not inflater.eof:
        raise ValueError(f"the SAMLRequest is larger than {MAX_REQUEST} bytes, or cut off")
    request = parse(data, max_bytes=MAX_REQUEST, max_elements=100)
    if request.tag != tag("samlp:AuthnRequest"):
        raise ValueError("the SAMLRequest is no AuthnRequest")
    found = (
        request.get("ID", ""),
        text(request.find(tag("saml:Issuer"))),
        request.get("AssertionConsumerServiceURL", ""),
    )
    if not all(found):
        raise ValueError("the AuthnRequest lacks ID, Issuer or AssertionConsumerServiceURL")
    return found


def _add_attributes(
    assertion: etree._Element, attributes: Mapping[str, str | Sequence[str]], attribute_format: str
) -> None:
    statement = etree.SubElement(assertion, tag("saml:AttributeStatement"), nsmap={"xs": _XS, "xsi": XSI})
    for name, values in attributes.items():
        attribute = add(statement, "saml:Attribute", Name=name, NameFormat=attribute_format)
        for value in (values,) if isinstance(values, str) else values:
            add(attribute, "saml:AttributeValue", value).set(tag("xsi:type"), "xs:string")
