"""IdP metadata by URL, as all nodes share it: one row for each tenant and URL.

A row is at once the document in force, what came of the last fetches, and the plan: `next_at` is when it is to be
fetched again, and whoever moves it into the future first is the one who fetches.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, select, tuple_, update

from bridge.store import tables
from bridge.store.engine import insert_new, now_ms

_row = tables.idp_metadata.c


class Key(NamedTuple):
    """What a document is known by: a tenant's slug and its URL."""

    tenant: str
    url: str


@dataclass(frozen=True, slots=True)
class Kept:
    """One row without its document; moments in milliseconds since 1970.

    `entity_id` is None until a document has come. `fetched_at` is when the document in force became that, and 0 before;
    `checked_at` when it was last known to be the newest; `held` is the other entityID that a newer one names; `failed`
    is why the last fetch came to nothing, `failures` how many have in a row.
    """

    tenant: str
    url: str
    entity_id: str | None
    etag: str | None
    fetched_at: int
    checked_at: int
    next_at: int
    held: str | None
    failed: str | None
    failures: int

    @property
    def key(self) -> Key:
        return Key(self.tenant, self.url)


_KEPT = tuple(_row[field.name] for field in fields(Kept))


def rows(connection: Connection) -> list[Kept]:
    """All of them, by tenant."""
    found = connection.execute(select(*_KEPT).order_by(_row.tenant, _row.url))
    return [Kept(**row._mapping) for row in found]


def find(connection: Connection, key: Key) -> tuple[Kept, bytes | None] | None:
    """A row, and the document in force or None before the first."""
    row = connection.execute(select(*_KEPT, _row.document).where(_same(key))).mappings().one_or_none()
    if row is None:
        return None
    values = dict(row)
    document: str = values.pop("document")
    return Kept(**values), document.encode() or None


def latest(connection: Connection) -> int:
    """When the newest document became the one in force; 0 where there is none."""
    return connection.execute(select(func.max(_row.fetched_at))).scalar_one_or_none() or 0


def keys(connection: Connection) -> set[Key]:
    """Every tenant and URL that somebody has begun to fetch."""
    return {Key(*row) for row in connection.execute(select(_row.tenant, _row.url))}


def fetched_since(connection: Connection, moment: int) -> dict[Key, int]:
    """The documents that became those in force at `moment` or later, with when they did."""
    found = connection.execute(select(_row.tenant, _row.url, _row.fetched_at).where(_row.fetched_at >= moment))
    return {Key(row.tenant, row.url): row.fetched_at for row in found}


def due(connection: Connection, moment: int) -> dict[Key, int]:
    """What is to be fetched by then, with how often in a row that has failed."""
    found = connection.execute(select(_row.tenant, _row.url, _row.failures).where(_row.next_at <= moment))
    return {Key(row.tenant, row.url): row.failures for row in found}


def claim(connection: Connection, key: Key, until: int) -> bool:
    """Take a fetch that is due on oneself: nobody else will before `until`. False where another was quicker."""
    blank = {"document": "", "fetched_at": 0, "checked_at": 0, "failures": 0, "next_at": until}
    if insert_new(connection, tables.idp_metadata, {**key._asdict(), **blank}):
        return True
    return _change(connection, key, _row.next_at <= now_ms(), next_at=until)


def keep(connection: Connection, key: Key, document: bytes, entity_id: str, etag: str | None, next_at: int) -> None:
    """Make a document the one in force.

    `fetched_at` grows from row to row, whatever the nodes' clocks say, so that whoever remembers the last one that it
    saw misses none.
    """
    moment = now_ms()
    _change(
        connection,
        key,
        document=document.decode(),
        entity_id=entity_id,
        etag=etag,
        fetched_at=max(moment, latest(connection) + 1),
        checked_at=moment,
        next_at=next_at,
        held=None,
        failed=None,
        failures=0,
    )


def confirm(connection: Connection, key: Key, etag: str | None, next_at: int) -> None:
    """The document in force is still the newest."""
    _change(connection, key, etag=etag, checked_at=now_ms(), next_at=next_at, held=None, failed=None, failures=0)


def hold(connection: Connection, key: Key, entity_id: str, next_at: int) -> None:
    """A newer document names another entityID; the one in force stays that until somebody accepts the other."""
    _change(connection, key, held=entity_id, next_at=next_at, failed=None, failures=0)


def fail(connection: Connection, key: Key, reason: str, failures: int, next_at: int) -> None:
    """Nothing that can be used came; the document in force stays that."""
    _change(connection, key, failed=reason, failures=failures, next_at=next_at)


def forget(connection: Connection, known: Collection[Key], before: int) -> int:
    """Drop what nobody has looked after since `before`, unless it is known; how many rows that were."""
    stale = [key for key in due(connection, before) if key not in known]
    for start in range(0, len(stale), 500):
        some = tuple_(_row.tenant, _row.url).in_(stale[start : start + 500])
        connection.execute(delete(tables.idp_metadata).where(some, _row.next_at <= before))
    return len(stale)


def _same(key: Key) -> ColumnElement[bool]:
    return (_row.tenant == key.tenant) & (_row.url == key.url)


def _change(connection: Connection, key: Key, *also: ColumnElement[bool], **values: Any) -> bool:
    return connection.execute(update(tables.idp_metadata).where(_same(key), *also).values(values)).rowcount == 1
