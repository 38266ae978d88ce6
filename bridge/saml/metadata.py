"""An IdP's metadata to an `IdentityProvider` (SAML metadata 2.0, sections 2.3 and 2.4)."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from bridge.errors import MetadataError
from bridge.hosts import is_loopback
from bridge.saml.document import PROTOCOL, DocumentError, children, parse, tag
from bridge.saml.model import IdentityProvider

HTTP_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
HTTP_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"

MAX_BYTES = 2 * 1024 * 1024
MAX_ELEMENTS = 50_000
MAX_CERTIFICATES = 8
MAX_ENTITY_ID = 1024
MAX_URL = 2048
MIN_RSA_BITS = 2048

_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def read_idp_metadata(data: bytes) -> IdentityProvider:
    """The one IdP that the metadata describes; raises `MetadataError`.

    A signature on the metadata is not judged: whoever gives us the file vouches for it. Certificates count for their
    keys only, so one that has expired is accepted (as in the SAML metadata interoperability profile, 2.6.1).
    """
    try:
        root = parse(data, max_bytes=MAX_BYTES, max_elements=MAX_ELEMENTS)
    except DocumentError as error:
        raise MetadataError(f"the IdP's metadata cannot be read: {error}") from None
    descriptor = _idp_descriptor(root)
    entity_id = _entity_id(descriptor)
    certificates = _certificates(descriptor)
    redirect = _single_sign_on(descriptor, HTTP_REDIRECT)
    post = _single_sign_on(descriptor, HTTP_POST)
    if not (redirect or post):
        raise MetadataError("the IdP's metadata offers no SingleSignOnService by HTTP-Redirect or HTTP-POST")
    return IdentityProvider(entity_id, certificates, redirect, post)


def _idp_descriptor(root: etree._Element) -> etree._Element:
    if root.tag not in (tag("md:EntityDescriptor"), tag("md:EntitiesDescriptor")):
        raise MetadataError("this is not SAML metadata: the root is no EntityDescriptor of SAML 2.0")
    found = [
        descriptor
        for descriptor in root.iter(tag("md:IDPSSODescriptor"))
        if PROTOCOL in descriptor.get("protocolSupportEnumeration", "").split()
    ]
    if len(found) != 1:
        hint = "is it the metadata of a service provider?" if not found else "keep only this tenant's"
        raise MetadataError(f"the metadata must describe exactly one SAML 2.0 IdP, not {len(found)}: {hint}")
    return found[0]


def _entity_id(descriptor: etree._Element) -> str:
    entity = descriptor.getparent()
    if entity is None or entity.tag != tag("md:EntityDescriptor"):
        raise MetadataError("the IdP's metadata has an IDPSSODescriptor outside of an EntityDescriptor")
    entity_id = entity.get("entityID", "")
    if not entity_id or entity_id != entity_id.strip() or not entity_id.isprintable():
        raise MetadataError(
            "the entityID in the IdP's metadata is empty, or has blanks around it or control characters"
        )
    if len(entity_id) > MAX_ENTITY_ID:
        raise MetadataError(f"the entityID in the IdP's metadata is longer than {MAX_ENTITY_ID} characters")
    return entity_id


def _certificates(descriptor: etree._Element) -> tuple[str, ...]:
    certificates: dict[str, None] = {}
    for key in children(descriptor, "md:KeyDescriptor"):
        if key.get("use", "signing") != "signing":
            continue
        found = {_certificate(element.text or "") for element in key.iter(tag("ds:X509Certificate"))}
        if len(found) > 1:
            raise MetadataError(
                "one KeyDescriptor of the IdP's metadata has several certificates, so that it is open which of them"
                " signs: leave the signing certificate alone in it"
            )
        certificates.update(dict.fromkeys(found))
    if not certificates:
        raise MetadataError("the IdP's metadata has no certificate for signing")
    if len(certificates) > MAX_CERTIFICATES:
        raise MetadataError(f"the IdP's metadata has more than {MAX_CERTIFICATES} certificates for signing")
    return tuple(certificates)


def _certificate(text: str) -> str:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
        key = certificate.public_key()
    except (binascii.Error, ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise MetadataError(
            "a signing certificate in the IdP's metadata is not base64 of an X.509 certificate"
        ) from None
    match key:
        case rsa.RSAPublicKey():
            if key.key_size < MIN_RSA_BITS:
                raise MetadataError(
                    f"a signing certificate in the IdP's metadata has an RSA key of {key.key_size} bits;"
                    f" at least {MIN_RSA_BITS} are needed"
                )
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in _CURVES:
                raise MetadataError(
                    "a signing certificate in the IdP's metadata is on a curve other than P-256, P-384, P-521"
                )
        case _:
            raise MetadataError("a signing certificate in the IdP's metadata has a key that is neither RSA nor EC")
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _single_sign_on(descriptor: etree._Element, binding: str) -> str | None:
    for service in children(descriptor, "md:SingleSignOnService"):
        if service.get("Binding") == binding:
            return _checked_url(service.get("Location", "").strip(), binding.rpartition(":")[2])
    return None


def _checked_url(url: str, binding: str) -> str:
    where = f"the SingleSignOnService for {binding} in the IdP's metadata"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise MetadataError(f"{where} is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or len(url) > MAX_URL:
        raise MetadataError(f"{where} is not an http(s) URL of at most {MAX_URL} characters")
    if (
        parts.username is not None
        or parts.fragment
        or any(not "!" <= char <= "~" or char in '"<>\\^`{|}' for char in url)
    ):
        raise MetadataError(f"{where} has a user name, a fragment, or a character that no URL may have")
    if parts.scheme == "http" and not is_loopback(host):
        raise MetadataError(f"{where} is plain http; logins need https (http is allowed on loopback only)")
    return url
