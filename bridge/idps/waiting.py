"""What waits to be fetched, in an order that lets nobody who is slow hold up the others.

A fetch from a host that answers nothing takes as long as its deadline, and there are few at a time. So what nobody has
tried yet goes first, and tenants whose host has just shown that it stalls go last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from enum import IntEnum
from urllib.parse import urlsplit

from bridge.store.idps import Key


class Lane(IntEnum):
    """In which order they are taken."""

    NEW = 0
    """Nobody can log in, and nobody has tried to change that. The last to come is the first to go, so that whoever
    adds a tenant does not wait for all those that were added before."""
    DUE = 1
    FAILED = 2


class Waiting:
    """Each key is in it once, from `add` to `done`, so that what is planned anew while it waits is not done twice."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Key]] = {lane: deque() for lane in Lane}
        self._count = asyncio.Semaphore(0)
        self._there: set[Key] = set()
        self._stalled: set[str] = set()

    def add(self, keys: Collection[Key], lane: Lane) -> None:
        for key in keys:
            if key not in self._there:
                self._there.add(key)
                if lane is Lane.NEW:
                    self._lanes[lane].appendleft(key)
                else:
                    self._lanes[lane].append(key)
                self._count.release()

    async def take(self) -> Key:
        """The next one, as soon as there is one; it gives way if its host has begun to stall while it waited."""
        await self._count.acquire()
        failed = self._lanes[Lane.FAILED]
        for lane in (self._lanes[Lane.NEW], self._lanes[Lane.DUE]):
            while lane:
                key = lane.popleft()
                if _host(key) not in self._stalled:
                    return key
                failed.append(key)
        return failed.popleft()

    def done(self, key: Key) -> None:
        """It may be added again."""
        self._there.discard(key)

    def judge(self, key: Key, *, stalls: bool) -> None:
        """Remember how the key's host was the last time."""
        (self._stalled.add if stalls else self._stalled.discard)(_host(key))

    def keep(self, known: Collection[Key]) -> None:
        """Forget the hosts that no key names any more."""
        if self._stalled:
            self._stalled &= {_host(key) for key in known}


def _host(key: Key) -> str:
    return urlsplit(key.url).netloc.lower()
