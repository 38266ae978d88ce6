"""Whether the IdP signed an element, and the very bytes that it signed.

What is read later is not the tree that was verified but a fresh parse of the canonical bytes whose digest the IdP
signed: nothing outside of the signature can get in, and nothing can be seen differently by verifier and reader.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from bridge.saml.document import children, parse, tag, text
from bridge.saml.guard import MAX_BASE64, MAX_ELEMENTS
from bridge.saml.profile import Profile
from bridge.saml.refusals import quoted, rejected

# libxmlsec reads files and URLs that a Reference names before it looks at the key. The profile refuses such references;
# without input callbacks it could not follow one either.
xmlsec.cleanup_callbacks()

_REFERENCE_TRANSFORMS = (
    xmlsec.constants.TransformEnveloped,
    xmlsec.constants.TransformExclC14N,
    xmlsec.constants.TransformSha256,
    xmlsec.constants.TransformSha384,
    xmlsec.constants.TransformSha512,
)


def verified(signed: etree._Element, profile: Profile, certificates: tuple[str, ...]) -> etree._Element:
    """The element as one of the certificates' keys signed it, without its signature; raises `SamlRefusal`.

    `profile` is what `read_profile` found. The returned tree is a document of its own. Certificates are PEM texts; one
    that stands inside the message is never used.
    """
    name = etree.QName(signed).localname
    content = _canonical(signed, profile)
    if not hmac.compare_digest(hashlib.new(profile.digest_name, content).digest(), profile.digest):
        raise rejected("digest", f"the {name} was changed after it was signed")
    if not any(_signed_by(pem, signed) for pem in certificates):
        issuer = quoted(text(signed.find(tag("saml:Issuer"))))
        raise rejected(
            "signature",
            f"no signing certificate of the configured IdP fits the {name}'s signature; it claims to come from"
            f" {issuer}: is the IdP's metadata up to date?",
        )
    return _reparsed(content)


def _reparsed(data: bytes) -> etree._Element:
    """Our own writing, read again; it may be longer than what came in, since it repeats namespaces."""
    return parse(data, max_bytes=16 * MAX_BASE64, max_elements=MAX_ELEMENTS)


def _canonical(signed: etree._Element, profile: Profile) -> bytes:
    """What the two transforms of the profile leave of the element: no signature, exclusive canonical form.

    It is serialised and parsed first because lxml canonicalizes only a whole document with the namespaces around it.
    """
    alone = _reparsed(etree.tostring(signed, with_tail=False))
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


def _signed_by(pem: str, signed: etree._Element) -> bool:
    context = xmlsec.SignatureContext()
    for transform in _REFERENCE_TRANSFORMS:
        context.enable_reference_transform(transform)
    context.key = _key(pem)
    context.register_id(signed, "ID")
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
