"""Which node does the background work. A lease that is not renewed in time goes to whoever asks next.

It is the nodes' own clocks that say what is in time. The epoch makes it safe that they differ: who was taken over from
notices at the next write. One lease that ends later than any could have been taken for is of a clock that has been set
back since, and would otherwise keep everybody out for as long.
"""

from __future__ import annotations

from sqlalchemy import Connection, or_, select, update

from bridge.store import tables
from bridge.store.engine import insert_new, now_ms

CLOCKS_APART = 10
"""Lengths of a lease by which the nodes' clocks may differ."""


def take(connection: Connection, name: str, holder: str, milliseconds: int) -> int | None:
    """Take or renew a lease; its epoch, which grows whenever it changes hands, or None while another holds it."""
    moment = now_ms()
    expires = moment + milliseconds
    insert_new(connection, tables.leases, {"name": name, "holder": holder, "epoch": 0, "expires_at": 0})
    lease = tables.leases.c
    too_late = moment + CLOCKS_APART * milliseconds
    free = or_(lease.holder == holder, lease.expires_at < moment, lease.expires_at > too_late)
    row = connection.execute(select(lease.epoch, lease.holder).where(lease.name == name).with_for_update()).one()
    epoch = row.epoch if row.holder == holder and row.epoch else row.epoch + 1
    taken = connection.execute(
        update(tables.leases).where(lease.name == name, free).values(holder=holder, epoch=epoch, expires_at=expires)
    )
    return epoch if taken.rowcount == 1 else None


def holds(connection: Connection, name: str, holder: str, epoch: int) -> bool:
    """Whether the lease is still this holder's of this epoch; asked inside each write that depends on it.

    Nobody takes it over before that write is done.
    """
    lease = tables.leases.c
    row = connection.execute(
        select(lease.holder, lease.epoch, lease.expires_at).where(lease.name == name).with_for_update(read=True)
    ).one_or_none()
    return row is not None and row.holder == holder and row.epoch == epoch and row.expires_at >= now_ms()


def holder_of(connection: Connection, name: str) -> str | None:
    """Who has it now, if anybody."""
    lease = tables.leases.c
    query = select(lease.holder).where(lease.name == name, lease.expires_at >= now_ms())
    return connection.execute(query).scalar()


def release(connection: Connection, name: str, holder: str) -> None:
    lease = tables.leases.c
    connection.execute(update(tables.leases).where(lease.name == name, lease.holder == holder).values(expires_at=0))
