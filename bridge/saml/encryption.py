"""Encrypted assertions (SAML core 6): the one profile of XML Encryption that is allowed, and opening what keeps to it.

XML Encryption can name files and addresses to read, keys to fetch, and algorithms that leak what they hide. So the
whole of an EncryptedAssertion is checked against a short list before anything is computed, and decrypted here rather
than by libxmlsec, which would follow what it names.

Whoever knows our certificate can encrypt: that something decrypts says nothing about who wrote it. Only a signature
does, the response's around the ciphertext or the assertion's inside of it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from bridge.saml.document import DSIG, XENC, XENC11, XMLDSIG_MORE, XS, XSI, parse, reparse, tag
from bridge.saml.guard import MAX_BASE64, MAX_ELEMENTS
from bridge.saml.model import SpKey
from bridge.saml.profile import KEY_INFO
from bridge.saml.refusals import quoted, rejected

GCM = {f"{XENC11}aes{bits}-gcm": bits // 8 for bits in (128, 192, 256)}
CBC = {f"{XENC}aes{bits}-cbc": bits // 8 for bits in (128, 192, 256)}
KEY_BYTES = GCM | CBC
"""Length of the content key by algorithm."""

OAEP_MGF1P = f"{XENC}rsa-oaep-mgf1p"
OAEP = f"{XENC11}rsa-oaep"
ELEMENT = f"{XENC}Element"
ENCRYPTED_KEY = f"{XENC}EncryptedKey"

_BLOCK = 16
_GCM_NONCE = 12

_DATA = tag("xenc:EncryptedData")
_KEY = tag("xenc:EncryptedKey")
_METHOD = tag("xenc:EncryptionMethod")
_CIPHER_DATA = tag("xenc:CipherData")
_INFO = tag("ds:KeyInfo")
_RETRIEVAL = tag("ds:RetrievalMethod")
_DIGEST = tag("ds:DigestMethod")
_MGF = tag("xenc11:MGF")
_KEY_PARTS = ([_METHOD, _CIPHER_DATA], [_METHOD, _INFO, _CIPHER_DATA])
_KEY_ENDS = {tag("xenc:ReferenceList"), tag("xenc:CarriedKeyName")}

_SHA1 = hashes.SHA1()  # noqa: S303 - in OAEP no collision of the hash matters, and most IdPs know no other
_OAEP_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    f"{DSIG}sha1": _SHA1,
    f"{XENC}sha256": hashes.SHA256(),
    f"{XMLDSIG_MORE}sha384": hashes.SHA384(),
    f"{XENC}sha512": hashes.SHA512(),
}
_MGF_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    f"{XENC11}mgf1sha1": _SHA1,
    f"{XENC11}mgf1sha256": hashes.SHA256(),
    f"{XENC11}mgf1sha384": hashes.SHA384(),
    f"{XENC11}mgf1sha512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted assertion that keeps to the profile; nothing has been computed yet."""

    algorithm: str
    content: bytes
    wrapped_key: bytes
    oaep_digest: hashes.HashAlgorithm
    mgf_digest: hashes.HashAlgorithm

    @property
    def authenticated(self) -> bool:
        """Whether a change of the ciphertext would be noticed without a signature around it."""
        return self.algorithm in GCM


def read_encryption(encrypted: etree._Element, *, response_signed: bool) -> Sealed:
    """What a `saml:EncryptedAssertion` says of itself; raises `SamlRefusal`.

    CBC hides but does not protect: whoever may change the ciphertext and watch our answers can read it (Jager and
    Somorovsky, 2011). So it is taken only inside of a signed response, which is verified before anything is decrypted.
    """
    parts = [child.tag for child in encrypted]
    if parts.count(_KEY) > 1:
        raise rejected("encrypted_key", "the assertion is encrypted for several keys; exactly one is expected")
    if parts not in ([_DATA], [_DATA, _KEY]):
        raise rejected("encryption_content", "an EncryptedAssertion has more in it than EncryptedData and EncryptedKey")
    data = encrypted[0]
    if data.get("Type", ELEMENT) != ELEMENT:
        raise rejected("encryption_content", f"the EncryptedData is {quoted(data.get('Type'))}, not an element")
    if [child.tag for child in data] != [_METHOD, _INFO, _CIPHER_DATA]:
        raise rejected("encryption_content", "an EncryptedData needs EncryptionMethod, KeyInfo, CipherData, no more")
    method, info, cipher_data = data
    algorithm = _content_algorithm(method, response_signed)
    key = _find_key(encrypted, info)
    key_method, key_cipher_data = _read_key(key, data)
    oaep_digest, mgf_digest = _read_oaep(key_method)
    return Sealed(algorithm, _cipher_value(cipher_data), _cipher_value(key_cipher_data), oaep_digest, mgf_digest)


