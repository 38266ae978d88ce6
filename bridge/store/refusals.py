"""The latest refusals that no launch's row tells of, in a ring of fixed size for each tenant.

Anybody can be refused, without having signed in. So whoever is refused writes nothing here: some are noted now and
then, a few at a time, and the new ones take the place of the oldest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, select

from bridge.store import tables
from bridge.store.engine import delete_some, upsert
from bridge.store.launches import Filter
from bridge.store.sessions import alone

ROW = tables.refusals.c


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal. `tenant` is empty where no tenant is known; `at` is in milliseconds since 1970.

    `steps` is JSON, of `bridge.launches.trail`, where a SAML message was judged; `path` has no query.
    """

    reference: str
    tenant: str
    at: int
    code: str
    http_status: int
    reason: str
    method: str
    path: str
    check: str | None = None
    steps: str | None = None
    user_id: str | None = None
    course: str | None = None


def note(connection: Connection, tenant: str, refused: Sequence[Refused], size: int) -> None:
    """Put them into a tenant's ring, which has room for `size`. It may have had room for more before."""
    alone(connection, f"refusals of {tenant}")
    last = connection.execute(select(func.max(ROW.number)).where(ROW.tenant == tenant)).scalar() or 0
    numbered = enumerate(refused[-size:], last + 1)
    rows = [{**asdict(each), "slot": number % size, "number": number} for number, each in numbered]
    upsert(connection, tables.refusals, rows)
    surplus = (ROW.tenant == tenant) & (ROW.number <= last + len(rows) - size)
    connection.execute(delete(tables.refusals).where(surplus))


def recent(connection: Connection, which: Filter, limit: int) -> Sequence[Refused]:
    """The latest first."""
    return _refused(connection, which.condition(ROW.tenant, ROW.code, ROW.at), limit)


def of_reference(connection: Connection, reference: str) -> Sequence[Refused]:
    return _refused(connection, ROW.reference == reference, 10)


def kept(connection: Connection) -> Mapping[str, int]:
    """By tenant: how many are in its ring."""
    rows = connection.execute(select(ROW.tenant, func.count().label("many")).group_by(ROW.tenant))
    return {row.tenant: row.many for row in rows}


def forget_person(connection: Connection, tenant: str, user_id: str) -> int:
    """Delete every refusal of one person; how many they were."""
    return connection.execute(delete(tables.refusals).where(ROW.tenant == tenant, ROW.user_id == user_id)).rowcount


def sweep(connection: Connection, before: int, limit: int) -> int:
    """Delete those of before a moment, at most `limit`; how many they were."""
    return delete_some(connection, tables.refusals, ROW.at < before, limit)


def _refused(connection: Connection, condition: ColumnElement[bool], limit: int) -> Sequence[Refused]:
    columns = [ROW[name] for name in Refused.__slots__]
    rows = connection.execute(select(*columns).where(condition).order_by(ROW.at.desc(), ROW.number.desc()).limit(limit))
    return [Refused(*row) for row in rows]
