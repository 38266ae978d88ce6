"""The one signature profile that is allowed, checked before libxmlsec looks at a signature.

XML signatures can name transforms that compute (XSLT, XPath), references to files, and algorithms that anyone can
forge. SAML needs none of that (SAML core 5.4): one reference to the enclosing element, the enveloped-signature
transform, exclusive canonicalization, RSA or ECDSA with SHA-2; or RSA with SHA-1, where a tenant opts in for an IdP
that can do no better.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass

from lxml import etree

from bridge.saml.document import DSIG, EXC_C14N, XENC, XMLDSIG_MORE, children, tag
from bridge.saml.refusals import quoted, rejected

ENVELOPED = f"{DSIG}enveloped-signature"

SIGNATURE_ALGORITHMS = frozenset(
    f"{XMLDSIG_MORE}{key}-sha{bits}" for key in ("rsa", "ecdsa") for bits in (256, 384, 512)
)
RSA_SHA1 = f"{DSIG}rsa-sha1"
SHA1 = f"{DSIG}sha1"
DIGESTS = {f"{XENC}sha256": "sha256", f"{XMLDSIG_MORE}sha384": "sha384", f"{XENC}sha512": "sha512", SHA1: "sha1"}
KEY_INFO = {tag("ds:KeyName"), tag("ds:KeyValue"), tag("ds:X509Data")}
"""What a KeyInfo may hold: names of keys, which are ignored, and nothing that leads elsewhere."""

# libxmlsec takes what a reference names for an XPointer, or writes it into one. No schema says of metadata that its IDs
# are names: one could be an expression that takes forever, before any key is looked at.
_ID = re.compile(r"[\w.:-]+")

MAX_PREFIXES = 16
MAX_PREFIX_LIST = 256

_CORE = [tag("ds:SignedInfo"), tag("ds:SignatureValue")]
_PARTS = (_CORE, [*_CORE, tag("ds:KeyInfo")])
_SIGNED_INFO = [tag("ds:CanonicalizationMethod"), tag("ds:SignatureMethod"), tag("ds:Reference")]
_REFERENCE = [tag("ds:Transforms"), tag("ds:DigestMethod"), tag("ds:DigestValue")]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a signature says about the bytes it covers: how they are canonicalized, and their digest.

    `prefixes` is the InclusiveNamespaces PrefixList of exclusive canonicalization, `digest_name` a name for `hashlib`.
    """

    prefixes: tuple[str, ...]
    digest_name: str
    digest: bytes


def read_profile(signed: etree._Element, *, accept_sha1: bool = False) -> Profile | None:
    """The profile of an element's own signature, None where it has no signature; raises `SamlRefusal`.

    `accept_sha1` is a tenant's opt-in for an IdP that signs with nothing better: chosen-prefix collisions of SHA-1 are
    within reach of the rich, so it is never the default.
    """
    signature = signed.find(tag("ds:Signature"))
    if signature is None:
        return None
    if [child.tag for child in signature] not in _PARTS:
        raise rejected("signature_content", "a signature has other parts than SignedInfo, SignatureValue and KeyInfo")
    signed_info = signature[0]
    if sum(1 for _ in children(signed_info, "ds:Reference")) != 1:
        raise rejected("reference_count", "a signature must have exactly one Reference")
    if [child.tag for child in signed_info] != _SIGNED_INFO:
        raise rejected("signature_content", "a SignedInfo has parts that it must not have")
    _check_key_info(signature)
    canonicalization, method, reference = signed_info
    _canonicalization(canonicalization, "canonicalization")
    check_signature_algorithm(method.get("Algorithm", ""), accept_sha1=accept_sha1)
    _check_no_parameters(method, "signature_algorithm")
    return _read_reference(reference, signed.get("ID", ""), accept_sha1)


