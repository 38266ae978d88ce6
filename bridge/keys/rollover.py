"""The rollover rule: which key of a kind signs, and when one may go.

Header-signing keys. Readers keep our JWK set for up to `JWKS_SECONDS`, and a running process notices a new key within
seconds. So a new key is published at once, but signs only once it is `READY_MS` old, when no reader is left who could
not know it; the first of all signs at once, as nobody has read anything yet. Every key stays published until it is
retired. One that signs, or signed a moment ago, cannot be retired: what it signed must go on verifying until it has
expired (`SPENT_MS`).

SAML keys. IdPs learn our certificate from metadata that people carry to them, which takes as long as it takes. So the
oldest key signs until it is retired, all of them decrypt, and all are in our metadata: `keys rotate`, then give every
IdP the new metadata, then `keys retire` the old one, at which moment the next signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from bridge.errors import BridgeError
from bridge.stamp.assertion import LEEWAY_SECONDS, LIFETIME_SECONDS
from bridge.stamp.keys import JWKS_SECONDS
from bridge.store.keys import KeyRow, Kind

HEADERS = "stamp"
SAML = "saml"
MARGIN_SECONDS = 60
"""For processes that notice a change seconds later, and for nodes whose clocks differ."""
READY_MS = (JWKS_SECONDS + MARGIN_SECONDS) * 1000
SPENT_MS = (LIFETIME_SECONDS + LEEWAY_SECONDS + MARGIN_SECONDS) * 1000

Key = TypeVar("Key", bound=KeyRow)


class State(StrEnum):
    """What a key does; everything but `next` is true of the key that signs, too."""

    SIGNS = "signs"
    NEXT = "next"
    VERIFIES = "verifies"
    DECRYPTS = "decrypts"


def name_of(kind: Kind) -> str:
    """The kind as commands call it."""
    name = "headers" if kind.purpose == HEADERS else kind.purpose
    return f"{name} of {kind.scope}" if kind.scope else name


def ready_at(keys: Sequence[KeyRow], index: int) -> int:
    """From when on a header-signing key may sign, in milliseconds since 1970."""
    return keys[index].created_at + (READY_MS if index else 0)


def signer(keys: Sequence[Key], now: int) -> Key:
    """Of all the keys of a kind, the oldest first, the one that signs at a moment in milliseconds since 1970."""
    if keys[0].kind.purpose == SAML:
        return keys[0]
    ready = [key for index, key in enumerate(keys) if ready_at(keys, index) <= now]
    return ready[-1] if ready else keys[0]


def state(keys: Sequence[KeyRow], key: KeyRow, now: int) -> State:
    """What one of the keys of a kind, the oldest first, does."""
    signs = signer(keys, now)
    if key == signs:
        return State.SIGNS
    if key.kind.purpose == SAML:
        return State.DECRYPTS
    return State.NEXT if keys.index(key) > keys.index(signs) else State.VERIFIES


def check_retirement(keys: Sequence[KeyRow], key: KeyRow, now: int) -> None:
    """Raises `BridgeError` where retiring one of the keys of a kind, the oldest first, would leave somebody without."""
    kind = name_of(key.kind)
    if len(keys) == 1:
        raise BridgeError(f"{key.id} is the last key for {kind}; make another with `keys rotate` first")
    if key.kind.purpose == SAML:
        return
    after = keys.index(key) + 1
    if after < len(keys):
        spent = ready_at(keys, after) + SPENT_MS
        if now < spent:
            raise BridgeError(
                f"{key.id} signs until {clock(ready_at(keys, after))}, and what it signed counts a little longer;"
                f" retire it after {clock(spent)}"
            )
    elif state(keys, key, now) is State.SIGNS:
        raise BridgeError(f"{key.id} signs; make another with `keys rotate headers`, which takes over, first")


def clock(moment: int) -> str:
    """A moment in milliseconds since 1970 as people read it, to the second."""
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
