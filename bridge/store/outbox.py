"""The outbox: writes that were accepted, each with how far it has come to Kombo.

`effect` is what there is one entry of; it moves from (tenant, learner, course) to the progression once that is known.
`sending` says which call was begun (`enroll` or `complete`) without its outcome being known, and `sent_at` when: it is
on disk before the call is made, so whoever finds it after a crash knows to look first. Nothing here asks who may write:
whoever carries entries does, in the same transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, delete, exists, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from bridge.digests import digest_of
from bridge.store import tables
from bridge.store.engine import insert_new

Kind = Literal["enroll", "complete"]
State = Literal["waiting", "done", "dead"]

ALREADY = "already"
"""The `code` of an entry that is done because there was nothing to write."""
LONGEST_CODE = 512
LONGEST_MESSAGE = 1000
CHUNK = 500
ABOUT_MS = 7 * 86_400_000

_row = tables.outbox.c


@dataclass(frozen=True, slots=True)
class Entry:
    """One write; moments in milliseconds since 1970. `course` is the origin id.

    `attempts` counts the tries whose end is known, `refused` those among them that Kombo refused for a reason nobody
    here knows. `not_before` is when to try next, `code` and `message` what Kombo said last.
    """

    number: int
    id: str
    tenant: str
    integration_id: str
    kind: Kind
    user_id: str
    course: str
    progression_id: str | None
    effect: str
    completed_at: int | None
    score: int | None
    source: str
    state: State
    attempts: int
    refused: int
    not_before: int
    sending: Kind | None
    sent_at: int | None
    created_at: int
    settled_at: int | None
    code: str | None
    message: str | None


_ENTRY = tuple(_row[field.name] for field in fields(Entry))


def effect_on(integration_id: str, progression_id: str) -> str:
    """The one completion of a progression."""
    return digest_of(integration_id, "complete", progression_id)


def effect_for(integration_id: str, kind: Kind, *parts: str) -> str:
    """One effect while no progression is known."""
    return digest_of(integration_id, kind, "without", *parts)


def add(connection: Connection, effect: str, created_at: int, **values: Any) -> str:
    """A waiting entry's id, once for each effect: that of the one which is there already, where one is."""
    row = {
        "id": secrets.token_hex(8),
        "effect": effect,
        "state": "waiting",
        "attempts": 0,
        "refused": 0,
        "not_before": created_at,
        "created_at": created_at,
    }
    if insert_new(connection, tables.outbox, row | values):
        return str(row["id"])
    return str(connection.execute(select(_row.id).where(_row.effect == effect)).scalar_one())


def find(connection: Connection, id: str) -> Entry | None:
    return _one(connection, _row.id == id)


def latest(
    connection: Connection, integration_id: str, user_id: str, course: str, kind: Kind | None = None
) -> Entry | None:
    """The newest entry of a learner in a course, of one kind where that is given."""
    wanted = _of_person(integration_id, user_id, course)
    return _one(connection, wanted if kind is None else wanted & (_row.kind == kind))


def written(connection: Connection, integration_id: str, user_id: str, course: str, *, beside: int = 0) -> Entry | None:
    """The newest completion of a learner in a course that was, or is about to be, written; not entry `beside`."""
    means_to = (_row.kind == "complete") & (_row.state != "dead") & _row.progression_id.is_not(None)
    wrote = or_(_row.code.is_(None), _row.code != ALREADY)
    return _one(connection, _of_person(integration_id, user_id, course) & means_to & wrote & (_row.number != beside))


def enrolled(connection: Connection, entry: Entry) -> Entry | None:
    """The last enrolment of ours of the learner of an entry, in its course."""
    same = _of_person(entry.integration_id, entry.user_id, entry.course)
    return _one(connection, same & (_row.kind == "enroll") & (_row.state == "done"))


def reported(connection: Connection, integration_id: str, user_id: str, course: str, completed_at: int) -> Entry | None:
    """The newest completion of a learner in a course with exactly that moment."""
    same = _of_person(integration_id, user_id, course) & (_row.kind == "complete")
    return _one(connection, same & (_row.completed_at == completed_at))


@dataclass(frozen=True, slots=True)
class Trace:
    """What the directory has of a progression; `seen_at` is when Kombo last showed it, in milliseconds."""

    status: str | None
    deleted: bool
    seen_at: int


def trace(connection: Connection, integration_id: str, progression_id: str) -> Trace | None:
    progression = tables.progressions.c
    same = (progression.integration_id == integration_id) & (progression.id == progression_id)
    query = select(progression.status, progression.deleted_at.is_not(None), progression.seen_at).where(same)
    row = connection.execute(query).one_or_none()
    return Trace(*row) if row else None


