"""The bearer token of the internal listener (RFC 6750), `internal_token` in bridge.yaml."""

from __future__ import annotations

import hmac

from bridge.exchange import Head

CHALLENGE = ("WWW-Authenticate", "Bearer")
"""What a 401 says beside its status (RFC 6750, 3)."""


def bearer(head: Head) -> bytes | None:
    """What a request carries as its bearer token; None without, or with two."""
    scheme, _, given = (head.get(b"authorization") or b"").partition(b" ")
    return given.strip(b" ") if scheme.lower() == b"bearer" else None


def is_token(given: bytes, token: str) -> bool:
    """Compared in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given, token.encode())
