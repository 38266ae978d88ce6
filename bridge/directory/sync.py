"""Passes over an integration: everything, or what changed since the last; in pages, each on disk before the next.

A page is kept in one transaction with the place where the pass stands, so that one which was cut off goes on from
there. A pass with rows that could not be read is no proof of absence and moves no moment on: what it left out is asked
for again.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Table

from bridge.directory import fuse
from bridge.errors import KomboRefused, KomboUnavailable, StateError
from bridge.kombo.answers import Page
from bridge.kombo.client import MAX_PAGES, PAGE_SIZE, KomboClient
from bridge.store import directory, people, rows, syncs, tables
from bridge.store.engine import Store, learn, now_ms
from bridge.store.rows import MODELS, Model
from bridge.store.syncs import END, Mode, Progress

KEPT_MS = 30 * 24 * 3600 * 1000
"""How long a deleted row is kept after Kombo last showed it, without anything personal in it."""

GROWTH = 4
"""By how much a table may have grown since the database last looked at it."""

MOST_ROWS = MAX_PAGES * PAGE_SIZE
"""What is too much for one list is too much for a pass that goes on with it again and again."""

Show = Callable[[Model, int], None]
Permit = Callable[[Connection], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over one model did, by its end.

    `removed` rows were absent from a full one; with unreadable ones it is no proof of absence, so that nothing is.
    `lost` people were deleted, deactivated or blanked, and `held` ones of `held_of` would be, but stay as they were.
    """

    model: Model
    mode: Mode
    rows: int
    removed: int = 0
    unreadable: int = 0
    lost: int = 0
    held: int = 0
    held_of: int = 0


