"""Key pairs in the state, the same for every node; the private halves are sealed.

Whatever changes the table holds it alone, by SQLite's write lock or PostgreSQL's table lock: two nodes that start
together agree on the first key of a kind, and two commands never retire each other's last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from bridge.store import tables
from bridge.store.engine import now_ms
from bridge.store.sealing import Seal

FETCHED_AT_ONCE = 500

_key = tables.keys.c
_FACE = (_key.id, _key.purpose, _key.scope, _key.created_at, _key.certificate, _key.signs_from)


@dataclass(frozen=True, slots=True)
class Kind:
    """What keys are for; those of one kind take turns.

    `scope` is the slug of the one tenant that they serve, or empty: then they are the deployment's.
    """

    purpose: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key pair that is not in the state yet, in PEM; SAML's have a certificate."""

    id: str
    private_pem: bytes = field(repr=False)
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What may be known of a key; `created_at`, in milliseconds since 1970, orders the keys of a kind.

    `signs_from` is the moment from which somebody wants it to sign; None leaves that to the rule of rollover.
    """

    id: str
    kind: Kind
    created_at: int
    certificate: str | None = None
    signs_from: int | None = None


@dataclass(frozen=True, slots=True)
class StoredKey(KeyRow):
    """A key with its private half in PEM."""

    private_pem: bytes = field(repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class SealedKey(KeyRow):
    """A key as it lies in the state."""

    sealed: str = field(repr=False, kw_only=True)

    def opened(self, seal: Seal) -> StoredKey:
        """Raises `StateError` where the secrets do not open it."""
        private_pem = seal.open(self.sealed)
        face = (self.id, self.kind, self.created_at, self.certificate, self.signs_from)
        return StoredKey(*face, private_pem=private_pem)


def turns(connection: Connection) -> dict[str, int | None]:
    """Every key's `signs_from` by its id: by these a process notices that keys came, went or were promoted."""
    return {row.id: row.signs_from for row in connection.execute(select(_key.id, _key.signs_from))}


def faces(connection: Connection) -> list[KeyRow]:
    """What may be known of all keys, the oldest first."""
    rows = connection.execute(select(*_FACE).order_by(_key.created_at))
    return [KeyRow(*_face(row)) for row in rows]


def fetch(connection: Connection, wanted: Sequence[str]) -> list[SealedKey]:
    """The keys of these ids, in no order; one that has gone meanwhile is left out."""
    found = []
    for start in range(0, len(wanted), FETCHED_AT_ONCE):
        some = wanted[start : start + FETCHED_AT_ONCE]
        rows = connection.execute(select(*_FACE, _key.sealed).where(_key.id.in_(some)))
        found += [_sealed(row) for row in rows]
    return found


def of_kind(connection: Connection, kind: Kind) -> list[SealedKey]:
    """The keys of a kind, the oldest first."""
    wanted = select(*_FACE, _key.sealed).where(_key.purpose == kind.purpose, _key.scope == kind.scope)
    return [_sealed(row) for row in connection.execute(wanted.order_by(_key.created_at))]


def add(connection: Connection, seal: Seal, kind: Kind, made: MadeKey) -> list[SealedKey]:
    """Put a key behind the others of its kind, and return them all, the oldest first.

    Raises `StateError` where the secrets do not open the others: under other secrets than the service's, no key that
    the service cannot use may come to them.
    """
    hold_alone(connection)
    others = of_kind(connection, kind)
    for other in others:
        other.opened(seal)
    return add_regardless(connection, seal, kind, made)


def add_regardless(connection: Connection, seal: Seal, kind: Kind, made: MadeKey) -> list[SealedKey]:
    """As `add`, whether the others can be opened or not: for who has found out that they are lost."""
    hold_alone(connection)
    others = of_kind(connection, kind)
    newest = others[-1].created_at if others else 0
    _insert(connection, seal, kind, made, max(now_ms(), newest + 1))
    return of_kind(connection, kind)


def add_first(connection: Connection, seal: Seal, kind: Kind, made: MadeKey) -> bool:
    """Make a key the first of its kind, unless there is one; tell whether it became that."""
    hold_alone(connection)
    there = select(func.count()).where(_key.purpose == kind.purpose, _key.scope == kind.scope)
    if connection.execute(there).scalar_one():
        return False
    _insert(connection, seal, kind, made, now_ms())
    return True


def promote(connection: Connection, id: str, signs_from: int) -> None:
    """Let a key sign from a moment on, in milliseconds since 1970. Whether it may is the caller's to judge."""
    connection.execute(update(tables.keys).where(_key.id == id).values(signs_from=signs_from))


def remove(connection: Connection, id: str) -> None:
    """Forget a key for good. Whether it may go is the caller's to judge, who holds the table alone."""
    connection.execute(delete(tables.keys).where(_key.id == id))


def all_sealed(connection: Connection) -> list[SealedKey]:
    """Every key as it lies in the state, the oldest first."""
    return [_sealed(row) for row in connection.execute(select(*_FACE, _key.sealed).order_by(_key.created_at))]


def put_under_new_seal(connection: Connection, id: str, sealed: str) -> None:
    """Replace what lies in the state for a key by the same, sealed anew."""
    connection.execute(update(tables.keys).where(_key.id == id).values(sealed=sealed))


def hold_alone(connection: Connection) -> None:
    """Until the transaction ends, nobody else changes the keys. SQLite's writers are alone already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE"))


def _insert(connection: Connection, seal: Seal, kind: Kind, made: MadeKey, created_at: int) -> None:
    row = {
        "id": made.id,
        "purpose": kind.purpose,
        "scope": kind.scope,
        "created_at": created_at,
        "sealed": seal.close(made.private_pem),
        "certificate": made.certificate,
    }
    connection.execute(insert(tables.keys), row)


def _sealed(row: Any) -> SealedKey:
    return SealedKey(*_face(row), sealed=row.sealed)


def _face(row: Any) -> tuple[str, Kind, int, str | None, int | None]:
    return row.id, Kind(row.purpose, row.scope), row.created_at, row.certificate, row.signs_from
