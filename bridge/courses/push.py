"""An offer on its way to Kombo: only what changed, in chunks, until each course has its Kombo id or its own error.

Everything that matters is in the store before the next step is taken, so a push may be cut off anywhere and the next
one goes on: a task whose id is known is asked for again, and what was sent without an answer is sent once more, which
does no harm, because Kombo creates or updates a course by its origin id. Two pushes at once take turns at sending, so
that of two versions Kombo gets the later one last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import Connection

from bridge.courses.fates import refusal
from bridge.courses.offer import Offered
from bridge.courses.tasks import LEASE_MS, Tasks, lease_of
from bridge.directory.sync import Permit
from bridge.directory.turns import new_holder, turn
from bridge.errors import KomboError, KomboRefused, KomboUnavailable
from bridge.kombo.client import KomboClient
from bridge.kombo.meanings import meaning
from bridge.store import courses, lookups
from bridge.store.engine import Store, length_ms, now_ms

CHUNK = 50
"""Courses in one task. A guess: Kombo publishes no limit, and in some LMSs the courses of a task share one fate."""

GIVEN_UP_MS = length_ms(timedelta(days=1))
"""After so long without an end, a task may be given up by `again`. A guess: with SuccessFactors a long one takes hours,
and one of which Kombo never told the end would keep its courses as they are for ever."""

Outcome = Literal["created", "updated", "pushed", "unchanged", "failed", "pending", "not sent", "unknown"]
FAILURES: frozenset[Outcome] = frozenset({"failed", "not sent", "unknown"})
OPEN: frozenset[Outcome] = frozenset({"pending", "not sent", "unknown"})
OTHERS_TURN = "another process sends or closes courses of this integration just now: push again"
Show = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two rounds: `first`, each `growth` times the last, and short again once a task has ended."""

    first: float = 2.0
    longest: float = 60.0
    growth: float = 1.6


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one course.

    `pushed` is created or updated: before the first sync nobody can tell. `unknown` was sent, and no answer came.
    """

    origin_id: str
    title: str
    outcome: Outcome
    course_id: str | None = None
    code: str = ""
    message: str = ""


class Push:
    """One offer to one integration, carried out once. `show` is told how many courses are done, of how many."""

    def __init__(
        self,
        store: Store,
        client: KomboClient,
        integration_id: str,
        offered: Sequence[Offered],
        *,
        again: bool = False,
        pace: Pace | None = None,
        show: Show = lambda _done, _all: None,
    ) -> None:
        self._store = store
        self._client = client
        self._integration_id = integration_id
        self._offered = offered
        self._again = again
        self._pace = pace or Pace()
        self._show = show
        self._tasks = Tasks(store, client, integration_id)
        self._holder = new_holder()
        self._is_held_up = False
        self._sent: set[str] = set()
        self._ended: set[str] = set()
        self._known: set[str] = set()
        self._synced: bool | None = None
        self._trouble = ""
        self._unheard = ""
        self.waits = False

    async def run(self, wait: float) -> list[Result]:
        """The result of each course, after at most `wait` seconds of waiting. Raises `StateError`.

        Run again, it goes on waiting, if it `waits`.
        """
        if self._synced is None:
            self._known, self._synced = await self._store.read(self._seen)
        clock = asyncio.get_running_loop().time
        until, pause = clock() + wait, self._pace.first
        while True:
            ended = await self._look()
            if not self._trouble:
                await self._send_due()
            rows = await self._rows()
            results = [self._result(each, rows.get(each.item.origin_id)) for each in self._offered]
            self._show(sum(result.outcome not in OPEN for result in results), len(results))
            self.waits = ended is not None and (self._is_held_up or self._is_with_kombo(rows))
            if not self.waits or clock() >= until:
                return results
            pause = self._pace.first if ended else min(pause * self._pace.growth, self._pace.longest)
            await asyncio.sleep(max(0.0, min(pause, until - clock())))

    async def _look(self) -> frozenset[str] | None:
        """The origin ids of the tasks that have ended now; None where Kombo will not say, however often it is asked."""
        try:
            ended = await self._tasks.look()
        except KomboUnavailable as error:
            self._unheard = str(error)
            return frozenset()
        except KomboRefused as error:
            self._trouble = _said(error)
            return None
        self._ended |= ended
        self._unheard = ""
        return ended

    async def _send_due(self) -> None:
        self._is_held_up = False
        if not self._due(await self._rows()):
            return
        async with turn(self._store, lease_of(self._integration_id), self._holder, LEASE_MS) as permit:
            self._is_held_up = permit is None
            if permit:
                await self._send_all(permit)

    async def _send_all(self, permit: Permit) -> None:
        rows = await self._rows()
        due = self._due(rows)
        pushed = (rows.get(each.item.origin_id) for each in due)
        self._known |= {row.origin_id for row in pushed if row and row.course_id}
        for start in range(0, len(due), CHUNK):
            if self._trouble:
                return
            await self._send(due[start : start + CHUNK], permit)

    async def _send(self, chunk: Sequence[Offered], permit: Permit) -> None:
        def begin(connection: Connection) -> None:
            permit(connection)
            courses.begin(connection, self._integration_id, sent)

        sent = [courses.Push(each.item.origin_id, each.digest, each.item.title, "sending", now_ms()) for each in chunk]
        await self._store.write(begin)
        self._sent.update(push.origin_id for push in sent)
        try:
            task_id = await self._client.push_courses([each.item for each in chunk])
        except KomboRefused as error:
            fate = refusal(error.kombo_code, error.message)
            await self._store.write(lambda c: courses.refused(c, self._integration_id, sent, fate))
            if error.kombo_code != "PLATFORM.INPUT_INVALID":  # that is about these courses; all else meets every one
                self._trouble = _said(error)
        except KomboUnavailable as error:
            self._trouble = _said(error)
        else:
            await self._store.write(lambda c: courses.started(c, self._integration_id, sent, task_id))

    def _due(self, rows: Mapping[str, courses.Push]) -> list[Offered]:
        return [each for each in self._offered if self._is_due(each, rows.get(each.item.origin_id))]

    def _is_due(self, offered: Offered, row: courses.Push | None) -> bool:
        return offered.item.origin_id not in self._sent and is_due(offered, row, again=self._again)

    def _is_with_kombo(self, rows: Mapping[str, courses.Push]) -> bool:
        """Whether any of the courses still is."""
        found = (rows.get(each.item.origin_id) for each in self._offered)
        return any(row.state == "pending" for row in found if row)

    async def _rows(self) -> Mapping[str, courses.Push]:
        return await self._store.read(lambda c: courses.pushes(c, self._integration_id))

    def _seen(self, connection: Connection) -> tuple[set[str], bool]:
        """The origin ids that some course has had, and whether those are all."""
        known = courses.known_origins(connection, self._integration_id)
        return known, "courses" in lookups.synced(connection, self._integration_id)

    def _result(self, offered: Offered, row: courses.Push | None) -> Result:
        origin_id, title = offered.item.origin_id, offered.item.title
        if row is None or self._is_due(offered, row):
            message = OTHERS_TURN if self._is_held_up else self._trouble
            return Result(origin_id, title, "not sent", message=message)
        if row.state == "sending":
            message = f"{self._trouble or 'no answer came'}; the next push sends it again, which does no harm"
            return Result(origin_id, title, "unknown", row.course_id, message=message)
        if row.state == "pending":
            older = "an earlier version is under way: push again once it is done, or with --again after a day"
            message = self._trouble or self._unheard if row.digest == offered.digest else older
            return Result(origin_id, title, "pending", row.course_id, message=message)
        if row.state != "done":
            return Result(origin_id, title, "failed", row.course_id, row.code or "", row.message or "")
        outcome: Outcome = "unchanged"
        if origin_id in self._sent | self._ended:
            outcome = "updated" if origin_id in self._known else "created" if self._synced else "pushed"
        return Result(origin_id, title, outcome, row.course_id)


def is_due(offered: Offered, row: courses.Push | None, *, again: bool = False) -> bool:
    """Whether a course is to be sent. Not while a task has it: nobody knows which of two versions would win."""
    if row and row.state == "pending":
        return again and now_ms() - row.changed_at > GIVEN_UP_MS
    return again or row is None or row.state != "done" or row.digest != offered.digest


def _said(error: KomboError) -> str:
    clause = meaning(error.kombo_code) if isinstance(error, KomboRefused) else None
    return f"{error}: {clause}" if clause else str(error)
