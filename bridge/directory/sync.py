"""One full pass over an integration: users, courses, progressions, in pages, each on disk before the next is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from bridge.kombo.answers import Page
from bridge.kombo.client import KomboClient
from bridge.store import directory
from bridge.store.directory import Model
from bridge.store.engine import Store, now_ms

Save = Callable[[Connection, str, Any, int], None]
Progress = Callable[[Model, int], None]
Permit = Callable[[Connection], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over one model did. With unreadable rows it is no proof of absence, so nothing was removed."""

    model: Model
    rows: int
    removed: int
    unreadable: int


class Sync:
    """Reads one integration into the store. `permit` is asked inside every write, and raises to forbid it."""

    def __init__(self, store: Store, client: KomboClient, integration_id: str, permit: Permit | None = None) -> None:
        self._store = store
        self._client = client
        self._integration_id = integration_id
        self._permit = permit

    async def run(self, progress: Progress | None = None) -> list[Pass]:
        """Read everything once. Only what a completed pass did not show is dropped: an interrupted one removes nothing.

        Raises `KomboError` and `StateError`; the pages read so far then stay.
        """
        client = self._client
        sources: list[tuple[Model, AsyncIterator[Page[Any]], Save]] = [
            ("users", client.users(), directory.save_users),
            ("courses", client.courses(), directory.save_courses),
            ("progressions", client.progressions(), directory.save_progressions),
        ]
        return [await self._read(model, pages, save, progress) for model, pages, save in sources]

    async def _read(self, model: Model, pages: AsyncIterator[Page[Any]], save: Save, progress: Progress | None) -> Pass:
        integration, started = self._integration_id, now_ms()
        await self._write(lambda c: directory.begin(c, integration, model, started))
        total = unreadable = 0
        async for page in pages:
            await self._save(save, page, started)
            total += len(page)
            unreadable += page.unreadable
            if progress:
                progress(model, total)
        if unreadable:
            await self._write(lambda c: directory.finish(c, integration, model, started))
            return Pass(model, total, 0, unreadable)
        removed = await self._write(lambda c: directory.complete(c, integration, model, started))
        return Pass(model, total, removed, 0)

    async def _save(self, save: Save, page: Page[Any], started: int) -> None:
        await self._write(lambda c: save(c, self._integration_id, page, started))

    async def _write(self, work: Callable[[Connection], T]) -> T:
        def permitted(connection: Connection) -> T:
            if self._permit:
                self._permit(connection)
            return work(connection)

        return await self._store.write(permitted)
