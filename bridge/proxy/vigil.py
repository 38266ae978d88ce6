"""Streams end with their sessions, and last as long as they do.

A request is decided once, and what came of it may go on for hours: a WebSocket, an event stream, a download. So each
process asks again, in rounds, about the session of whatever is under way when a round begins. A request costs nothing
by that, and nothing is kept of it here: what is under way is found where it is.

What has lost its session is cut. Bytes of a WebSocket pass unread, so a close frame could come to stand in the middle
of another frame; and an answer that was ended in order would look complete.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import islice

import structlog

from bridge.errors import StateError
from bridge.exchange import Decider
from bridge.proxy.sending import Sending
from bridge.proxy.upstream import UpstreamPool

log = structlog.get_logger()

ROUND_SECONDS = 2.5
"""Half of what a session may be held in a cache, as for a stream that a cache let through both are waited for."""
ANSWER_SECONDS = 10.0
UNHEARD_SECONDS = 60.0
CHUNK = 250
"""So many sessions are asked about at a time; in between, the state answers others and the loop goes on."""


class Vigil:
    """Asks `decider` every `every` seconds about the sessions of what is under way on the connections of `pool`.

    Where nothing could be learnt for `unheard` seconds, nobody can say that a session still lives, and whatever has one
    is cut.
    """

    def __init__(
        self,
        pool: UpstreamPool,
        decider: Decider,
        *,
        every: float = ROUND_SECONDS,
        answer: float = ANSWER_SECONDS,
        unheard: float = UNHEARD_SECONDS,
    ) -> None:
        self._pool = pool
        self._decider = decider
        self._every = every
        self._answer = answer
        self._unheard = unheard
        self._failing_since: float | None = None
        self._said = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            began = time.monotonic()
            try:
                await self._look()
            except (StateError, TimeoutError) as error:
                await self._learnt_nothing(began, str(error) or f"no answer within {self._answer:g} s")
            except Exception as error:  # a defect of ours must not end the watch
                log.exception("vigil_failed")
                await self._learnt_nothing(began, type(error).__name__)
            else:
                self._failing_since, self._said = None, False

    async def _look(self) -> None:
        under_way = self._under_way()
        for names in _chunks(under_way):
            async with asyncio.timeout(self._answer):
                standing = await self._decider.standing(names)
            now = time.monotonic()
            for name in names:
                _tell(under_way[name], standing.get(name, now))

    def _under_way(self) -> dict[str, list[Sending]]:
        """What has a session, by its name. It may have come to its end before it is told of the session's."""
        found: dict[str, list[Sending]] = {}
        for relay in self._pool.relays:
            if (name := relay.session) is not None:
                found.setdefault(name, []).append(relay)
        return found

    async def _learnt_nothing(self, began: float, reason: str) -> None:
        """Cut what has a session where that has gone on for too long; says so once each time."""
        if self._failing_since is None:
            self._failing_since = began
            log.warning("streams_unwatched", reason=reason, cut_after_seconds=self._unheard)
        if time.monotonic() - self._failing_since < self._unheard:
            return
        under_way = self._under_way()
        if under_way and not self._said:
            self._said = True
            log.error("streams_cut", reason=reason, sessions=len(under_way))
        for names in _chunks(under_way):
            now = time.monotonic()
            for name in names:
                _tell(under_way[name], now)
            await asyncio.sleep(0)


def _tell(relays: Iterable[Sending], until: float) -> None:
    for relay in relays:
        try:
            relay.lasts(until)
        except Exception:  # one that fails must not keep the others alive
            log.exception("stream_not_told")


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    left = iter(names)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