class Sync:
    """Reads one integration into the store. `permit` is asked inside every write, and raises to forbid it.

    `tenant` is whose it is, for the log and for what is noted of it.
    """

    def __init__(
        self, store: Store, client: KomboClient, integration_id: str, permit: Permit | None = None, *, tenant: str = ""
    ) -> None:
        self._store = store
        self._client = client
        self._integration_id = integration_id
        self._permit = permit
        self._tenant = tenant

    async def run(self, show: Show | None = None, *, full: bool = False) -> list[Pass]:
        """Read every model once: what changed, or everything where `full` or where that has never been done.

        One that Kombo refuses does not keep the others from being read; the refusal is raised in the end. Raises
        `KomboError` and `StateError`; the pages read so far then stay.
        """
        passes: list[Pass] = []
        refused: list[KomboRefused] = []
        for model in MODELS:
            try:
                passes.append(await self.read(model, full=full, show=show))
            except KomboRefused as error:
                refused.append(error)
        if refused:
            raise refused[0]
        return passes

    async def read(self, model: Model, *, full: bool = False, show: Show | None = None) -> Pass:
        """One pass over one model, or the rest of one that was cut off. Raises as above."""
        known = (await self._store.read(lambda c: syncs.of(c, self._integration_id))).get(model)
        if known and known.resumable(now_ms(), full=full):
            try:
                return await self._finish(await self._read(known, show))
            except KomboRefused as error:
                if not _about_the_cursor(error):
                    raise
        if known and known.mode and model == "users":
            await self._decide()
        mode: Mode = "full" if full or known is None or known.needs_full(now_ms()) else "delta"
        begun = await self._write(partial(self._begin, model=model, mode=mode))
        return await self._finish(await self._read(begun, show))

    async def confirm(self) -> int:
        """Let what is held now be taken by the next pass over the people; how many are held."""
        return await fuse.confirm(self._store, self._write, self._integration_id, self._tenant)

    def _begin(self, connection: Connection, model: Model, mode: Mode) -> Progress:
        return syncs.begin(connection, self._integration_id, model, mode, now_ms())

    async def _read(self, now: Progress, show: Show | None) -> Progress:
        """Every page from where the pass stands. A large one is written in parts, and read again if it was cut off."""
        if now.cursor == END:
            return now
        read, learn_at = 0, GROWTH
        async with contextlib.aclosing(self._pages(now)) as pages:
            async for page, asked_at in pages:
                if (now.rows or 0) >= MOST_ROWS:
                    raise KomboUnavailable(f"Kombo's list of {now.model} does not end: {now.rows} rows so far")
                for part, cursor in _parts(page, now.cursor):
                    now = await self._write(partial(self._keep, now=now, part=part, cursor=cursor, asked_at=asked_at))
                read += 1
                if read == learn_at:
                    await self._learn(now.model)
                    learn_at *= GROWTH
                if show:
                    show(now.model, now.rows or 0)
        return now

    async def _learn(self, model: Model) -> None:
        filled = rows.TABLES[model] + ((tables.held_users,) if model == "users" else ())
        with contextlib.suppress(StateError):  # it goes on without, only more slowly
            await self._store.write(partial(learn, tables=filled))

    async def _pages(self, now: Progress) -> AsyncGenerator[tuple[Page[Any], int], None]:
        """Pages, each with the moment at which it was asked for."""
        client = self._client
        lists: dict[Model, Any] = {
            "users": client.users,
            "courses": client.courses,
            "progressions": client.progressions,
        }
        changed = now.mode == "delta"
        since = datetime.fromtimestamp(now.changed_since / 1000, UTC) if changed else None
        found = lists[now.model](updated_after=since, include_deleted=changed, cursor=now.cursor)
        async with contextlib.aclosing(found) as pages:
            asked_at = now_ms()
            async for page in pages:
                yield page, asked_at
                asked_at = now_ms()

    def _keep(
        self, connection: Connection, now: Progress, part: Page[Any], cursor: str | None, asked_at: int
    ) -> Progress:
        directory.save_page(connection, self._integration_id, now.model, part, asked_at)
        newest = directory.newest_change(part)
        return syncs.advance(connection, now, cursor=cursor, rows=len(part), unreadable=part.unreadable, newest=newest)

    async def _finish(self, now: Progress) -> Pass:
        """Conclude what can be concluded from a pass that has been read to its end."""
        mode, unreadable = now.mode or "delta", now.unreadable or 0
        removed = 0
        if mode == "full" and not unreadable:
            for table in rows.TABLES[now.model]:
                removed += await self._drop_absent(now, table)
        decision = await self._decide() if now.model == "users" else fuse.Decision(0, 0, 0)
        await self._write(lambda c: syncs.finish(c, now, held=decision.held > 0))
        return Pass(now.model, mode, now.rows or 0, removed, unreadable, decision.lost, decision.held, decision.of)

    async def _drop_absent(self, now: Progress, table: Table) -> int:
        """Delete what a full pass did not show, and forget what was deleted long ago; how much was deleted."""
        number = now.number or 0
        look = partial(
            rows.unseen, table=table, integration_id=self._integration_id, in_=number, before=now_ms() - KEPT_MS
        )
        after: str | None = ""
        removed = 0
        while after is not None:
            found = await self._store.read(partial(look, after=after))
            if found:
                removed += await self._write(partial(self._drop, table=table, found=found, number=number))
            after = found.last
        return removed if "deleted_at" in table.c else 0

    def _drop(self, connection: Connection, table: Table, found: rows.Unseen, number: int) -> int:
        integration, moment = self._integration_id, now_ms()
        rows.forget(connection, table, integration, found.forgotten)
        if table is tables.users:
            return people.absent(connection, integration, found.living, number, moment)
        return rows.bury(connection, table, integration, found.living, number, moment)

    async def _decide(self) -> fuse.Decision:
        return await fuse.decide(self._store, self._write, self._integration_id, self._tenant)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        def permitted(connection: Connection) -> T:
            if self._permit:
                self._permit(connection)
            return work(connection)

        return await self._store.write(permitted)


def _parts(page: Page[Any], stood: str | None) -> Iterator[tuple[Page[Any], str | None]]:
    """A page as it is written: at once, unless Kombo gives more than was asked for, or courses of many revisions.

    Each part comes with where the pass stands then: before the page, until the last of it is kept.
    """
    part: list[Any] = []
    size = 0
    for row in page:
        if size >= rows.CHUNK:
            yield Page(part), stood
            part, size = [], 0
        part.append(row)
        size += 1 + len(getattr(row, "revisions", ()))
    yield Page(part, unreadable=page.unreadable, next=page.next), END if page.next is None else page.next


def _about_the_cursor(error: KomboRefused) -> bool:
    """Whether a pass that goes on where it stood may have been refused for that: a guess, as no code for it is known.

    A word about the integration, or about our key, is none.
    """
    return not error.kombo_code.startswith("INTEGRATION.") and error.status not in (401, 403)
