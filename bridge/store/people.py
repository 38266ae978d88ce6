"""Writing the people of the directory, and what is to be held back of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy import Row as Found

from bridge.kombo.model import User
from bridge.store import held, rows, tables
from bridge.store.engine import moment_ms
from bridge.store.held import Absent
from bridge.store.rows import Row

PEOPLE = tables.users.c
NOTHING = {"remote_id": "", "email": None, "email_folded": None, "first_name": None, "last_name": None}
"""What stays of a deleted person beside the Kombo id: nobody."""


def fold(email: str) -> str:
    """An address as it is compared: ASCII case ignored, nothing else (the contract, section 3)."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in email)


def save(connection: Connection, integration_id: str, users: Iterable[User], seen_at: int, *, hold: bool) -> None:
    """Take people as Kombo showed them, asked at `seen_at` (milliseconds).

    With `hold`, as a sync does it, whatever would delete, deactivate or blank an active person waits in `held_users`;
    otherwise, for one answer about one person, it is taken at once. Who is shown well again waits no longer.
    """
    wanted = rows.newest(_row(user, seen_at) for user in users)
    known = _known(connection, integration_id, wanted)
    waiting = held.find(connection, integration_id, wanted)
    in_ = rows.number(connection, integration_id, "users")
    taken: list[Row] = []
    kept: dict[str, Row | None] = {}
    outdated: list[str] = []
    for id, row in wanted.items():
        before, change = known.get(id), waiting.get(id)
        if change is not None and not _after(row, change, hold=hold):
            outdated.append(id)
        elif hold and before and before.changed_at <= row["changed_at"] and loses(before, row):
            kept[id] = row
        else:
            taken.append(row | {"lost_at": _lost_at(before, row, seen_at)})
    held.put(connection, integration_id, kept, seen_at)
    held.drop(connection, integration_id, [row["id"] for row in taken if row["id"] in waiting])
    rows.save(connection, tables.users, integration_id, taken, seen_at, in_, in_turn=hold)
    rows.stamp(connection, tables.users, integration_id, [*kept, *outdated], in_)


def loses(before: Found[Any], row: Row) -> bool:
    """Whether an active person would be deleted, deactivated, or without the address or the name that they had."""
    return _living(before.deleted_at, before.status) and (
        not _living(row["deleted_at"], row["status"])
        or bool(before.email and not row["email"])
        or bool((before.first_name or before.last_name) and not (row["first_name"] or row["last_name"]))
    )


def absent(connection: Connection, integration_id: str, ids: Collection[str], in_: int, moment: int) -> int:
    """A full pass did not show these: the active ones wait, the others are deleted; how many were deleted."""
    known = _known(connection, integration_id, ids)
    gone = {id for id, row in known.items() if row.shown_in < in_ and row.deleted_at is None}
    active = {id for id in gone if _living(None, known[id].status)}
    held.put(connection, integration_id, dict.fromkeys(active), moment)
    held.drop(connection, integration_id, gone - active)
    return _bury(connection, integration_id, dict.fromkeys(gone - active), moment)


def lose(connection: Connection, integration_id: str, ids: Collection[str], moment: int) -> None:
    """Take what waited of these people. What nobody confirmed counts as lost at `moment`, for as long as a day."""
    known = _known(connection, integration_id, ids)
    changes = held.find(connection, integration_id, ids)
    meant = held.confirmed(connection, integration_id, list(changes))
    lost_at = {id: None if id in meant else moment for id in changes}
    common = {"integration_id": integration_id}
    shown = [
        row | common | {"lost_at": lost_at[id], "shown_in": known[id].shown_in}
        for id, row in changes.items()
        if not isinstance(row, Absent) and id in known
    ]
    rows.replace(connection, tables.users, shown)
    gone = {id: lost_at[id] for id, row in changes.items() if isinstance(row, Absent)}
    _bury(connection, integration_id, gone, moment)
    held.drop(connection, integration_id, list(changes))


def _row(user: User, seen_at: int) -> Row:
    """Of somebody deleted nothing is kept; the moment is ours where Kombo's clock is ahead of it."""
    row = {
        "id": user.id,
        "remote_id": user.remote_id,
        "email": user.work_email,
        "email_folded": fold(user.work_email) if user.work_email else None,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "status": user.status,
        "changed_at": moment_ms(user.changed_at),
        "deleted_at": None,
        "seen_at": seen_at,
        "lost_at": None,
    }
    if user.remote_deleted_at is None:
        return row
    return row | NOTHING | {"deleted_at": min(moment_ms(user.remote_deleted_at), seen_at)}


def _known(connection: Connection, integration_id: str, ids: Collection[str]) -> Mapping[str, Found[Any]]:
    if not ids:
        return {}
    query = select(tables.users).where(PEOPLE.integration_id == integration_id, PEOPLE.id.in_(ids))
    return {row.id: row for row in connection.execute(query.order_by(PEOPLE.id).with_for_update())}


def _after(row: Row, change: Row | Absent, *, hold: bool) -> bool:
    """Whether a row is later word than what waits. A sync asks after whatever waits was found, whatever the clock."""
    if isinstance(change, Absent):
        return hold or row["seen_at"] >= change.held_at
    return bool(row["changed_at"] >= change["changed_at"])


def _lost_at(before: Found[Any] | None, row: Row, moment: int) -> int | None:
    """Since when somebody counts as lost, who does; who is well does not."""
    if before is None:
        return None
    if loses(before, row):
        return moment
    status = before.status if row["status"] is None else row["status"]
    return None if _living(row["deleted_at"], status) else before.lost_at


def _living(deleted_at: int | None, status: str | None) -> bool:
    return deleted_at is None and status in (None, "ACTIVE")


def _bury(connection: Connection, integration_id: str, lost_at: Mapping[str, int | None], moment: int) -> int:
    """Mark people as deleted, and keep nothing of them but that."""
    buried = 0
    for lost in set(lost_at.values()):
        ids = [id for id, at in lost_at.items() if at == lost]
        same = (PEOPLE.integration_id == integration_id) & PEOPLE.id.in_(ids) & PEOPLE.deleted_at.is_(None)
        values = NOTHING | {"deleted_at": moment, "lost_at": lost}
        buried += connection.execute(update(tables.users).where(same).values(values)).rowcount
    return buried
