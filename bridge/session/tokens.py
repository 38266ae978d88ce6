"""Signed values: each purpose has a salt of its own, so that none can stand for another.

itsdangerous signs with the last key of a list and accepts all; our settings put the signing secret first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

from itsdangerous import BadData, BadSignature, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

T = TypeVar("T")

MAX_TOKEN = 8192


class Tokens:
    """Makes and reads signed values of one purpose; what they carry is readable by anybody."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        options: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        keys, salt = list(reversed(secrets)), f"kombo-bridge {purpose}"
        self._signer = TimestampSigner(keys, salt=salt, **options)
        self._serializer = URLSafeTimedSerializer(keys, salt=f"{salt} object", signer_kwargs=options)

    def sign(self, value: str) -> str:
        return self._signer.sign(value).decode("ascii")

    def unsign(self, token: str, max_age: int | None = None) -> str | None:
        """The value, or None where the signature is not ours or older than `max_age` seconds."""
        if not _spelt_once(token):
            return None
        try:
            return self._signer.unsign(token, max_age=max_age).decode("ascii")
        except (BadSignature, UnicodeDecodeError):
            return None

    def dump(self, content: dict[str, Any]) -> str:
        return str(self._serializer.dumps(content))

    def load(self, token: str, max_age: int) -> dict[str, Any] | None:
        """The object, or None where the signature is not ours or older than `max_age` seconds."""
        if not _spelt_once(token):
            return None
        try:
            content = self._serializer.loads(token, max_age=max_age)
        except BadSignature:
            return None
        return content if isinstance(content, dict) else None

    def read(self, kind: type[T], token: str | None, max_age: int) -> T | None:
        """The object as a `kind` with these fields; None also where there is none, or another version wrote it."""
        content = self.load(token, max_age) if token else None
        try:
            return kind(**content) if content else None
        except TypeError:
            return None


def _spelt_once(token: str) -> bool:
    """Whether the signature, the part behind the last dot, is spelt as we spell it.

    Base64 decoders pass over what is no base64 and over the last bits, so that one token would have many spellings:
    each would be another key of a cache, and another value to whoever compares them.
    """
    if len(token) > MAX_TOKEN or not token.isascii():
        return False
    signature = token.rpartition(".")[2].encode("ascii")
    try:
        return base64_encode(base64_decode(signature)) == signature
    except BadData:
        return False
