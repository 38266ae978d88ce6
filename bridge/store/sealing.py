"""What must not be read at rest: encrypted under the deployment's `secrets`, so that the database alone gives nothing
away. Each purpose has keys of its own: what was sealed for one opens for no other.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.errors import StateError


class Seal:
    """Encrypts with the first secret, opens with any: secrets are rotated by putting a new one in front."""

    def __init__(self, secrets: Sequence[str], purpose: str = "sealed keys") -> None:
        each = [Fernet(_derive(secret, purpose)) for secret in secrets]
        self._first, self._fernet = each[0], MultiFernet(each)

    def close(self, content: bytes) -> str:
        return self._fernet.encrypt(content).decode("ascii")

    def open(self, sealed: str) -> bytes:
        """The content. Raises `StateError` where none of the secrets fits."""
        try:
            return self._fernet.decrypt(sealed.encode("ascii"))
        except InvalidToken as error:
            raise StateError(
                "a key in the state was sealed under another secret; put the former secret back at the end of `secrets`"
            ) from error

    def opens(self, sealed: str) -> bool:
        """Whether one of the secrets fits."""
        return _fits(self._fernet, sealed)

    def is_newest(self, sealed: str) -> bool:
        """Whether the first secret fits, so that the others are not needed for it."""
        return _fits(self._first, sealed)


def _fits(fernet: Fernet | MultiFernet, sealed: str) -> bool:
    try:
        fernet.decrypt(sealed.encode("ascii"))
    except InvalidToken:
        return False
    return True


def _derive(secret: str, purpose: str) -> bytes:
    info = f"kombo-bridge {purpose}".encode()
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.encode())
    return base64.urlsafe_b64encode(key)
