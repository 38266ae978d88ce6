"""The key pairs that sign the identity header, and their public halves as a JWK set (RFC 7517)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bridge.errors import StateError

JWKS_SECONDS = 300
"""How long the published keys may be kept by whoever reads them (the contract, section 4)."""
COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`kid` is the key's thumbprint (RFC 7638), so it can be recomputed from the public half."""

    kid: str
    private: EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        private = generate_private_key(SECP256R1())
        return cls(_thumbprint(private), private)

    @classmethod
    def parse(cls, kid: str, pem: bytes) -> SigningKey:
        """A key of the state. Raises `StateError` where it is of another kind."""
        private = load_pem_private_key(pem, password=None)
        if not isinstance(private, EllipticCurvePrivateKey):
            raise StateError(f"the header-signing key {kid} in the state is not an elliptic-curve key")
        return cls(kid, private)

    @property
    def pem(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def jwk(self) -> dict[str, str]:
        """The public half, with what a verifier needs to choose it."""
        return _coordinates(self.private) | {"kid": self.kid, "use": "sig", "alg": "ES256"}


@dataclass(frozen=True)
class KeyRing:
    """The keys in force: the first signs, all are published."""

    keys: tuple[SigningKey, ...]

    @property
    def signer(self) -> SigningKey:
        return self.keys[0]

    @cached_property
    def jwks(self) -> bytes:
        """The JWK set as it is served; equal keys give equal bytes, whichever of them signs."""
        keys = sorted(self.keys, key=lambda key: key.kid)
        return json.dumps({"keys": [key.jwk for key in keys]}, separators=(",", ":")).encode()


def _thumbprint(private: EllipticCurvePrivateKey) -> str:
    canonical = json.dumps(_coordinates(private), separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _coordinates(private: EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = private.public_key().public_numbers()
    x, y = (_base64url(number.to_bytes(COORDINATE_BYTES, "big")) for number in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
