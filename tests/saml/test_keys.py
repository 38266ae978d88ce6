"""SP keys, read with other means than they were made with."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bridge.saml.keys import certificate_end, new_key
from bridge.saml.metadata import MIN_RSA_BITS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = new_key("Ünal & Söhne <learn.example.com> " + "x" * 80, NOW)


def test_the_certificate_is_the_keys_own_and_signed_by_it() -> None:
    certificate = x509.load_pem_x509_certificate(KEY.certificate_pem.encode())
    public = load_pem_private_key(KEY.private_pem, None).public_key()
    assert isinstance(public, RSAPublicKey)
    assert public.key_size >= MIN_RSA_BITS
    assert certificate.public_key() == public
    certificate.verify_directly_issued_by(certificate)


def test_it_holds_for_years_and_for_idps_whose_clock_is_behind() -> None:
    certificate = x509.load_pem_x509_certificate(KEY.certificate_pem.encode())
    assert certificate.not_valid_before_utc <= NOW - timedelta(hours=1)
    assert certificate_end(KEY.certificate_pem) == certificate.not_valid_after_utc
    assert timedelta(days=365 * 5) < certificate_end(KEY.certificate_pem) - NOW < timedelta(days=365 * 20)


def test_openssl_reads_both(tmp_path: Path) -> None:
    for name, content in (("key", KEY.private_pem), ("certificate", KEY.certificate_pem.encode())):
        (tmp_path / name).write_bytes(content)
    for command in (["rsa", "-check", "-noout", "-in", "key"], ["verify", "-CAfile", "certificate", "certificate"]):
        subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)


def test_the_private_half_is_shown_by_no_accident() -> None:
    assert "PRIVATE" not in repr(KEY)
    assert new_key("x", NOW).id != KEY.id
