"""Rows of the directory, whatever their model: which one is taken, and what becomes of those that are not shown.

A row is taken only if its `changed_at` is not older than ours, so a live answer that overtook a sync is not undone by
it. One that a full pass did not show is not forgotten at once but marked with `deleted_at`: an answer that was asked
for before then, and comes late, must not bring it back. A pass's own pages are never late: there is one at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    case,
    delete,
    false,
    func,
    literal,
    or_,
    select,
    update,
)

from bridge.store import tables
from bridge.store.engine import upsert

Model = Literal["users", "courses", "progressions"]
Row = dict[str, Any]

MODELS: tuple[Model, ...] = get_args(Model)
"""In the order of reading: a progression is found by the person and the course that it names."""

TABLES: Mapping[Model, tuple[Table, ...]] = {
    "users": (tables.users,),
    "courses": (tables.courses, tables.revisions),
    "progressions": (tables.progressions,),
}
"""The tables that a pass over a model fills."""

OVERTAKEN_MS = 5 * 60 * 1000
"""By how much what is written later may have been asked for earlier: more than any call to Kombo lasts."""

LATE_MS = 15 * 60 * 1000
"""How much earlier than a deletion, by another node's clock, an answer may have been asked for that comes after it.
What is deleted later still is so by a clock that has been set back since."""

CHUNK = 500
"""Rows of one write: short, as SQLite has one writer and logins wait for it."""

STRETCH = 20_000
"""Rows that are looked through at a time: logins wait for readers as well, and PostgreSQL ends what takes too long."""


def number(connection: Connection, integration_id: str, model: Model) -> int:
    """Of the latest full pass over a model that has begun; 0 before the first."""
    row = tables.syncs.c
    query = select(row.number).where(row.integration_id == integration_id, row.model == model)
    return connection.execute(query).scalar() or 0


def newest(rows: Iterable[Row]) -> dict[str, Row]:
    """By id, in the order of the ids (two writers that lock rows must do so in one order); of doubles the newest."""
    found: dict[str, Row] = {}
    for row in rows:
        known = found.get(row["id"])
        if known is None or row["changed_at"] >= known["changed_at"]:
            found[row["id"]] = row
    return dict(sorted(found.items()))


def save(
    connection: Connection,
    table: Table,
    integration_id: str,
    rows: Iterable[Row],
    seen_at: int,
    in_: int,
    *,
    in_turn: bool,
) -> None:
    """What Kombo showed at `seen_at` (milliseconds), when the full pass number `in_` was the latest to have begun;
    `in_turn` if it was a pass that asked.
    """
    wanted = newest(rows)
    common = {"integration_id": integration_id, "seen_at": seen_at, "shown_in": in_}
    taken = replace(connection, table, [row | common for row in wanted.values()], in_turn=in_turn)
    stamp(connection, table, integration_id, wanted.keys() - taken, in_, seen_at)


def replace(connection: Connection, table: Table, rows: Sequence[Row], *, in_turn: bool = False) -> set[str]:
    """Whole rows with distinct ids, each unless ours is newer, or was deleted after this one was asked for, which what
    comes `in_turn` never was, whatever the clocks say. The ids of those that were taken.

    A status of null never takes the place of one that is known: INACTIVE stays so until an explicit ACTIVE.
    """
    known = table.c

    def later(fresh: Any) -> ColumnElement[bool]:
        if in_turn or "deleted_at" not in known:
            return ~false()
        since = known.deleted_at.between(fresh.seen_at + 1, fresh.seen_at + LATE_MS)
        return or_(known.deleted_at.is_(None), fresh.deleted_at.is_not(None), ~since)

    def merged(fresh: Any) -> Row:
        status = {"status": func.coalesce(fresh.status, known.status)} if table is tables.users else {}
        return status | {"seen_at": _later(known.seen_at, fresh.seen_at)}

    written = upsert(connection, table, rows, newest_by="changed_at", only=later, merged=merged)
    return {row.id for row in written}


def stamp(
    connection: Connection,
    table: Table,
    integration_id: str,
    ids: Collection[str],
    in_: int,
    seen_at: int | None = None,
) -> None:
    """Note that rows were shown, by whichever content; without `seen_at` only that they were not absent."""
    if not ids:
        return
    row = table.c
    values: Row = {"shown_in": in_}
    other = row.shown_in != in_
    if seen_at is not None:
        values["seen_at"] = _later(row.seen_at, literal(seen_at, BigInteger))
        other |= ~row.seen_at.between(seen_at, seen_at + OVERTAKEN_MS)
    same = (row.integration_id == integration_id) & row.id.in_(ids)
    connection.execute(update(table).where(same, other).values(values))


def _later(known: Any, fresh: Any) -> ColumnElement[int]:
    """A live answer may have overtaken a page; a moment further ahead is of a clock that has been set back since."""
    return case((known.between(fresh, fresh + OVERTAKEN_MS), known), else_=fresh)


@dataclass(frozen=True, slots=True)
class Unseen:
    """Some rows that a full pass did not show: living ones, and ones deleted long ago. Behind `last` there may be more;
    None: there are not.
    """

    living: list[str]
    forgotten: list[str]
    last: str | None

    def __bool__(self) -> bool:
        return bool(self.living or self.forgotten)


def unseen(connection: Connection, table: Table, integration_id: str, in_: int, before: int, after: str = "") -> Unseen:
    """The next of them, by id, behind `after`; forgotten are those deleted and not shown since `before`."""
    row = table.c
    behind = (row.integration_id == integration_id) & (row.id > after)
    end = connection.scalar(select(row.id).where(behind).order_by(row.id).offset(STRETCH - 1).limit(1))
    stretch = behind if end is None else behind & (row.id <= end)
    deleted = row.deleted_at if "deleted_at" in row else None
    living = row.shown_in < in_ if deleted is None else deleted.is_(None) & (row.shown_in < in_)
    old = false() if deleted is None else deleted.is_not(None) & (row.seen_at < before)
    found = connection.execute(
        select(row.id, living.label("living")).where(stretch, living | old).order_by(row.id).limit(CHUNK)
    ).all()
    return Unseen(
        [each.id for each in found if each.living],
        [each.id for each in found if not each.living],
        found[-1].id if len(found) == CHUNK else end,
    )


def bury(connection: Connection, table: Table, integration_id: str, ids: Collection[str], in_: int, moment: int) -> int:
    """Mark rows as deleted that were not shown in a full pass, unless they have been since; how many it were."""
    row = table.c
    same = (row.integration_id == integration_id) & row.id.in_(ids) & (row.shown_in < in_)
    if "deleted_at" not in row:
        return connection.execute(delete(table).where(same)).rowcount
    return connection.execute(update(table).where(same, row.deleted_at.is_(None)).values(deleted_at=moment)).rowcount


def forget(connection: Connection, table: Table, integration_id: str, ids: Collection[str]) -> None:
    """Drop what is deleted."""
    if not ids:
        return
    row = table.c
    same = (row.integration_id == integration_id) & row.id.in_(ids)
    connection.execute(delete(table).where(same, row.deleted_at.is_not(None)))
