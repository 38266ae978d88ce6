"""The key pairs that sign the identity header, and their public halves as a JWK set (RFC 7517)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

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
from bridge.store import keys as stored_keys
from bridge.store.engine import Store
from bridge.store.sealing import Seal

PURPOSE = "stamp"
COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`kid` is the key's thumbprint (RFC 7638), so it can be recomputed from the public half."""

    kid: str
    private: EllipticCurvePrivateKey

    @property
    def jwk(self) -> dict[str, str]:
        """The public half, with what a verifier needs to choose it."""
        return _coordinates(self.private) | {"kid": self.kid, "use": "sig", "alg": "ES256"}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The newest key signs; all are published, so that what an older one signed still verifies."""

    keys: tuple[SigningKey, ...]

    @property
    def signer(self) -> SigningKey:
        return self.keys[0]

    @property
    def jwks(self) -> bytes:
        """The JWK set as it is served; equal keys give equal bytes."""
        return json.dumps({"keys": [key.jwk for key in self.keys]}, separators=(",", ":")).encode()


async def load_key_ring(store: Store, seal: Seal) -> KeyRing:
    """The deployment's keys; the first is made here. Raises `StateError` where the secrets do not open them."""
    fresh = _generate()
    found = await store.write(lambda connection: stored_keys.first_of_purpose(connection, seal, PURPOSE, fresh))
    return KeyRing(tuple(SigningKey(key.id, _parse(key.private_pem)) for key in found))


def _generate() -> tuple[str, bytes]:
    private = generate_private_key(SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _thumbprint(private), pem


def _parse(pem: bytes) -> EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise StateError("a header-signing key in the state is not an elliptic-curve key")
    return key


def _thumbprint(private: EllipticCurvePrivateKey) -> str:
    canonical = json.dumps(_coordinates(private), separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _coordinates(private: EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = private.public_key().public_numbers()
    x, y = (_base64url(number.to_bytes(COORDINATE_BYTES, "big")) for number in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
