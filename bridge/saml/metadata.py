"""An IdP's metadata to an `IdentityProvider` (SAML metadata 2.0, sections 2.3 and 2.4)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from bridge.errors import MetadataError, SamlRefusal
from bridge.hosts import is_loopback
from bridge.saml.document import PROTOCOL, DocumentError, children, parse, tag
from bridge.saml.model import Binding, Endpoint, IdentityProvider
from bridge.saml.profile import read_profile
from bridge.saml.refusals import quoted
from bridge.saml.rules import instant
from bridge.saml.signature import verified

HTTP_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
HTTP_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"

MAX_BYTES = 2 * 1024 * 1024
MAX_ELEMENTS = 50_000
MAX_CERTIFICATES = 8
MAX_ENTITY_ID = 1024
MAX_URL = 2048
MIN_RSA_BITS = 2048
MAX_DURATION = timedelta(days=3650)

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_BINDINGS: dict[str, Binding] = {HTTP_REDIRECT: "redirect", HTTP_POST: "post"}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_DURATION = re.compile(
    r"P(?=[\dT])(?:(\d{1,5})Y)?(?:(\d{1,5})M)?(?:(\d{1,6})D)?"
    r"(?:T(?=\d)(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,10}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_SECONDS = (365 * 86400, 30 * 86400, 86400, 3600, 60, 1)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a document says of the IdP, and of itself: until when it may be believed, how long it may be kept.

    Where an entity, what holds it and its role say different things, the shortest counts (SAML metadata 2.3.1, 2.3.2,
    2.4.1).
    """

    provider: IdentityProvider
    valid_until: datetime | None = None
    cache_duration: timedelta | None = None


def read_idp_metadata(data: bytes, *, certificate: str | None = None) -> Metadata:
    """The one IdP that the metadata describes; raises `MetadataError`.

    With a `certificate` (PEM) the whole document, or the entity in it, must be signed by that certificate's key, under
    the one profile that responses have, and nothing but the signed bytes is read. Without it a signature is not judged:
    whoever gives us the document vouches for it. Certificates count for their keys only, so one that has expired is
    accepted (as in the SAML metadata interoperability profile, 2.6.1). Whether `valid_until` is over is the caller's to
    judge, who has a clock.
    """
    if _PAGE.match(data[:1000]):
        raise MetadataError("it is a web page, perhaps one to sign in at: give the file or the address of the XML")
    try:
        root = parse(data, max_bytes=MAX_BYTES, max_elements=MAX_ELEMENTS)
        if certificate is not None:
            root = _signed_part(root, certificate)
    except DocumentError as error:
        raise MetadataError(f"the IdP's metadata cannot be read: {error}") from None
    descriptor = _idp_descriptor(root)
    entity_id = _entity_id(descriptor)
    certificates = _certificates(descriptor)
    redirect = _single_sign_on(descriptor, HTTP_REDIRECT)
    post = _single_sign_on(descriptor, HTTP_POST)
    if not (redirect or post):
        raise MetadataError("the IdP's metadata offers no SingleSignOnService by HTTP-Redirect or HTTP-POST")
    provider = IdentityProvider(
        entity_id,
        certificates,
        redirect,
        post,
        logout=tuple(_logout(descriptor)),
        wants_signed_requests=_boolean(descriptor, "WantAuthnRequestsSigned"),
    )
    around = [descriptor, *descriptor.iterancestors()]
    ends = [end for element in around if (end := _instant(element, "validUntil"))]
    durations = [length for element in around if (length := _duration(element, "cacheDuration")) is not None]
    return Metadata(provider, min(ends, default=None), min(durations, default=None))


