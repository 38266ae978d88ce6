"""Sessions, and what may be used only once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select, update

from bridge.store import tables
from bridge.store.engine import insert_new, now_ms


@dataclass(frozen=True, slots=True)
class SessionRow:
    """Who signed in, by ids only: rights are looked up anew, never stored. Moments are milliseconds.

    `digest` is SHA-256 of the secret in the cookie, so that a copy of the database opens no session. `subject` stands
    for a learner whom no Kombo user matched (`unmatched: pass`); then `user_id` is None.
    """

    digest: str
    tenant: str
    integration_id: str
    provider: str
    user_id: str | None
    subject: str | None
    tier: str
    auth_time: int
    created_at: int
    used_at: int
    ends_at: int
    name_id: str | None = None
    name_digest: str | None = None
    session_index: str | None = None


def add(connection: Connection, row: SessionRow) -> None:
    connection.execute(insert(tables.sessions), asdict(row))


def find(connection: Connection, digest: str) -> SessionRow | None:
    row = connection.execute(select(tables.sessions).where(tables.sessions.c.digest == digest)).one_or_none()
    return SessionRow(**row._mapping) if row else None


def touch(connection: Connection, digest: str, used_at: int) -> None:
    """Note the last use, for the idle limit."""
    connection.execute(update(tables.sessions).where(tables.sessions.c.digest == digest).values(used_at=used_at))


def end(connection: Connection, digest: str) -> None:
    connection.execute(delete(tables.sessions).where(tables.sessions.c.digest == digest))


def end_all(connection: Connection, tenant: str, integration_id: str, provider: str) -> None:
    """End every session that a tenant's IdP began for an integration."""
    row = tables.sessions.c
    same = (row.tenant == tenant) & (row.integration_id == integration_id) & (row.provider == provider)
    connection.execute(delete(tables.sessions).where(same))


def use_once(connection: Connection, purpose: str, digest: str, forget_at: int) -> bool:
    """Mark something as used until `forget_at`; False if it already was."""
    return insert_new(connection, tables.used, {"purpose": purpose, "digest": digest, "forget_at": forget_at})


def sweep(connection: Connection) -> None:
    """Forget sessions that have ended and marks that no longer matter."""
    moment = now_ms()
    connection.execute(delete(tables.sessions).where(tables.sessions.c.ends_at < moment))
    connection.execute(delete(tables.used).where(tables.used.c.forget_at < moment))
