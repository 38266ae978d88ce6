"""Certificates by their SHA-256 fingerprints, so that an operator can compare two without reading either.

What a message says of its own certificate is only ever shown, never trusted: whoever signs can put any in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

from bridge.saml.document import children

MOST = 3


def of_certificate(pem: str) -> str:
    """In hexadecimal, as `openssl x509 -fingerprint -sha256` shows it, without colons."""
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(SHA256()).hex()


def claimed(signed: etree._Element) -> tuple[str, ...]:
    """Of the certificates with which an element's own signature says that it was made; at most three."""
    found = (base64_of(certificate) for certificate in _certificates(signed))
    return tuple(hashlib.sha256(der).hexdigest() for der in found if der)[:MOST]


def base64_of(element: etree._Element) -> bytes | None:
    """What the element's text encodes; None where it is not base64."""
    try:
        return base64.b64decode("".join((element.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _certificates(signed: etree._Element) -> Iterator[etree._Element]:
    for signature in children(signed, "ds:Signature"):
        for info in children(signature, "ds:KeyInfo"):
            for data in children(info, "ds:X509Data"):
                yield from children(data, "ds:X509Certificate")