def revision_to_enroll(connection: Connection, integration_id: str, courses: Collection[str]) -> str | None:
    """The newest revision of the courses that takes enrolments: ACTIVE, or without a status."""
    revision = tables.revisions.c
    rows = connection.execute(
        select(revision.id)
        .where(
            revision.integration_id == integration_id,
            revision.course_id.in_(courses),
            or_(revision.status.is_(None), revision.status == "ACTIVE"),
        )
        .order_by(func.coalesce(revision.changed_at, 0).desc(), revision.id)
        .limit(1)
    )
    found: str | None = rows.scalar()
    return found


def integrations(connection: Connection, moment: int, longest: int) -> Iterator[tuple[str, bool]]:
    """Every integration with a waiting entry, by leaps over the index as many may wait for one; and whether any is due.

    `moment` and `longest` are those of `due`.
    """
    last = ""
    while True:
        query = select(func.min(_row.integration_id)).where(_row.state == "waiting", _row.integration_id > last)
        found = connection.execute(query).scalar()
        if found is None:
            return
        yield found, bool(due(connection, found, moment, longest, limit=1))
        last = found


def due(
    connection: Connection, integration_id: str, moment: int, longest: int, *, limit: int, beside: Collection[int] = ()
) -> list[Entry]:
    """What may be carried now, without those in `beside`: of each learner in a course the oldest only.

    In the order in which it became due: what is tried again does not go before what has not been tried yet, or a few
    that Kombo cannot digest would hold up all the others for ever.

    A `not_before` further away than the `longest` pause was written before the clock was set back; it counts as past.
    """
    older = tables.outbox.alias("older")
    waits_for_older = exists().where(
        older.c.integration_id == _row.integration_id,
        older.c.user_id == _row.user_id,
        older.c.course == _row.course,
        older.c.state == "waiting",
        older.c.number < _row.number,
    )
    found: list[Entry] = []
    for is_due in (_row.not_before <= moment, _row.not_before > moment + longest):  # each a range of the index
        rows = connection.execute(
            select(*_ENTRY)
            .where(
                _row.state == "waiting",
                _row.integration_id == integration_id,
                is_due,
                _row.number.not_in(list(beside)),
                ~waits_for_older,
            )
            .order_by(_row.not_before, _row.number)
            .limit(limit - len(found))
        )
        found += [Entry(**row._mapping) for row in rows]
        if len(found) == limit:
            break
    return found


def change(connection: Connection, number: int, **values: Any) -> bool:
    """Change a waiting entry; False where it is none any more."""
    where = (_row.number == number) & (_row.state == "waiting")
    return connection.execute(update(tables.outbox).where(where).values(**_bounded(values))).rowcount == 1


def adopt(connection: Connection, entry: Entry, progression_id: str) -> bool:
    """Let an entry be the one completion of that progression; False where another entry is."""
    effect = effect_on(entry.integration_id, progression_id)
    if entry.kind == "complete" and effect != entry.effect:
        if _one(connection, _row.effect == effect):
            return False
        return change(connection, entry.number, progression_id=progression_id, effect=effect, sending=None)
    return change(connection, entry.number, progression_id=progression_id, sending=None)


def settle(connection: Connection, entry: Entry, moment: int, **values: Any) -> None:
    """An entry is done; counted for its tenant, once."""
    values = {"code": None, "message": None} | values
    if change(connection, entry.number, state="done", settled_at=moment, sending=None, **values):
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        totals = tables.outbox_totals
        statement = dialect.insert(totals).values(tenant=entry.tenant, kind=entry.kind, done=1)
        keys = [totals.c.tenant, totals.c.kind]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={"done": totals.c.done + 1}))


def revive(connection: Connection, number: int) -> None:
    """Let an entry begin again that gave up. What was being sent stays noted: it is looked up first."""
    _restart(connection, (_row.number == number) & (_row.state == "dead"))


def unsettle(connection: Connection, number: int) -> None:
    """Let an entry begin again that had nothing to write."""
    idle = (_row.number == number) & (_row.state == "done") & (_row.code == ALREADY)
    _restart(connection, idle, progression_id=None, code=None)


def hurry(connection: Connection, number: int) -> None:
    """Let a waiting entry be due at once."""
    change(connection, number, not_before=0)


def revive_dead(connection: Connection, tenant: str | None, until: int) -> int:
    """Let entries begin again that gave up by then, of one tenant or of all; how many, no more than `CHUNK`."""
    dead = (_row.state == "dead") & (_row.settled_at <= until) & _of_tenant(tenant)
    numbers = connection.execute(select(_row.number).where(dead).order_by(_row.created_at).limit(CHUNK)).scalars().all()
    for number in numbers:
        revive(connection, number)
    return len(numbers)


