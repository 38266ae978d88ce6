"""Cryptography and XML off the event loop, a few messages at a time (some milliseconds of CPU each)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from bridge.errors import Code, Refusal

T = TypeVar("T")

AT_ONCE = 2
WAITING = 200
STRANGERS_WAITING = 20


class Turns:
    """How many messages are worked on at once, whatever comes: one bound for all who read and sign them."""

    def __init__(self, at_once: int = AT_ONCE, *, waiting: int = WAITING, of: Turns | None = None) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._free = at_once + waiting
        self._of = of

    def share(self, at_once: int) -> Turns:
        """For one kind of message: at most so many of the turns, so that the others get theirs however many come."""
        return Turns(at_once, waiting=STRANGERS_WAITING, of=self)

    async def take(self, work: Callable[[], T]) -> T:
        """The result of `work`, in a thread, when it is its turn; what it raises comes through.

        Raises `Refusal` (`user_unknown`, 503) where too many wait already, each with a message in memory.
        """
        if self._free <= 0:
            raise Refusal(Code.USER_UNKNOWN, "too many messages wait for their turn")
        self._free -= 1
        try:
            async with self._turns:
                return await (self._of.take(work) if self._of else asyncio.to_thread(work))
        finally:
            self._free += 1
