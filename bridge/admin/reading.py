"""How the admin page reads the state: a little at a time, so that no login waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.store.engine import READERS, Store

T = TypeVar("T")

AT_ONCE = READERS // 2
PATIENCE_SECONDS = 10.0


class Reader:
    """Never has more than half of the store's readers, however many pages are asked for and however slow the state."""

    def __init__(self, store: Store, *, patience: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._patience = patience
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """As `Store.read`; see `run`."""
        return await self.run(lambda store: _read(store, work))

    async def run(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """What `work` comes to, which reads one thing after the other.

        Raises `StateError`, also where it takes too long; what was begun then goes on by itself, and keeps its turn as
        long.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
                working = asyncio.ensure_future(work(self._store))
                working.add_done_callback(self._done)
                return await asyncio.shield(working)
        except TimeoutError as error:
            raise StateError(f"the state has not answered within {self._patience:g} s") from error

    def _done(self, working: asyncio.Future[T]) -> None:
        self._turns.release()
        if not working.cancelled():
            working.exception()  # whoever waited may have gone, and asyncio would complain that nobody looked


async def _read(store: Store, work: Callable[[Connection], T]) -> T:
    return await store.read(work)
