"""Changes of people that wait for a decision: what would delete, deactivate or blank somebody who is active.

A row's `content` is the person as Kombo last showed them, or null where a full pass did not show them at all. Until it
is decided they stay in the directory as they were, and so does their `seen_at`: nothing vouches for them any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, true, update

from bridge.store import rows, tables
from bridge.store.engine import upsert
from bridge.store.rows import Row

TOGETHER_MS = 24 * 3600 * 1000
"""What people are lost within a day is one loss: a fault that trickles in is a fault."""
SHARE = 5
"""No more than one in so many people is lost without somebody's word."""

HELD = tables.held_users.c
PEOPLE = tables.users.c


@dataclass(frozen=True, slots=True)
class Absent:
    """A full pass that began at `held_at` or before did not show the person."""

    held_at: int


def find(connection: Connection, integration_id: str, ids: Collection[str]) -> Mapping[str, Row | Absent]:
    """What waits of these people, by id."""
    if not ids:
        return {}
    found = connection.execute(
        select(HELD.id, HELD.content, HELD.held_at).where(HELD.integration_id == integration_id, HELD.id.in_(ids))
    )
    return {row.id: msgspec.json.decode(row.content) or Absent(row.held_at) for row in found}


def put(connection: Connection, integration_id: str, changes: Mapping[str, Row | None], moment: int) -> None:
    """Let changes wait, in place of what waited of the same people; since when, and what was confirmed, stays."""
    if not changes:
        return
    same = (HELD.integration_id == integration_id) & HELD.id.in_(changes)
    known = {row.id: row for row in connection.execute(select(HELD.id, HELD.held_at, HELD.confirmed).where(same))}
    upsert(
        connection,
        tables.held_users,
        [
            {
                "integration_id": integration_id,
                "id": id,
                "content": msgspec.json.encode(content).decode(),
                "held_at": known[id].held_at if id in known else moment,
                "confirmed": known[id].confirmed if id in known else 0,
            }
            for id, content in sorted(changes.items())
        ],
    )


def drop(connection: Connection, integration_id: str, ids: Collection[str]) -> None:
    """These people are well again, or were decided on."""
    if ids:
        connection.execute(delete(tables.held_users).where(HELD.integration_id == integration_id, HELD.id.in_(ids)))


def waiting(connection: Connection, integration_id: str, since: int = 0) -> int:
    """How many wait, of those found since then."""
    query = select(func.count()).where(HELD.integration_id == integration_id, HELD.held_at >= since)
    return connection.execute(query).scalar_one()


def confirm(connection: Connection, integration_id: str, after: str) -> str | None:
    """Somebody wants what waits now, and nothing that comes later: mark the next few; the last of them."""
    ids = connection.execute(
        select(HELD.id)
        .where(HELD.integration_id == integration_id, HELD.id > after)
        .order_by(HELD.id)
        .limit(rows.CHUNK)
    ).scalars()
    found = list(ids)
    same = (HELD.integration_id == integration_id) & HELD.id.in_(found)
    connection.execute(update(tables.held_users).where(same).values(confirmed=1))
    return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Scales:
    """How many people wait, and how many of them are confirmed, or there under another Kombo id.

    `lost` others were lost within a day without anybody's word; `living` are active now, those who wait among them.
    """

    waiting: int
    confirmed: int
    replaced: int
    lost: int
    living: int

    @property
    def doubtful(self) -> int:
        return self.waiting - self.confirmed - self.replaced

    @property
    def of(self) -> int:
        """The people of a day ago, but for those who are not in doubt."""
        return self.living - self.confirmed - self.replaced + self.lost

    @property
    def allowed(self) -> bool:
        """Whether the doubtful may go without anybody's word: at most a fifth of all, or one person alone."""
        together = self.doubtful + self.lost
        return not self.doubtful or together <= 1 or together * SHARE <= self.of


def weigh(connection: Connection, integration_id: str, moment: int) -> Scales:
    """What waits, against everybody. Reads a row for each person, where anybody waits at all."""
    own = HELD.integration_id == integration_id
    waiting, confirmed, replaced = connection.execute(
        select(
            func.count(),
            func.count().filter(HELD.confirmed == 1),
            func.count().filter(HELD.confirmed == 0, _replaced()),
        ).where(own)
    ).one()
    if not waiting:
        return Scales(0, 0, 0, 0, 0)
    lost = PEOPLE.lost_at.between(moment - TOGETHER_MS + 1, moment + rows.LATE_MS)
    counts = select(func.count().filter(living()), func.count().filter(lost))
    alive, gone = connection.execute(counts.where(PEOPLE.integration_id == integration_id)).one()
    return Scales(waiting, confirmed, replaced, gone, alive)


def next_to_go(connection: Connection, integration_id: str, after: str, *, everybody: bool) -> list[str]:
    """The next of those to lose, by id, behind `after`: all who wait, or those confirmed or replaced."""
    chosen = true() if everybody else or_(HELD.confirmed == 1, _replaced())
    query = select(HELD.id).where(HELD.integration_id == integration_id, HELD.id > after, chosen)
    return list(connection.execute(query.order_by(HELD.id).limit(rows.CHUNK)).scalars())


def confirmed(connection: Connection, integration_id: str, ids: Collection[str]) -> set[str]:
    """Those of whom nothing counts as a loss: somebody wanted it, or they are there under another id."""
    query = select(HELD.id).where(HELD.integration_id == integration_id, HELD.id.in_(ids))
    return set(connection.execute(query.where(or_(HELD.confirmed == 1, _replaced()))).scalars())


def living() -> ColumnElement[bool]:
    """Active and not deleted; a null status is active (the contract, section 3)."""
    return and_(PEOPLE.deleted_at.is_(None), or_(PEOPLE.status.is_(None), PEOPLE.status == "ACTIVE"))


def _replaced() -> ColumnElement[bool]:
    """Whether the one who waits is in the directory a second time, under another Kombo id and in good order.

    They are not lost then; to keep them would make two people of one, whom nobody could tell apart.
    """
    old, new, other = tables.users.alias("old"), tables.users.alias("new"), tables.held_users.alias("other")
    return exists().where(
        old.c.integration_id == HELD.integration_id,
        old.c.id == HELD.id,
        old.c.remote_id != "",
        new.c.integration_id == old.c.integration_id,
        new.c.remote_id == old.c.remote_id,
        new.c.id != old.c.id,
        new.c.deleted_at.is_(None),
        or_(new.c.status.is_(None), new.c.status == "ACTIVE"),
        ~exists().where(other.c.integration_id == new.c.integration_id, other.c.id == new.c.id),
    )
