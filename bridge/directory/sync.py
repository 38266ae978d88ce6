"""One full pass over an integration: users, courses, progressions, in pages, each page on disk before the next is
asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bridge.kombo.answers import Page
from bridge.kombo.client import KomboClient
from bridge.store import directory
from bridge.store.directory import Model
from bridge.store.engine import Store, now_ms

Save = Callable[[Connection, str, Any, int], None]
Progress = Callable[[Model, int], None]


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over one model did. With unreadable rows it is no proof of absence, so nothing was removed."""

    model: Model
    rows: int
    removed: int
    unreadable: int


async def sync_fully(
    store: Store, client: KomboClient, integration_id: str, progress: Progress | None = None
) -> list[Pass]:
    """Read everything once. Only what a completed pass did not show is dropped: an interrupted one removes nothing.

    Raises `KomboError` and `StateError`; the pages read so far then stay.
    """
    sources: list[tuple[Model, AsyncIterator[Page[Any]], Save]] = [
        ("users", client.users(), directory.save_users),
        ("courses", client.courses(), directory.save_courses),
        ("progressions", client.progressions(), directory.save_progressions),
    ]
    return [await _read_model(store, integration_id, model, pages, save, progress) for model, pages, save in sources]


def _saved(save: Save, integration_id: str, page: Page[Any], seen_at: int, connection: Connection) -> None:
    save(connection, integration_id, page, seen_at)


async def _read_model(
    store: Store,
    integration_id: str,
    model: Model,
    pages: AsyncIterator[Page[Any]],
    save: Save,
    progress: Progress | None,
) -> Pass:
    started = now_ms()
    await store.write(lambda connection: directory.begin(connection, integration_id, model, started))
    total = unreadable = 0
    async for page in pages:
        await store.write(partial(_saved, save, integration_id, page, started))
        total += len(page)
        unreadable += page.unreadable
        if progress:
            progress(model, total)
    if unreadable:
        return Pass(model, total, 0, unreadable)
    removed = await store.write(lambda connection: directory.complete(connection, integration_id, model, started))
    return Pass(model, total, removed, 0)