def opened(sealed: Sealed, keys: Sequence[SpKey], around: Mapping[str | None, str]) -> etree._Element:
    """The assertion, as the root of a document of its own; raises `SamlRefusal`.

    `around` are the namespaces in scope where it stood: what some IdPs encrypt leans on them (XML Encryption 4.4).
    A key that does not fit, content that was changed, wrong padding and plaintext that is no XML are one refusal, and
    take one way through the code.
    """
    if not keys:
        raise rejected(
            "decryption_key",
            "the assertion is encrypted, and the bridge has no SAML key that could open it: give the IdP the metadata"
            " of this tenant once more, or switch encryption off at the IdP",
        )
    try:
        wrapper = parse(_wrapped(_decrypt(sealed, keys), around), max_bytes=MAX_BASE64, max_elements=MAX_ELEMENTS)
    except (ValueError, InvalidTag):
        raise rejected(
            "decryption",
            f"the assertion cannot be decrypted with any of the bridge's {len(keys)} keys for this tenant: does the IdP"
            " encrypt for the certificate that stands in our metadata now?",
        ) from None
    found = list(wrapper)
    texts = [wrapper.text, *(element.tail for element in found)]
    if [element.tag for element in found] != [tag("saml:Assertion")] or any(text and text.strip() for text in texts):
        raise rejected("plaintext", "what was encrypted is not exactly one saml:Assertion")
    return reparse(etree.tostring(found[0], encoding="utf-8", with_tail=False))


def typing_namespaces(element: etree._Element) -> dict[str | None, str]:
    """Prefixes of XML Schema's namespaces, which a signature covers only where an element or attribute uses them."""
    return {prefix: uri for prefix, uri in element.nsmap.items() if prefix and uri in (XS, XSI)}


def _content_algorithm(method: etree._Element, response_signed: bool) -> str:
    algorithm = method.get("Algorithm", "")
    if algorithm not in KEY_BYTES:
        raise rejected(
            "content_algorithm", f"the assertion is encrypted with {quoted(algorithm)}; allowed are AES-GCM and AES-CBC"
        )
    if len(method) > 0:
        raise rejected("content_algorithm", "the algorithm that encrypts the assertion has parameters")
    if algorithm in CBC and not response_signed:
        raise rejected(
            "cbc_unsigned",
            f"the assertion is encrypted with {quoted(algorithm)} in a response that is not signed: let the IdP sign"
            " the response too, or encrypt with AES-GCM",
        )
    return algorithm


def _find_key(encrypted: etree._Element, info: etree._Element) -> etree._Element:
    """The EncryptedKey: inside of the EncryptedData's KeyInfo, or beside it and named by a reference there (Okta)."""
    inside = [child for child in info if child.tag == _KEY]
    pointers = [child for child in info if child.tag == _RETRIEVAL]
    beside = [child for child in encrypted if child.tag == _KEY]
    if not {child.tag for child in info} - {_KEY, _RETRIEVAL} <= KEY_INFO:
        raise rejected("key_info", "the KeyInfo of the EncryptedData has parts that it must not have")
    if len(inside) + len(beside) != 1 or len(pointers) != len(beside):
        raise rejected("encrypted_key", "the assertion must be encrypted for exactly one EncryptedKey")
    for pointer in pointers:
        if len(pointer) > 0 or pointer.get("Type", ENCRYPTED_KEY) != ENCRYPTED_KEY:
            raise rejected("retrieval_method", "a RetrievalMethod leads to something else than an EncryptedKey")
        identifier = beside[0].get("Id")
        if not identifier or pointer.get("URI") != f"#{identifier}":
            raise rejected(
                "retrieval_method",
                f"a RetrievalMethod leads to {quoted(pointer.get('URI'))}, not to the EncryptedKey beside it",
            )
    return (inside or beside)[0]


def _read_key(key: etree._Element, data: etree._Element) -> tuple[etree._Element, etree._Element]:
    """EncryptionMethod and CipherData of an EncryptedKey without surprises."""
    ends = [child for child in key if child.tag in _KEY_ENDS]
    parts = [child.tag for child in key if child.tag not in _KEY_ENDS]
    if parts not in _KEY_PARTS or key.get("Type") is not None:
        raise rejected("encryption_content", "the EncryptedKey has parts that it must not have")
    for info in key.iterchildren(_INFO):
        if not {child.tag for child in info} <= KEY_INFO:
            raise rejected("key_info", "the KeyInfo of the EncryptedKey has parts that it must not have")
    own = f"#{data.get('Id')}"
    for reference in (child for end in ends for child in end):
        if reference.tag != tag("xenc:DataReference") or reference.get("URI") != own or len(reference) > 0:
            raise rejected("encryption_content", "the EncryptedKey is for something else than the assertion")
    return key[0], next(key.iterchildren(_CIPHER_DATA))


