"""The rollover rule: which key of a kind signs, and when one may go.

Header-signing keys. Readers keep our JWK set for up to `JWKS_SECONDS`, and a running process notices a new key within
seconds. So a new key is published at once, but signs only once it is `READY_MS` old, when no reader is left who could
not know it; the first of all signs at once, as nobody has read anything yet. It does so by itself, so that nobody has
to remember it; or, where it was made to be held, once it is promoted. Every key stays published until it is retired.
One that signs, or signed a moment ago, cannot be retired: what it signed must go on verifying until it has expired
(`SPENT_MS`). Nor can one that signs in a moment: processes that do not know yet that it is gone would sign with it. A
former key that is promoted again takes over like a new one.

Where the key that signs has been stolen, a new one can sign `AT_ONCE_MS` later: then every process of ours publishes
it, and readers who ask again for a key that they do not know lose no request.

SAML keys. IdPs learn our certificate from metadata that people carry to them, which takes as long as it takes. So the
oldest key signs until it is retired, all of them decrypt, and all are in our metadata: `keys rotate`, then give every
IdP the new metadata, then `keys retire` the old one, at which moment the next signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal, NamedTuple, TypeVar

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
AT_ONCE_MS = 15_000
NEVER = 2**63 - 1
"""A moment in milliseconds that is never reached: the largest that the state can hold."""

Key = TypeVar("Key", bound=KeyRow)


class State(StrEnum):
    """What a key does; everything but `next` and `held` is true of the key that signs, too."""

    SIGNS = "signs"
    NEXT = "next"
    HELD = "held"
    VERIFIES = "verifies"
    DECRYPTS = "decrypts"


class Step(NamedTuple):
    """What a key does or may have done to it, and from when on, in milliseconds since 1970."""

    what: Literal["sign", "promote", "retire"]
    at: int


def name_of(kind: Kind) -> str:
    """The kind as commands call it."""
    name = "headers" if kind.purpose == HEADERS else kind.purpose
    return f"{name} of {kind.scope}" if kind.scope else name


def ready_at(keys: Sequence[KeyRow], index: int) -> int:
    """From when on a header-signing key may sign, in milliseconds since 1970; `NEVER` while it is held."""
    key = keys[index]
    return key.created_at + (READY_MS if index else 0) if key.signs_from is None else key.signs_from


def signer(keys: Sequence[Key], now: int) -> Key:
    """Of all the keys of a kind, the oldest first, the one that signs at a moment in milliseconds since 1970."""
    if keys[0].kind.purpose == SAML:
        return keys[0]
    ready = [turn for turn in _turns(keys) if turn[0] <= now]
    return keys[ready[-1][1]] if ready else keys[0]


def state(keys: Sequence[KeyRow], key: KeyRow, now: int) -> State:
    """What one of the keys of a kind, the oldest first, does."""
    if key == signer(keys, now):
        return State.SIGNS
    if key.kind.purpose == SAML:
        return State.DECRYPTS
    ready = ready_at(keys, keys.index(key))
    if ready > now:
        return State.HELD if ready == NEVER else State.NEXT
    return State.VERIFIES


def promotion(keys: Sequence[KeyRow], key: KeyRow, now: int, *, at_once: bool) -> int:
    """From when on one of the header-signing keys, the oldest first, is to sign instead of whichever would.

    Raises `BridgeError` where it signs already, or would sign before every reader can know it; `at_once` is for who
    accepts that, as the key that signs has been stolen.
    """
    if key.kind.purpose != HEADERS:
        raise BridgeError(f"{key.id} is no header-signing key: of SAML keys the oldest signs until it is retired")
    if state(keys, key, now) is State.SIGNS:
        raise BridgeError(f"{key.id} signs already")
    known = key.created_at + READY_MS
    if not at_once and now < known:
        raise BridgeError(
            f"not every platform can know {key.id} before {clock(known)}; promote it then, or with --now if the key"
            " that signs has been stolen"
        )
    return now + AT_ONCE_MS


def spent_at(keys: Sequence[KeyRow], key: KeyRow) -> int:
    """When nothing counts any more that a header-signing key signed, of all of them, the oldest first.

    `NEVER` while no other is to take over from it.
    """
    if key.kind.purpose != HEADERS:
        return NEVER
    turns = _turns(keys)
    index = keys.index(key)
    after = turns[turns.index((ready_at(keys, index), index)) + 1 :]
    return after[0][0] + SPENT_MS if after and after[0][0] != NEVER else NEVER


def next_step(keys: Sequence[KeyRow], key: KeyRow, now: int) -> Step | None:
    """What one of the header-signing keys, the oldest first, waits for; None where there is nothing to come."""
    role, index = state(keys, key, now), keys.index(key)
    if role is State.NEXT:
        return Step("sign", ready_at(keys, index))
    if role is State.HELD:
        return Step("promote", key.created_at + READY_MS)
    if role is State.DECRYPTS or (spent := spent_at(keys, key)) == NEVER:
        return None
    return Step("retire", spent)


def check_retirement(keys: Sequence[KeyRow], key: KeyRow, now: int, *, at_once: bool = False) -> None:
    """Raises `BridgeError` where retiring one of the keys of a kind, the oldest first, would leave somebody without.

    `at_once` lets a header-signing key go although what it signed a moment ago still counts: it has been stolen.
    """
    kind = name_of(key.kind)
    if len(keys) == 1:
        raise BridgeError(f"{key.id} is the last key for {kind}; make another with `keys rotate` first")
    if key.kind.purpose == SAML:
        return
    role, spent = state(keys, key, now), spent_at(keys, key)
    ready = ready_at(keys, keys.index(key))
    if role is State.NEXT and ready - now <= AT_ONCE_MS:
        raise BridgeError(
            f"{key.id} signs from {clock(ready)} on; after that, let another take over with `keys rotate headers` or"
            " `keys promote` first"
        )
    if role is State.SIGNS and spent == NEVER:
        raise BridgeError(f"{key.id} signs; make another with `keys rotate headers`, which takes over, first")
    if role is State.SIGNS or (role is State.VERIFIES and now < spent and not at_once):
        raise BridgeError(
            f"{key.id} signs until {clock(spent - SPENT_MS)}, and what it signed counts a little longer;"
            f" retire it after {clock(spent)}"
        )


def _turns(keys: Sequence[KeyRow]) -> list[tuple[int, int]]:
    """When each header-signing key's turn to sign begins, and its index, in the order of the turns."""
    return sorted((ready_at(keys, index), index) for index in range(len(keys)))


def clock(moment: int) -> str:
    """A moment in milliseconds since 1970 as people read it, to the second."""
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
