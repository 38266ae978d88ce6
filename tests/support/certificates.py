"""Certificates that end when a test says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding


@cache
def _key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def certificate(end: datetime) -> str:
    """In PEM, self-signed, valid for the ten years before `end`."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    builder = x509.CertificateBuilder(name, name, _key().public_key(), x509.random_serial_number())
    valid = builder.not_valid_before(end - timedelta(days=3650)).not_valid_after(end)
    return valid.sign(_key(), SHA256()).public_bytes(Encoding.PEM).decode()
