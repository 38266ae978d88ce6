"""Keys and the secrets that they are sealed under: what lets a former secret go, and what is left when one is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.keys.rollover import name_of
from bridge.store import keys as rows
from bridge.store.keys import KeyRow, Kind, MadeKey
from bridge.store.sealing import Seal

NAMED_AT_MOST = 5


class Resealed(NamedTuple):
    """How many keys were sealed anew, and how many had been sealed under the first secret before."""

    anew: int
    before: int


def reseal(connection: Connection, seal: Seal) -> Resealed:
    """Seal every key under the first secret that is not yet. Raises `StateError`, without which all of them are.

    A process that does not know the first secret keeps the keys that it has, but could not read them when it starts.
    """
    rows.hold_alone(connection)
    everything = rows.all_sealed(connection)
    if lost := [key for key in everything if not seal.opens(key.sealed)]:
        raise StateError(_lost(lost))
    former = [key for key in everything if not seal.is_newest(key.sealed)]
    for key in former:
        rows.put_under_new_seal(connection, key.id, seal.close(seal.open(key.sealed)))
    return Resealed(len(former), len(everything) - len(former))


def retire_lost(
    connection: Connection, seal: Seal, key: KeyRow, make: Callable[[Kind], MadeKey] | None
) -> list[rows.SealedKey]:
    """Delete a key that none of the secrets opens, and return those of its kind that one does, the oldest first.

    Where there is none, `make` makes one; without `make` nobody needs any. Raises `StateError` for a key that opens:
    that one is not lost, and the rules of rollover hold for it.
    """
    rows.hold_alone(connection)
    if any(seal.opens(found.sealed) for found in rows.fetch(connection, [key.id])):
        raise StateError(f"{key.id} opens under one of `secrets`, so it is not lost: retire it without --lost")
    rows.remove(connection, key.id)
    usable = [other for other in rows.of_kind(connection, key.kind) if seal.opens(other.sealed)]
    if usable or make is None:
        return usable
    made = make(key.kind)
    return [other for other in rows.add_regardless(connection, seal, key.kind, made) if other.id == made.id]


def _lost(keys: Sequence[KeyRow]) -> str:
    named = [f"{key.id} for {name_of(key.kind)}" for key in keys[:NAMED_AT_MOST]]
    if more := len(keys) - len(named):
        named.append(f"{more} more")
    which = keys[0].id if len(keys) == 1 else "ID"
    return (
        f"nothing was sealed anew, since none of `secrets` opens {', '.join(named)}: put the former secret back at the"
        f" end of `secrets`, or, only if it is lost for good, run `kombo-bridge keys retire {which} --lost`"
    )
