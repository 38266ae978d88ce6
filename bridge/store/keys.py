"""Key pairs in the state, the same for every node."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, text

from bridge.store import tables
from bridge.store.engine import now_ms
from bridge.store.sealing import Seal


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A private key in PEM; `created_at` in milliseconds."""

    id: str
    purpose: str
    created_at: int
    private_pem: bytes


def of_purpose(connection: Connection, seal: Seal, purpose: str) -> list[StoredKey]:
    """Every key of a purpose, the newest first. Raises `StateError` where the secrets do not open one."""
    rows = connection.execute(
        select(tables.keys).where(tables.keys.c.purpose == purpose).order_by(tables.keys.c.created_at.desc())
    )
    return [StoredKey(row.id, row.purpose, row.created_at, seal.open(row.sealed)) for row in rows]


def first_of_purpose(connection: Connection, seal: Seal, purpose: str, made: tuple[str, bytes]) -> list[StoredKey]:
    """As `of_purpose`, but where there is none `made` (an id and a private key in PEM) becomes the first.

    Two nodes that start together agree on one: SQLite's write lock or PostgreSQL's table lock lets only one look and
    insert.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE"))
    if not (found := of_purpose(connection, seal, purpose)):
        kid, private_pem = made
        row = {"id": kid, "purpose": purpose, "created_at": now_ms(), "sealed": seal.close(private_pem)}
        connection.execute(insert(tables.keys), row)
        found = of_purpose(connection, seal, purpose)
    return found