def _read_oaep(method: etree._Element) -> tuple[hashes.HashAlgorithm, hashes.HashAlgorithm]:
    """Digest and mask digest of RSA-OAEP (XML Encryption 1.1, 5.5.2); SHA-1 is the default of both."""
    algorithm = method.get("Algorithm", "")
    if algorithm not in (OAEP_MGF1P, OAEP):
        raise rejected("key_algorithm", f"the key is encrypted with {quoted(algorithm)}; allowed is RSA-OAEP")
    parts = [child.tag for child in method]
    allowed = {_DIGEST, _MGF} if algorithm == OAEP else {_DIGEST}
    if not set(parts) <= allowed or len(set(parts)) != len(parts) or any(len(child) > 0 for child in method):
        raise rejected("key_algorithm", "the RSA-OAEP of the EncryptedKey has parameters that it must not have")
    return _hash(method.find(_DIGEST), _OAEP_DIGESTS), _hash(method.find(_MGF), _MGF_DIGESTS)


def _hash(element: etree._Element | None, known: Mapping[str, hashes.HashAlgorithm]) -> hashes.HashAlgorithm:
    if element is None:
        return _SHA1
    found = known.get(element.get("Algorithm", ""))
    if found is None:
        raise rejected("key_algorithm", f"RSA-OAEP uses {quoted(element.get('Algorithm'))}; allowed is SHA-1 or -2")
    return found


def _cipher_value(cipher_data: etree._Element) -> bytes:
    if [child.tag for child in cipher_data] != [tag("xenc:CipherValue")] or len(cipher_data[0]) > 0:
        raise rejected("cipher_reference", "a CipherData has something else in it than one CipherValue")
    try:
        return base64.b64decode("".join((cipher_data[0].text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise rejected("cipher_value", "a CipherValue is not base64") from None


def _decrypt(sealed: Sealed, keys: Iterable[SpKey]) -> bytes:
    """The plaintext; raises `ValueError` or `InvalidTag`.

    Where no key of ours fits, a random content key goes the rest of the way: neither the answer nor the work done tells
    apart whether it was the key or the content that failed.
    """
    size = KEY_BYTES[sealed.algorithm]
    oaep = padding.OAEP(padding.MGF1(sealed.mgf_digest), sealed.oaep_digest, None)
    content_key = os.urandom(size)
    for key in keys:
        try:
            found = _private(key.private_pem).decrypt(sealed.wrapped_key, oaep)
        except ValueError:
            continue
        content_key = found if len(found) == size else content_key
    return _open_gcm(content_key, sealed.content) if sealed.authenticated else _open_cbc(content_key, sealed.content)


def _open_gcm(key: bytes, data: bytes) -> bytes:
    """XML Encryption 1.1, 5.2.4: the nonce first, the tag last."""
    return AESGCM(key).decrypt(data[:_GCM_NONCE], data[_GCM_NONCE:], None)


def _open_cbc(key: bytes, data: bytes) -> bytes:
    """XML Encryption 1.1, 5.2.2: the initialization vector first; the last byte counts those that were filled in."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(data[:_BLOCK])).decryptor()
    padded = decryptor.update(data[_BLOCK:]) + decryptor.finalize()
    if not padded or not 1 <= padded[-1] <= _BLOCK:
        raise ValueError("padding")
    return padded[: -padded[-1]]


def _wrapped(plaintext: bytes, around: Mapping[str | None, str]) -> bytes:
    """The plaintext in an element that declares the namespaces around it.

    Whatever it contains, it cannot leave that element: a document has one root.
    """
    declared: dict[Any, str] = dict(around)  # lxml-stubs know nothing of a default namespace
    opening = etree.tostring(etree.Element("plaintext", nsmap=declared))
    return opening.removesuffix(b"/>") + b">" + plaintext + b"</plaintext>"


@lru_cache(maxsize=1024)
def _private(pem: bytes) -> rsa.RSAPrivateKey:
    """Loaded once. Validating the numbers would take 75 ms; they come from our own sealed store."""
    key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("a SAML key of the bridge's is not an RSA key")
    return key