def _read_reference(reference: etree._Element, signed_id: str, accept_sha1: bool) -> Profile:
    if set(reference.attrib) - {"Id"} != {"URI"} or reference.get("URI") != f"#{signed_id}":
        raise rejected(
            "reference_uri",
            f"a signature refers to {quoted(reference.get('URI'))}, not to the element around it",
        )
    if not _ID.fullmatch(signed_id):
        raise rejected("reference_uri", f"the signed element's ID is {quoted(signed_id)}, which is no XML name")
    if [child.tag for child in reference] != _REFERENCE:
        raise rejected("signature_content", "a Reference has parts that it must not have")
    transforms, method, value = reference
    prefixes = _read_transforms(transforms)
    _check_algorithm(method.get("Algorithm", ""), DIGESTS.keys(), "digest_algorithm", accept_sha1)
    _check_no_parameters(method, "digest_algorithm")
    try:
        digest = base64.b64decode("".join((value.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise rejected("digest", "a DigestValue is not base64") from None
    return Profile(prefixes, DIGESTS[method.get("Algorithm", "")], digest)


def _read_transforms(transforms: etree._Element) -> tuple[str, ...]:
    found = list(transforms)
    algorithms = [transform.get("Algorithm") for transform in found]
    if (
        algorithms != [ENVELOPED, EXC_C14N]
        or any(transform.tag != tag("ds:Transform") for transform in found)
        or len(found[0]) > 0
    ):
        shown = ", ".join(map(quoted, algorithms[:4]))
        raise rejected(
            "transforms",
            f"a signature uses the transforms {shown}; allowed are enveloped-signature and then exclusive"
            " canonicalization without comments",
        )
    return _canonicalization(found[1], "transforms")


def _canonicalization(method: etree._Element, check: str) -> tuple[str, ...]:
    """The PrefixList of an exclusive canonicalization; bounded, because each prefix costs time at each element."""
    if method.get("Algorithm") != EXC_C14N:
        raise rejected(check, f"a signature is canonicalized by {quoted(method.get('Algorithm'))}, not by {EXC_C14N}")
    if len(method) == 0:
        return ()
    listed = method[0].get("PrefixList", "")
    prefixes = tuple(listed.split())
    if len(method) > 1 or method[0].tag != tag("ec:InclusiveNamespaces") or len(method[0]) > 0:
        raise rejected(check, "a canonicalization has other parameters than InclusiveNamespaces")
    if len(listed) > MAX_PREFIX_LIST or len(prefixes) > MAX_PREFIXES:
        raise rejected("inclusive_namespaces", f"an InclusiveNamespaces lists more than {MAX_PREFIXES} prefixes")
    return prefixes


def check_signature_algorithm(algorithm: str, *, accept_sha1: bool) -> None:
    """The algorithm of a signature, in a message or beside it; raises `SamlRefusal`."""
    _check_algorithm(algorithm, SIGNATURE_ALGORITHMS | {RSA_SHA1}, "signature_algorithm", accept_sha1)


def _check_algorithm(algorithm: str, allowed: Collection[str], check: str, accept_sha1: bool) -> None:
    if algorithm.endswith("sha1") and not (accept_sha1 and algorithm in allowed):
        raise rejected("sha1", f"a signature uses SHA-1 ({quoted(algorithm)}): set the IdP to sign with SHA-256")
    if algorithm not in allowed:
        raise rejected(
            check, f"a signature uses {quoted(algorithm)}; allowed are RSA and ECDSA with SHA-256, -384, -512"
        )


def _check_no_parameters(method: etree._Element, check: str) -> None:
    if len(method) > 0:
        raise rejected(check, "an algorithm of a signature has parameters, which none of the allowed ones has")


def _check_key_info(signature: etree._Element) -> None:
    """A key is never taken from the message; what could send libxmlsec looking for one is refused all the same."""
    for key_info in children(signature, "ds:KeyInfo"):
        if not {child.tag for child in key_info} <= KEY_INFO:
            raise rejected("key_info", "a KeyInfo has other parts than KeyName, KeyValue and X509Data")