def read_signing_certificate(data: bytes) -> str:
    """The one certificate of a PEM file that metadata is to be signed by, as PEM; raises `MetadataError`."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except (ValueError, x509.InvalidVersion):
        raise MetadataError("it is no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----") from None
    if len(found) != 1:
        raise MetadataError(f"it holds {len(found)} certificates: leave the one in it that signs the metadata")
    return _usable(found[0], "the certificate")


def _signed_part(root: etree._Element, certificate: str) -> etree._Element:
    """The signed bytes, read anew: the whole document, or else the entity that describes the IdP."""
    refusal: SamlRefusal | None = None
    for element in (root, _idp_descriptor(root).getparent()):
        try:
            if element is not None and element.get("ID") and (profile := read_profile(element)):
                return verified(element, profile, (certificate,))
        except SamlRefusal as error:
            refusal = refusal or error
    if refusal is None:
        raise MetadataError("the IdP's metadata is not signed, though saml.metadata_certificate says that it must be")
    if refusal.check == "signature":
        raise MetadataError("the IdP's metadata is not signed by the key of saml.metadata_certificate")
    raise MetadataError(f"the signature of the IdP's metadata cannot be accepted: {refusal.reason}")


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
    which = "a signing certificate in the IdP's metadata"
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError, x509.InvalidVersion):
        raise MetadataError(f"{which} is not base64 of an X.509 certificate") from None
    return _usable(certificate, which)


def _usable(certificate: x509.Certificate, which: str) -> str:
    """The PEM text of a certificate whose key is strong enough; raises `MetadataError`."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise MetadataError(f"{which} is not base64 of an X.509 certificate with a key that is known here") from None
    try:
        _ = certificate.not_valid_after_utc  # which everybody who watches certificates asks for
    except ValueError:
        raise MetadataError(f"{which} ends at a time that is none, in the year 0") from None
    match key:
        case rsa.RSAPublicKey():
            if key.key_size < MIN_RSA_BITS:
                raise MetadataError(
                    f"{which} has an RSA key of {key.key_size} bits; at least {MIN_RSA_BITS} are needed"
                )
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in _CURVES:
                raise MetadataError(f"{which} is on a curve other than P-256, P-384, P-521")
        case _:
            raise MetadataError(f"{which} has a key that is neither RSA nor EC")
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _single_sign_on(descriptor: etree._Element, binding: str) -> str | None:
    for service in children(descriptor, "md:SingleSignOnService"):
        if service.get("Binding") == binding:
            where = f"the SingleSignOnService for {binding.rpartition(':')[2]} in the IdP's metadata"
            return _checked_url(service.get("Location", "").strip(), where)
    return None


def _logout(descriptor: etree._Element) -> Iterator[Endpoint]:
    """The first endpoint of each binding, by HTTP-Redirect first.

    One that cannot be used counts as none: logins, and the keys that they hang on, must not wait for it to be mended.
    """
    services = list(children(descriptor, "md:SingleLogoutService"))
    for uri, binding in _BINDINGS.items():
        service = next((service for service in services if service.get("Binding") == uri), None)
        if service is None:
            continue
        answers = service.get("ResponseLocation", "").strip()
        try:
            location = _checked_url(service.get("Location", "").strip(), "")
            yield Endpoint(binding, location, _checked_url(answers, "") if answers else None)
        except MetadataError:
            continue


def _checked_url(url: str, where: str) -> str:
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


def _boolean(element: etree._Element, name: str) -> bool:
    value = element.get(name, "false").strip()
    if value not in _BOOLEANS:
        raise MetadataError(f"{name} in the IdP's metadata is {quoted(value)}, neither true nor false")
    return _BOOLEANS[value]


def _instant(element: etree._Element, name: str) -> datetime | None:
    try:
        return instant(element, name)
    except SamlRefusal as error:
        raise MetadataError(f"the IdP's metadata cannot be used: its {error.reason}") from None


def _duration(element: etree._Element, name: str) -> timedelta | None:
    """An `xs:duration`; a month has 30 days, a year 365, and more than ten years are ten."""
    value = element.get(name)
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip())
    if not match:
        raise MetadataError(f"{name} in the IdP's metadata is {quoted(value)}, not a duration such as PT6H or P1D")
    seconds = sum(float(part or 0) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True))
    return min(timedelta(seconds=min(seconds, MAX_DURATION.total_seconds())), MAX_DURATION)
