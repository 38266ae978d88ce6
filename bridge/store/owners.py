"""Sessions with whose they are, in one question however many are asked about."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, String, bindparam, select

from bridge.store import tables
from bridge.store.integrations import Ages
from bridge.store.lookups import PERSON, Person
from bridge.store.sessions import SessionRow

_SESSION = tuple(tables.sessions.c[each.name] for each in fields(SessionRow))


class Owned(NamedTuple):
    """A session; `person` is None where it has none, and where the person is deleted or was never seen.

    `known_at`, in milliseconds, is the moment of which the person is known; None without one.
    """

    row: SessionRow
    person: Person | None
    known_at: int | None


def _owned() -> Select[Any]:
    """Made once: every session that a process does not hold is looked up by it, and building it costs more than it."""
    session, user, sync, own = tables.sessions.c, tables.users.c, tables.syncs.c, tables.integrations.c
    its_user = (user.integration_id == session.integration_id) & (user.id == session.user_id)
    its_sync = (sync.integration_id == session.integration_id) & (sync.model == "users")
    return (
        select(*_SESSION, *PERSON, sync.as_of, own.good_at)
        .select_from(
            tables.sessions.outerjoin(tables.users, its_user & user.deleted_at.is_(None))
            .outerjoin(tables.syncs, its_sync)
            .outerjoin(tables.integrations, own.integration_id == session.integration_id)
        )
        .where(session.digest.in_(bindparam("digests", expanding=True, type_=String())))
    )


_OWNED = _owned()


def owned(connection: Connection, digests: Collection[str]) -> Iterator[Owned]:
    """Those of the sessions that there are. At most a few thousand may be asked about: a statement has a limit."""
    for found in connection.execute(_OWNED, {"digests": list(digests)}):
        row, rest = SessionRow(*found[: len(_SESSION)]), found[len(_SESSION) :]
        *of_person, read_at, good_at = rest
        if of_person[0] is None:
            yield Owned(row, None, None)
        else:
            person = Person(*of_person)
            ages = Ages({} if read_at is None else {"users": read_at}, good_at)
            yield Owned(row, person, ages.of_row("users", person.seen_at))
