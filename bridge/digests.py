"""What stands for a secret, or for several values together, where they themselves must not stand."""

from __future__ import annotations

import hashlib


def digest_of(*parts: str) -> str:
    """SHA-256, in hex, of the parts, none of which may hold a NUL but the last."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
