from __future__ import annotations

import base64
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from bridge.demo.responses import idp_metadata
from bridge.errors import MetadataError
from bridge.saml.document import METADATA, tag
from bridge.saml.metadata import read_idp_metadata, read_signing_certificate
from bridge.saml.signing import sign_element

from .parts import key

CASES = yaml.safe_load((Path(__file__).parent / "metadata.yaml").read_text())


@cache
def pem(name: str) -> str:
    """A self-signed certificate by the name that the cases use."""
    match name:
        case "weak":
            private: Any = rsa.generate_private_key(65537, 1024)  # the test needs a weak one
        case "k256":
            private = ec.generate_private_key(ec.SECP256K1())
        case "ed25519":
            private = ed25519.Ed25519PrivateKey.generate()
        case "ec":
            private = ec.generate_private_key(ec.SECP384R1())
        case _:
            private = rsa.generate_private_key(65537, 2048)
    year = 2001 if name == "expired" else 2025
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, private.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(year, 1, 1))
        .not_valid_after(datetime(year + 10, 1, 1))
        .sign(private, None if name == "ed25519" else hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def of_no_version() -> str:
    """A certificate of X.509 version 6, which nobody has written yet."""
    der = base64.b64decode("".join(pem("ec").splitlines()[1:-1]))
    version = bytes.fromhex("a003020102")
    assert version in der
    return base64.b64encode(der.replace(version, bytes.fromhex("a003020105"), 1)).decode()


def of_no_year() -> str:
    """A certificate that ends in the year 0, which ASN.1 can write and a `datetime` cannot hold."""
    der = base64.b64decode("".join(pem("rsa").splitlines()[1:-1]))
    before, after = b"\x17\x0d250101000000Z", b"\x17\x0d350101000000Z"
    assert before + after in der
    at = der.index(before)
    changed = bytearray(der.replace(before + after, before + b"\x18\x0f00000101000000Z"))
    changed[at - 1] += 2  # the validity, and what holds it: the body and the certificate
    for length in (2, 6):
        assert changed[length - 1] == 0x82
        changed[length : length + 2] = (int.from_bytes(changed[length : length + 2]) + 2).to_bytes(2)
    return base64.b64encode(changed).decode()


def document(case: dict[str, Any]) -> bytes:
    text = case.get("xml", CASES["base"])
    for old, new in case.get("replace", []):
        assert old in text, old
        if isinstance(new, list):
            new = new[0] * new[1] + "".join(new[2:])
        text = text.replace(old, new)
    for name in ("rsa", "ec", "weak", "k256", "ed25519", "expired"):
        if f"{{{{{name}}}}}" in text:
            text = text.replace(f"{{{{{name}}}}}", "".join(pem(name).splitlines()[1:-1]))
    if "{{version}}" in text:
        text = text.replace("{{version}}", of_no_version())
    if "{{year}}" in text:
        text = text.replace("{{year}}", of_no_year())
    return (case.get("prepend", "") + text).encode()


@pytest.mark.parametrize("case", CASES["good"], ids=lambda case: case["name"])
def test_good_metadata_is_read(case):
    found = read_idp_metadata(document(case))
    provider = found.provider
    assert provider.entity_id == case.get("entity_id", "https://idp.example.com/metadata")
    assert provider.certificates == tuple(pem(name) for name in case.get("certificates", ["rsa"]))
    assert provider.sso_redirect == case.get("redirect", "https://idp.example.com/sso")
    assert provider.sso_post == case.get("post", "https://idp.example.com/sso/post")
    logout = [[end.binding, end.url, *([end.response_url] if end.response_url else [])] for end in provider.logout]
    assert logout == case.get("logout", [])
    assert provider.wants_signed_requests == case.get("wants_signed_requests", False)
    assert found.valid_until == (datetime.fromisoformat(case["until"]) if "until" in case else None)
    assert found.cache_duration == (timedelta(seconds=case["keep"]) if "keep" in case else None)


@pytest.mark.parametrize("case", CASES["bad"], ids=lambda case: case["name"])
def test_bad_metadata_says_what_is_wrong(case):
    with pytest.raises(MetadataError) as caught:
        read_idp_metadata(document(case))
    assert case["error"] in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_more_than_eight_certificates_are_too_many():
    descriptor = (
        '<md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>'
        "{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )
    more = "".join(descriptor.format(key(f"ec-{number}").certificate_base64) for number in range(8))
    with pytest.raises(MetadataError, match="more than 8"):
        read_idp_metadata(document({"replace": [["</md:KeyDescriptor>", "</md:KeyDescriptor>" + more]]}))


def test_the_demo_idps_metadata_is_good():
    document = idp_metadata("http://localhost:8001/", key("idp"), "http://localhost:8001/sso")
    provider = read_idp_metadata(document).provider
    assert provider.entity_id == "http://localhost:8001/"
    assert provider.certificates == (key("idp").certificate_pem,)
    assert provider.sso_redirect == "http://localhost:8001/sso"
    assert provider.sso_post is None


def signed_document(case: dict[str, Any]) -> bytes:
    """The base with an ID and a signature where the case wants them, and then changed."""
    text = document({"replace": [["<md:EntityDescriptor ", '<md:EntityDescriptor ID="_entity" ']]}).decode()
    head, _, entity = text.partition("?>")
    if case["sign"] in ("aggregate", "both") or case.get("aggregate"):
        entity = f'<md:EntitiesDescriptor xmlns:md="{METADATA}" ID="_aggregate">{entity}</md:EntitiesDescriptor>'
    root = etree.fromstring(entity)
    signer = key(case.get("by", "idp"))
    if case["sign"] in ("entity", "both"):
        sign_element(root if root.get("ID") == "_entity" else root[0], signer)
    if case["sign"] in ("aggregate", "both"):
        sign_element(root, key(case.get("outer", "idp")))
    if case.get("wrap"):
        evil = etree.fromstring(entity.replace("https://idp.example.com/metadata", "https://idp.evil.test/"))
        evil.set("ID", "_evil")
        etree.SubElement(evil, tag("md:Extensions")).append(root)
        for role in root.findall(tag("md:IDPSSODescriptor")):
            root.remove(role)
        root = evil
    signed = etree.tostring(root).decode()
    if "named" in case:
        signed = signed.replace(signer.certificate_base64, key(case["named"]).certificate_base64)
    for old, new in case.get("change", []):
        assert old in signed, old
        signed = signed.replace(old, new, 1)
    return f"{head}?>{signed}".encode()


@pytest.mark.parametrize("case", CASES["signed"], ids=lambda case: case["name"])
def test_signed_metadata_counts_only_as_it_was_signed(case):
    data, certificate = signed_document(case), key("idp").certificate_pem
    if "error" not in case:
        found = read_idp_metadata(data, certificate=certificate)
        assert found.provider.entity_id == "https://idp.example.com/metadata"
        assert found.valid_until is None
        return
    with pytest.raises(MetadataError) as caught:
        read_idp_metadata(data, certificate=certificate)
    assert case["error"] in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate in PEM"),
        (pem("rsa") + pem("ec"), "2 certificates"),
        (pem("weak"), "1024 bits"),
        (pem("ed25519"), "neither RSA nor EC"),
        (of_no_version(), "no certificate in PEM"),
        (f"-----BEGIN CERTIFICATE-----\n{of_no_version()}\n-----END CERTIFICATE-----\n", "no certificate in PEM"),
    ],
)
def test_a_pinned_certificate_is_one_and_strong(text, error):
    with pytest.raises(MetadataError, match=error):
        read_signing_certificate(text.encode())


def test_a_pinned_certificate_may_have_expired_and_stand_among_remarks():
    assert read_signing_certificate(b"subject=CN = idp\n" + pem("expired").encode()) == pem("expired")
