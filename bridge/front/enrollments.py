"""`on_launch: enroll`: whoever launches a course of the library is enrolled; the launch does not wait for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from cachetools import LRUCache

from bridge.errors import Refusal, StateError
from bridge.outbox.outbox import Outbox
from bridge.session.sessions import Entry

REMEMBERED = 50_000

log = structlog.get_logger()

_Launch = tuple[str, str]


class Enrollments:
    """Begins them: one for each session and course. What is forgotten here the outbox still knows."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._launched: LRUCache[_Launch, None] = LRUCache(REMEMBERED)
        self._under_way: set[asyncio.Task[None]] = set()

    def due(self, entry: Entry, course: str | None) -> Callable[[], None] | None:
        """What to call once the platform has shown the course; None where nothing is to be done."""
        if entry.tenant.on_launch != "enroll" or entry.person is None or course is None:
            return None
        launch = (entry.row.digest, course)
        return None if launch in self._launched else partial(self._begin, launch, entry, course)

    def _begin(self, launch: _Launch, entry: Entry, course: str) -> None:
        if launch not in self._launched:
            self._launched[launch] = None
            task = asyncio.ensure_future(self._enroll(launch, entry, course))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _enroll(self, launch: _Launch, entry: Entry, course: str) -> None:
        tenant, person = entry.tenant, entry.person
        assert person is not None
        facts = {"tenant": tenant.slug, "user": person.id, "course": course}
        try:
            id = await self._outbox.enroll(tenant, person, course, source="launch")
        except (Refusal, StateError) as error:
            log.warning("enrollment_not_noted", reason=str(error), **facts)
            if not isinstance(error, Refusal) or error.status >= 500:
                self._launched.pop(launch, None)  # the next request of the session tries again
        else:
            if id is not None:
                log.info("enrollment_noted", entry=id, **facts)
