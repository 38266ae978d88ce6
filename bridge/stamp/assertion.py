"""The signed identity: an ES256 JWT (RFC 7519) for whoever must not trust the network."""

from __future__ import annotations

from collections.abc import Callable

import jwt

from bridge.stamp.identity import Access, Learner
from bridge.stamp.keys import KeyRing, SigningKey

LIFETIME_SECONDS = 60
LEEWAY_SECONDS = 30
"""How much later the documented verification still accepts an assertion (the contract, section 5)."""
MAX_BYTES = 2047
TYPE = "kombo-identity+jwt"
DISPENSABLE = ("name", "email")


class Signer:
    """Signs with the key of the ring that is in force at the time; `issuer` is the public URL."""

    def __init__(self, ring: Callable[[], KeyRing], *, issuer: str, audience: str) -> None:
        self._ring = ring
        self._issuer = issuer
        self._audience = audience

    def sign(self, learner: Learner | None, access: Access | None, now: int) -> str:
        """The token, under 2 KiB: the name, then the address, are left out where it would be longer."""
        claims = self._claims(learner, access, now)
        key = self._ring().signer
        token = _encode(claims, key)
        for claim in DISPENSABLE:
            if len(token) <= MAX_BYTES:
                break
            claims.pop(claim, None)
            token = _encode(claims, key)
        return token

    def _claims(self, learner: Learner | None, access: Access | None, now: int) -> dict[str, object]:
        claims: dict[str, object | None] = {
            "iss": self._issuer,
            "aud": self._audience,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
        }
        if learner:
            claims |= {
                "sub": learner.sub,
                "tenant": learner.tenant,
                "integration_id": learner.integration_id,
                "kombo_user": learner.user_id,
                "remote_id": learner.remote_id,
                "email": learner.email,
                "name": learner.name,
                "match": learner.match,
                "auth_time": learner.auth_time,
            }
        if access:
            claims |= {
                "course": access.course,
                "enrollment": access.enrollment,
                "progression": access.progression,
                "gate": access.gate,
            }
        return {name: value for name, value in claims.items() if value not in (None, "")}


def _encode(claims: dict[str, object], key: SigningKey) -> str:
    return jwt.encode(claims, key.private, algorithm="ES256", headers={"kid": key.kid, "typ": TYPE})
