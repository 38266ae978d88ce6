"""Whether the IdP signed an element, and the very bytes that it signed.

What is read later is not the tree that was verified but a fresh parse of the canonical bytes whose digest the IdP
signed: nothing outside of the signature can get in, and nothing can be seen differently by verifier and reader.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from bridge.saml.document import children, reparse, tag, text
from bridge.saml.fingerprints import claimed
from bridge.saml.profile import Profile, check_signature_algorithm
from bridge.saml.refusals import quoted, rejected

# libxmlsec reads files and URLs that a Reference names before it looks at the key. The profile refuses such references;
# without input callbacks it could not follow one either.
xmlsec.cleanup_callbacks()

_TRANSFORMS = (xmlsec.constants.TransformEnveloped, xmlsec.constants.TransformExclC14N)
_DIGESTS = {
    "sha256": xmlsec.constants.TransformSha256,
    "sha384": xmlsec.constants.TransformSha384,
    "sha512": xmlsec.constants.TransformSha512,
    "sha1": xmlsec.constants.TransformSha1,
}
_SIGNATURES: dict[str, Any] = {
    transform.href: transform
    for transform in (
        xmlsec.constants.TransformRsaSha1,
        xmlsec.constants.TransformRsaSha256,
        xmlsec.constants.TransformRsaSha384,
        xmlsec.constants.TransformRsaSha512,
        xmlsec.constants.TransformEcdsaSha256,
        xmlsec.constants.TransformEcdsaSha384,
        xmlsec.constants.TransformEcdsaSha512,
    )
}

DEFAULT_NAMESPACE = "#default"
"""How a PrefixList names the default namespace (exclusive canonicalization, 3)."""
# lxml hands on no prefix of a PrefixList that it has not read in some document; this one is nobody's prefix.
_MENTION = f'<x xmlns:x="{DEFAULT_NAMESPACE}"/>'.encode()


def verified(signed: etree._Element, profile: Profile, certificates: tuple[str, ...]) -> etree._Element:
    """The element as one of the certificates' keys signed it, without its signature; raises `SamlRefusal`.

    `profile` is what `read_profile` found. The returned tree is a document of its own. Certificates are PEM texts; one
    that stands inside the message is never used.
    """
    name = etree.QName(signed).localname
    content = _canonical(signed, profile)
    if not hmac.compare_digest(hashlib.new(profile.digest_name, content).digest(), profile.digest):
        raise rejected("digest", f"the {name} was changed after it was signed")
    if not any(_signed_by(pem, signed, profile) for pem in certificates):
        issuer, shown = quoted(text(signed.find(tag("saml:Issuer")))), claimed(signed)
        raise rejected(
            "signature",
            f"no signing certificate of the configured IdP fits the {name}'s signature; it claims to come from"
            f" {issuer}{_by_its_own_word(shown)}: is the IdP's metadata up to date?",
            *shown,
        )
    return reparse(content)


def _by_its_own_word(shown: tuple[str, ...]) -> str:
    return f", signed by the certificate with the SHA-256 fingerprint {shown[0]}" if shown else ""


def check_octets(
    octets: bytes, algorithm: str, signature: bytes, certificates: tuple[str, ...], *, accept_sha1: bool
) -> None:
    """A detached signature over the octets of a query (SAML bindings 3.4.4.1); raises `SamlRefusal`."""
    check_signature_algorithm(algorithm, accept_sha1=accept_sha1)
    if not any(_octets_signed_by(pem, octets, _SIGNATURES[algorithm], signature) for pem in certificates):
        raise rejected(
            "signature",
            "no signing certificate of the configured IdP fits the query's signature: is the IdP's metadata up to"
            " date?",
        )


def _octets_signed_by(pem: str, octets: bytes, transform: Any, signature: bytes) -> bool:
    context = xmlsec.SignatureContext()
    context.key = _key(pem)
    try:
        context.verify_binary(octets, transform, signature)
    except xmlsec.Error:
        return False
    return True


def _canonical(signed: etree._Element, profile: Profile) -> bytes:
    """What the two transforms of the profile leave of the element: no signature, exclusive canonical form.

    It is serialised and parsed first because lxml canonicalizes only a whole document with the namespaces around it.
    """
    alone = reparse(etree.tostring(signed, encoding="utf-8", with_tail=False))
    if DEFAULT_NAMESPACE in profile.prefixes:
        reparse(_MENTION)
    for signature in list(children(alone, "ds:Signature")):
        _cut(signature)
    try:
        return etree.tostring(
            alone, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=list(profile.prefixes)
        )
    except etree.C14NError:
        raise rejected("canonicalization", "the signed element has no canonical form (a relative namespace?)") from None


def _cut(element: etree._Element) -> None:
    """Takes an element out and leaves the text that follows it where it was."""
    parent, previous, tail = element.getparent(), element.getprevious(), element.tail or ""
    if parent is None:
        return
    parent.remove(element)
    if previous is None:
        parent.text = (parent.text or "") + tail
    else:
        previous.tail = (previous.tail or "") + tail


def _signed_by(pem: str, signed: etree._Element, profile: Profile) -> bool:
    context = xmlsec.SignatureContext()
    for transform in (*_TRANSFORMS, _DIGESTS[profile.digest_name]):
        context.enable_reference_transform(transform)
    context.key = _key(pem)
    try:
        context.register_id(signed, "ID")
    except xmlsec.Error:
        raise rejected("id_duplicate", "another element has the ID of the signed one") from None
    try:
        context.verify(next(children(signed, "ds:Signature")))
    except xmlsec.Error:
        return False
    return True


@lru_cache(maxsize=1024)
def _key(pem: str) -> xmlsec.Key:
    public = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return xmlsec.Key.from_memory(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), xmlsec.constants.KeyDataFormatPem
    )
