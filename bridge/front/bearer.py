"""The bearer token of the internal listener (RFC 6750), `internal_token` in bridge.yaml."""

from __future__ import annotations

import hmac

from bridge.errors import Code, Refusal
from bridge.exchange import Head

CHALLENGE = ("WWW-Authenticate", "Bearer")
"""What a 401 says beside its status (RFC 6750, 3)."""


def bearer(head: Head) -> bytes | None:
    """What a request carries as its bearer token; None without."""
    scheme, _, given = (head.get(b"authorization") or b"").partition(b" ")
    return given.strip(b" ") if scheme.lower() == b"bearer" else None


def is_token(given: bytes, token: str) -> bool:
    """Compared in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given, token.encode())


def authorize(head: Head, token: str) -> None:
    """Raises `Refusal` (401) unless the request carries the token, in its Authorization header, once."""
    given = bearer(head)
    if given is None or not is_token(given, token):
        reason = "send the internal_token of bridge.yaml as `Authorization: Bearer …`"
        raise Refusal(Code.LOGIN_REQUIRED, reason)