def idle(connection: Connection, since: int, after: int) -> list[Entry]:
    """Completions accepted since then that had nothing to write, of people of whom Kombo has shown an open progression
    since that began about then; no more than `CHUNK`, by number from `after` on. What was completed long before it was
    reported is not about such a one.
    """
    progression = tables.progressions.c
    shown = exists().where(
        progression.integration_id == _row.integration_id,
        progression.user_id == _row.user_id,
        progression.deleted_at.is_(None),
        progression.status.in_(("ENROLLED", "IN_PROGRESS")),
        progression.seen_at > _row.settled_at,
        progression.enrolled_at > _row.created_at - ABOUT_MS,
        progression.enrolled_at < _row.created_at + ABOUT_MS,
    )
    nothing = (_row.kind == "complete") & (_row.state == "done") & (_row.code == ALREADY) & (_row.created_at > since)
    no_history = _row.completed_at > _row.created_at - 2 * ABOUT_MS
    rows = connection.execute(
        select(*_ENTRY).where(nothing, no_history, _row.number > after, shown).order_by(_row.number).limit(CHUNK)
    )
    return [Entry(**row._mapping) for row in rows]


def listed(
    connection: Connection, after: int, *, tenant: str | None = None, done: bool = False, limit: int = CHUNK
) -> list[Entry]:
    """Entries by number from `after` on, those that are done only if wanted."""
    which = true() if done else _row.state.in_(("waiting", "dead"))
    rows = connection.execute(
        select(*_ENTRY).where(_row.number > after, which, _of_tenant(tenant)).order_by(_row.number).limit(limit)
    )
    return [Entry(**row._mapping) for row in rows]


def oldest(connection: Connection, state: State, tenant: str | None, limit: int) -> list[Entry]:
    """Those in a state that were accepted first, of one tenant; or of all, tenant by tenant, as an index has them."""
    same = (_row.state == state) & _of_tenant(tenant)
    rows = connection.execute(select(*_ENTRY).where(same).order_by(_row.tenant, _row.created_at).limit(limit))
    return [Entry(**row._mapping) for row in rows]


def sweep(connection: Connection, settled_before: int, after: int) -> int | None:
    """Delete what was done before then, of the next `CHUNK` entries; their last number, or None at the end."""
    chunk = select(_row.number, _row.created_at).where(_row.number > after).order_by(_row.number).limit(CHUNK)
    seen = connection.execute(chunk).all()
    if not seen or seen[0].created_at >= settled_before:
        return None
    old = (_row.state == "done") & (_row.settled_at < settled_before)
    connection.execute(delete(tables.outbox).where(_row.number > after, _row.number <= seen[-1].number, old))
    return int(seen[-1].number)


@dataclass(frozen=True, slots=True)
class Count:
    """How many of a tenant's entries wait or are dead, and since when the oldest has."""

    tenant: str
    state: str
    entries: int
    since: int


def counts(connection: Connection) -> list[Count]:
    """Of what is not done, which is little but in a long outage; an index has all that is asked."""
    rows = connection.execute(
        select(_row.tenant, _row.state, func.count(), func.min(_row.created_at))
        .where(_row.state.in_(("waiting", "dead")))
        .group_by(_row.state, _row.tenant)
    )
    return [Count(*row) for row in rows]


def totals(connection: Connection) -> list[tuple[str, str, int]]:
    """Tenant, kind, and how many were done ever, those included that have been swept since."""
    return [(row.tenant, row.kind, row.done) for row in connection.execute(select(tables.outbox_totals))]


def _restart(connection: Connection, where: ColumnElement[bool], **values: Any) -> None:
    fresh = {"state": "waiting", "attempts": 0, "refused": 0, "not_before": 0, "settled_at": None} | values
    connection.execute(update(tables.outbox).where(where).values(**fresh))


def _one(connection: Connection, where: ColumnElement[bool]) -> Entry | None:
    row = connection.execute(select(*_ENTRY).where(where).order_by(_row.number.desc()).limit(1)).one_or_none()
    return Entry(**row._mapping) if row else None


def _of_person(integration_id: str, user_id: str, course: str) -> ColumnElement[bool]:
    return (_row.integration_id == integration_id) & (_row.user_id == user_id) & (_row.course == course)


def _of_tenant(tenant: str | None) -> ColumnElement[bool]:
    return true() if tenant is None else _row.tenant == tenant


def _bounded(values: dict[str, Any]) -> dict[str, Any]:
    """What Kombo said, as long as it is kept."""
    for name, longest in (("code", LONGEST_CODE), ("message", LONGEST_MESSAGE)):
        if values.get(name):
            values[name] = values[name][:longest]
    return values
