"""Learners whose course is not open yet: when to look again, how long it usually takes, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cachetools import TTLCache

from bridge.errors import StateError
from bridge.gate.misses import Misses
from bridge.pages import reference as new_reference
from bridge.session.sessions import Entry

LOOK_AGAIN_SECONDS = (20, 45, 65, 120, 300)
"""After each look, the last from then on. Each looks into the directory; Kombo is asked once a minute at most."""
REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Wait:
    """When to look again, in seconds, and how long an assignment of this customer usually takes, if that is known.

    `reference` is that of the first look; `again` says that this was not it.
    """

    seconds: int
    usual: timedelta | None
    reference: str
    again: bool


class Waiting:
    """Remembers who waits, for as long as they go on looking."""

    def __init__(self, misses: Misses) -> None:
        self._misses = misses
        self._looks: TTLCache[tuple[str, str], tuple[int, str]] = TTLCache(REMEMBERED, LOOK_AGAIN_SECONDS[-1] * 2)

    async def refused(self, entry: Entry, course: str, reference: str | None) -> Wait:
        """`not_enrolled` was said to the session's learner; `reference` is that of the launch which tells of it."""
        key = (entry.row.digest, course)
        looked, first = self._looks.get(key, (0, ""))
        looks, reference = looked + 1, reference or first or new_reference()
        self._looks[key] = looks, reference
        if entry.person:
            self._misses.refused(entry.tenant, entry.person, course, reference)
        try:
            usual = await self._misses.usual(entry.tenant)
        except StateError:
            usual = None
        return Wait(LOOK_AGAIN_SECONDS[min(looks, len(LOOK_AGAIN_SECONDS)) - 1], usual, reference, again=looks > 1)

    def admitted(self, entry: Entry, course: str) -> None:
        """The gate is open."""
        if self._looks.pop((entry.row.digest, course), None) and entry.person:
            self._misses.opened(entry.tenant, entry.person, course)
