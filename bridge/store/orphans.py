"""Integrations that have not been read for long, and forgetting what was read of them."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from bridge.store import tables
from bridge.store.rows import CHUNK

READ = (tables.progressions, tables.revisions, tables.courses, tables.held_users, tables.users)


def find(connection: Connection, before: int) -> set[str]:
    """Those of which no pass has begun since."""
    row = tables.syncs.c
    query = select(row.integration_id).group_by(row.integration_id).having(func.max(row.started_at) < before)
    return set(connection.execute(query).scalars())


def forget(connection: Connection, integration_id: str) -> bool:
    """Some rows of one, and of itself last; False when there is nothing left.

    The course map stays, of which a part is written by hand.
    """
    for table in READ:
        row = table.c
        some = select(row.id).where(row.integration_id == integration_id).limit(CHUNK)
        same = (row.integration_id == integration_id) & row.id.in_(some)
        if connection.execute(delete(table).where(same)).rowcount:
            return True
    for table in (tables.syncs, tables.integrations):
        connection.execute(delete(table).where(table.c.integration_id == integration_id))
    return False
