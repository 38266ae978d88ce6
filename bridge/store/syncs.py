"""How far the reading of each model of an integration has come: passes, full ones and those over what changed.

A pass is under way while `mode` is set, in this process or one that has ended; its `cursor` is then where it goes on:
None before its first page, `END` behind its last. Everything that a pass brings is kept together with that place in one
transaction. Moments are milliseconds since 1970, the clock of whichever node noted them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from sqlalchemy import Connection, func, select, update

from bridge.store import tables
from bridge.store.engine import upsert
from bridge.store.rows import Model

Mode = Literal["full", "delta"]
END = ""
"""The cursor behind the last page; Kombo's own are never empty."""

OVERLAP_MS = 5 * 60 * 1000
"""How much further back than the last pass the next one over changes reads: Kombo's clock is not ours, and what it was
just writing when it answered may carry an earlier moment than the answer."""

CLOCKS_APART_MS = 10 * 60 * 1000
"""By how much the clocks of nodes may differ before a moment noted by another is taken for wrong."""

RESUMABLE_MS = 6 * 3600 * 1000
"""How old a pass may be and still go on: a guess, as Kombo says of no cursor how long it is good for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One model of one integration.

    `started_at` is the beginning of the latest pass, `finished_at` that of the latest that came to its end, `full_at`
    of the latest such full one. `read_at` is that of the latest by which nothing has been left out since a full pass;
    None once a full one had rows that could not be read. `as_of` follows it, but for what is held back: of then the
    model is known completely. `newest_at` is the latest `changed_at` shown by then, and `newest_here` by the pass under
    way; `number` counts the full passes that have begun. `failures` in a row, nothing is tried again until `retry_at`.
    """

    integration_id: str
    model: Model
    started_at: int
    finished_at: int | None = None
    as_of: int | None = None
    mode: Mode | None = None
    cursor: str | None = None
    rows: int | None = None
    full_at: int | None = None
    wanted_at: int | None = None
    number: int | None = None
    read_at: int | None = None
    newest_at: int | None = None
    newest_here: int | None = None
    unreadable: int | None = None
    failures: int | None = None
    retry_at: int | None = None

    @property
    def changed_since(self) -> int:
        """What a pass over changes asks for.

        A little before the last one began. Had our clock been ahead then, changes since would carry earlier moments; so
        it also asks for whatever is later than the latest change that Kombo itself had shown by its end, which is
        nothing more where the clock was right. Where it was not, what changed during that pass on a page that it had
        read already may wait for the next full one.
        """
        base = self.read_at if self.read_at is not None else self.full_at or 0
        since = base - OVERLAP_MS
        return max(since if self.newest_at is None else min(since, self.newest_at + 1), 0)

    def needs_full(self, moment: int) -> bool:
        """Whether what changed is not to be had: nothing was ever read, or the clock has been set back since.

        By little does no harm: see `changed_since`.
        """
        return self.full_at is None or self.started_at > moment + CLOCKS_APART_MS

    def resumable(self, moment: int, *, full: bool) -> bool:
        """Whether the pass under way, if any, goes on instead of a new one."""
        return (
            self.mode is not None
            and self.cursor is not None
            and (self.mode == "full" or not full)
            and -CLOCKS_APART_MS <= moment - self.started_at <= RESUMABLE_MS
        )


def of(connection: Connection, integration_id: str) -> Mapping[Model, Progress]:
    """The models of one integration; absent are those never begun."""
    found = connection.execute(select(tables.syncs).where(tables.syncs.c.integration_id == integration_id))
    return {row.model: Progress(**row._mapping) for row in found}


def every(connection: Connection) -> Mapping[str, Mapping[Model, Progress]]:
    """All of them, by integration id."""
    found: dict[str, dict[Model, Progress]] = {}
    for row in connection.execute(select(tables.syncs)):
        found.setdefault(row.integration_id, {})[row.model] = Progress(**row._mapping)
    return found


def want(connection: Connection, integration_id: str, models: Collection[Model], moment: int) -> None:
    """Ask for the changes of some models to be read soon, on whichever node. One never read is due anyway.

    Any number of such wishes are one. `moment`, in milliseconds, is only noted: the next pass that begins is an answer.
    """
    row = tables.syncs.c
    same = (row.integration_id == integration_id) & row.model.in_(models)
    connection.execute(update(tables.syncs).where(same).values(wanted_at=moment))


def wanted(connection: Connection, moment: int) -> set[str]:
    """The integrations of which something is wanted and may be asked for."""
    row = tables.syncs.c
    query = select(row.integration_id).where(row.wanted_at.is_not(None), func.coalesce(row.retry_at, 0) <= moment)
    return set(connection.execute(query).scalars())


def begin(connection: Connection, integration_id: str, model: Model, mode: Mode, moment: int) -> Progress:
    """A new pass, in place of any under way; what was wanted up to now it will show."""
    known = of(connection, integration_id).get(model) or Progress(integration_id, model, moment)
    begun = replace(
        known,
        started_at=moment,
        mode=mode,
        cursor=None,
        rows=0,
        unreadable=0,
        newest_here=None,
        wanted_at=None,
        number=(known.number or 0) + (mode == "full"),
    )
    upsert(connection, tables.syncs, [asdict(begun)])
    return begun


def advance(
    connection: Connection, now: Progress, *, cursor: str | None, rows: int, unreadable: int, newest: int | None
) -> Progress:
    """One more page has been kept, or a part of one, behind which the pass does not stand yet."""
    moments = [moment for moment in (now.newest_here, newest) if moment is not None]
    ahead = replace(
        now,
        cursor=cursor,
        rows=(now.rows or 0) + rows,
        unreadable=(now.unreadable or 0) + unreadable,
        newest_here=max(moments, default=None),
        failures=None,
        retry_at=None,
    )
    _note(connection, ahead, ("cursor", "rows", "unreadable", "newest_here", "failures", "retry_at"))
    return ahead


def finish(connection: Connection, now: Progress, *, held: bool) -> Progress:
    """The pass has come to its end. With `held`, what it showed is not all in the directory yet."""
    newest = [moment for moment in (now.newest_here, now.newest_at) if moment is not None]
    done = replace(now, finished_at=now.started_at, mode=None, cursor=None, failures=None, retry_at=None)
    if now.mode == "full":
        done = replace(done, full_at=now.started_at, newest_at=now.newest_here)
        done = replace(done, read_at=None if now.unreadable else now.started_at)
    elif not now.unreadable and now.read_at is not None:
        done = replace(done, read_at=now.started_at, newest_at=max(newest, default=None))
    if not held and done.read_at is not None:
        done = replace(done, as_of=done.read_at)
    names = ("finished_at", "mode", "cursor", "failures", "retry_at", "full_at", "newest_at", "read_at", "as_of")
    _note(connection, done, names)
    return done


def fail(connection: Connection, integration_id: str, model: Model, failures: int, retry_at: int) -> None:
    """A pass has failed, for the so-manieth time in a row; where it stands, it stays."""
    row = tables.syncs.c
    same = (row.integration_id == integration_id) & (row.model == model)
    connection.execute(update(tables.syncs).where(same).values(failures=failures, retry_at=retry_at))


def _note(connection: Connection, now: Progress, names: Iterable[str]) -> None:
    row = tables.syncs.c
    same = (row.integration_id == now.integration_id) & (row.model == now.model)
    connection.execute(update(tables.syncs).where(same).values({name: getattr(now, name) for name in names}))
