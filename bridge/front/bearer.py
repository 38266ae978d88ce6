"""The bearer token of the internal listener (RFC 6750), `internal_token` in bridge.yaml."""

from __future__ import annotations

import hmac

from bridge.errors import Code, Refusal
from bridge.exchange import Head

CHALLENGE = ("WWW-Authenticate", "Bearer")
"""What a 401 says beside its status (RFC 6750, 3)."""


def authorize(head: Head, token: str) -> None:
    """Raises `Refusal` (401) unless the request carries the token, in its Authorization header, once."""
    scheme, _, given = (head.get(b"authorization") or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(b" "), token.encode()):
        reason = "send the internal_token of bridge.yaml as `Authorization: Bearer …`"
        raise Refusal(Code.LOGIN_REQUIRED, reason)
