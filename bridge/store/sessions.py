"""Sessions, and what may be used only once."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select, true, update

from bridge.store import tables
from bridge.store.engine import delete_some, insert_new, now_ms, upsert

LOGOUT_KEPT_MS = 2 * 3600 * 1000
"""How long a logout is remembered: longer than an assertion may be old (`bridge.saml.rules.MAX_AGE`, and the skew)."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """Who signed in, by ids only: rights are looked up anew, never stored. Moments are milliseconds.

    `digest` is SHA-256 of the secret in the cookie, so that a copy of the database opens no session. `subject` stands
    for a learner whom no Kombo user matched (`unmatched: pass`); then `user_id` is None. `name_id` is JSON, and there
    only where the IdP may have to be told of a logout; `name_digest` finds the sessions that the IdP ends by name.
    `launch` is the launch that began it, until the platform has answered it. `awaits` is the course whose page that
    launch was refused, empty where the page had none: who comes back for the same page may be let in.
    `source` is the attribute by which somebody was recognised, or `NameID`; None in a session of an older version.
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
    launch: str | None = None
    awaits: str | None = None
    source: str | None = None


def add(connection: Connection, row: SessionRow) -> None:
    connection.execute(insert(tables.sessions), asdict(row))


def find(connection: Connection, digest: str) -> SessionRow | None:
    row = connection.execute(select(tables.sessions).where(tables.sessions.c.digest == digest)).one_or_none()
    return SessionRow(**row._mapping) if row else None


def touch(connection: Connection, digest: str, used_at: int) -> None:
    """Note the last use, for the idle limit."""
    connection.execute(update(tables.sessions).where(tables.sessions.c.digest == digest).values(used_at=used_at))


def end(connection: Connection, digest: str) -> SessionRow | None:
    """End a session; the row as it was, None where there was none."""
    own = tables.sessions.c.digest == digest
    row = connection.execute(delete(tables.sessions).where(own).returning(*tables.sessions.c)).one_or_none()
    return SessionRow(**row._mapping) if row else None


def end_name(
    connection: Connection, tenant: str, provider: str, name_digest: str, indexes: Collection[str]
) -> frozenset[str]:
    """End the sessions that a tenant's IdP began for a name, all or those of the SessionIndexes; their digests.

    A session whose index the IdP never said ends with any: it may be the one that is meant.
    """
    row = tables.sessions.c
    same = (row.tenant == tenant) & (row.provider == provider) & (row.name_digest == name_digest)
    meant = or_(row.session_index.is_(None), row.session_index.in_(indexes)) if indexes else true()
    return frozenset(connection.execute(delete(tables.sessions).where(same, meant).returning(row.digest)).scalars())


def end_all(connection: Connection, tenant: str, integration_id: str, provider: str) -> None:
    """End every session that a tenant's IdP began for an integration."""
    row = tables.sessions.c
    same = (row.tenant == tenant) & (row.integration_id == integration_id) & (row.provider == provider)
    connection.execute(delete(tables.sessions).where(same))


def recent(connection: Connection, tenant: str | None, user_id: str | None) -> Generator[SessionRow]:
    """Those that have not ended, the last used first, streamed: of one tenant or all, of one person or all.

    To be closed by whoever does not take all of them.
    """
    row = tables.sessions.c
    whose = true() if tenant is None else row.tenant == tenant
    whose &= true() if user_id is None else row.user_id == user_id
    query = select(*(row[name] for name in SessionRow.__slots__)).where(whose, row.ends_at > now_ms())
    last_used = query.order_by(row.used_at.desc(), row.digest)
    with connection.execution_options(yield_per=500).execute(last_used) as found:
        for each in found:
            yield SessionRow(*each)


def revoke(connection: Connection, tenant: str, user_id: str | None, limit: int) -> int:
    """End at most `limit` sessions of a tenant, or of one person of it; how many they were."""
    row = tables.sessions.c
    whose = (row.tenant == tenant) & (true() if user_id is None else row.user_id == user_id)
    return delete_some(connection, tables.sessions, whose, limit)


def use_once(connection: Connection, purpose: str, digest: str, forget_at: int) -> bool:
    """Mark something as used until `forget_at`; False if it already was."""
    return insert_new(connection, tables.used, {"purpose": purpose, "digest": digest, "forget_at": forget_at})


def alone(connection: Connection, mark: str) -> None:
    """One transaction at a time for a mark, until it ends: a sign-in and a logout of the same person must not miss each
    other. SQLite has but one writer.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(mark, 0))))


def note_logout(connection: Connection, mark: str, moment: int) -> None:
    """Remember when somebody was logged out, the latest time of several."""
    row = {"purpose": "logged out", "digest": mark, "forget_at": moment + LOGOUT_KEPT_MS}
    upsert(connection, tables.used, [row], newest_by="forget_at")


def logged_out_at(connection: Connection, mark: str) -> int | None:
    """The moment of `note_logout`; None where there was none of late."""
    used = tables.used.c
    query = select(used.forget_at).where(used.purpose == "logged out", used.digest == mark)
    forget_at: int | None = connection.execute(query).scalar()
    return None if forget_at is None else forget_at - LOGOUT_KEPT_MS


def sweep(connection: Connection) -> None:
    """Forget sessions that have ended and marks that no longer matter."""
    moment = now_ms()
    connection.execute(delete(tables.sessions).where(tables.sessions.c.ends_at < moment))
    connection.execute(delete(tables.used).where(tables.used.c.forget_at < moment))
