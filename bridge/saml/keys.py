"""Keys of the bridge's as a SAML service provider.

RSA of 3072 bits, as XML Encryption's key transport needs RSA and a certificate made today outlives 2030, until which
NIST SP 800-131A lets 2048 bits stand. The self-signed certificate lasts ten years. It is a mere carrier of the key
(SAML metadata interoperability profile, 2.6.1), but some IdPs, ADFS among them, refuse one that has ended, and each new
one costs a visit to every customer's IdP: so keys are changed by rollover, when their owner wants it, and hardly ever
because a date has come.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from bridge.saml.model import SpKey

BITS = 3072
LIFETIME = timedelta(days=3653)
BACKDATED = timedelta(days=1)
MAX_COMMON_NAME = 64
ID_CHARACTERS = 32

# Okta asks for both of an encryption certificate; what the key does is sign requests and unwrap content keys.
_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=True,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def new_key(name: str, now: datetime) -> SpKey:
    """A new key, whose id is drawn from its public half; takes about 0.1 s.

    `name` is what the administrators of IdPs read as the certificate's common name, cut to the 64 bytes that
    X.509 allows. The certificate is valid from a day before `now`, for IdPs whose clock is behind.
    """
    private = generate_private_key(public_exponent=65537, key_size=BITS)
    public = private.public_key()
    common_name = name.encode()[:MAX_COMMON_NAME].decode(errors="ignore")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .sign(private, SHA256())
    )
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return SpKey(
        id=hashlib.sha256(spki).hexdigest()[:ID_CHARACTERS],
        private_pem=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate_pem=certificate.public_bytes(Encoding.PEM).decode("ascii"),
    )


@lru_cache(maxsize=20_000)
def certificate_end(pem: str) -> datetime:
    """When a certificate ends, in UTC."""
    return x509.load_pem_x509_certificate(pem.encode("ascii")).not_valid_after_utc
