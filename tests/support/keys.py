"""Keys in memory, made once a test run: an RSA key takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from bridge.keys.custody import HeldKeys, make
from bridge.keys.rollover import HEADERS, SAML
from bridge.saml.keys import new_key
from bridge.saml.model import SpKey
from bridge.store.engine import now_ms
from bridge.store.keys import Kind, MadeKey, StoredKey


@cache
def made(purpose: str, number: int = 0, scope: str = "") -> MadeKey:
    """Equal arguments, the same key."""
    assert number >= 0
    return make(Kind(purpose, scope), "https://learn.example.com")


@cache
def sp_key(number: int = 0) -> SpKey:
    assert number >= 0
    return new_key("tests", datetime.now(UTC))


def stored(purpose: str, created_at: int, number: int = 0, scope: str = "") -> StoredKey:
    """A key as if it came from the state."""
    key = made(purpose, number, scope)
    return StoredKey(key.id, Kind(purpose, scope), created_at, key.certificate, private_pem=key.private_pem)


def held_keys(*scopes: str, of_saml: int = 1, clock: Callable[[], int] = now_ms) -> HeldKeys:
    """A header-signing key, and SAML keys of the deployment's and of these tenants' own, which all exist by now."""
    saml = (stored(SAML, number + 1, number, scope) for scope in ("", *scopes) for number in range(of_saml))
    return HeldKeys([stored(HEADERS, 1), *saml], clock)
