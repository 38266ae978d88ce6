"""One entry's way to Kombo: looked up, enrolled where nobody is, completed, and every step on disk before the next.

Kombo has no idempotency key. So each call is noted before it is made; where its outcome is unknown (a crash, a
timeout, a cut answer) Kombo is asked what is there before the call is made again. See `Pace` for how long that waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from bridge.errors import KomboError, StateError
from bridge.gate.gate import best_of
from bridge.kombo.client import KomboClient, askable
from bridge.kombo.model import Progression
from bridge.outbox.aim import opening, to_complete
from bridge.outbox.pace import Pace
from bridge.outbox.traces import placed
from bridge.outbox.verdicts import Fate, Misfit, Unsendable, Verdict, did_nothing, judge
from bridge.store import directory, lookups
from bridge.store import outbox as rows
from bridge.store.engine import Store, now_ms
from bridge.store.lookups import Enrollment
from bridge.store.outbox import ALREADY, Entry, Kind

LOOK_UP_SECONDS = 20.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")
Permit = Callable[[Connection], None]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What Kombo says to have done; it is as old as its question, in milliseconds."""

    progression: Progression
    asked_at: int


class Delivery:
    """Carries entries of one integration. `permit` is asked inside every write, and raises to forbid it."""

    def __init__(self, store: Store, client: KomboClient, permit: Permit, pace: Pace) -> None:
        self._store = store
        self._client = client
        self._permit = permit
        self._pace = pace

    async def carry(self, entry: Entry) -> Verdict | None:
        """Take an entry as far as it goes now; what stood in its way, which is on disk by then. Raises `StateError`,
        after which everything is as the last write left it.
        """
        try:
            await self._forward(entry)
        except StateError:
            raise
        except (KomboError, Unsendable) as error:
            return await self._failed(entry, judge(error))
        except Exception as error:
            log.exception("outbox_entry_failed", tenant=entry.tenant, entry=entry.id)
            return await self._failed(entry, judge(error))
        return None

    async def _forward(self, entry: Entry) -> None:
        found: Entry | None = entry
        if entry.progression_id is None:
            found = await self._placed(entry)
        if found and found.kind == "complete":
            await self._complete(found)

    async def _placed(self, entry: Entry) -> Entry | None:
        """The entry with the progression that it is about, enrolled if there was none; None where that was all."""
        if entry.kind == "complete" and entry.sending is None:
            ours = await self._store.read(lambda c: placed(c, entry))
            if ours is not None:
                return await self._adopted(entry, ours)
        live = await self._look_up(entry)
        return await (self._among(entry, live) if live else self._enroll(entry))

    async def _among(self, entry: Entry, live: list[Enrollment]) -> Entry | None:
        """As `_placed`, where there are some."""
        written = await self._store.read(
            lambda c: rows.written(c, entry.integration_id, entry.user_id, entry.course, beside=entry.number)
        )
        target = to_complete(live, written, entry.completed_at or entry.created_at)
        if target is None or entry.kind == "enroll":
            await self._nothing_to_write(entry, best_of(live))
            return None
        return await self._adopted(entry, target.progression_id)

    async def _enroll(self, entry: Entry) -> Entry | None:
        if entry.sending == "enroll" and await self._unsettled(entry):
            return None
        revision, courses = await self._store.read(lambda c: _revision(c, entry))
        answer = await self._call(entry, "enroll", lambda: self._client.enroll(entry.user_id, revision))
        made = answer.progression
        if made.user_id != entry.user_id or not (made.course_revision_id == revision or made.course_id in courses):
            misfit = _misfit(entry, "enroll")
            if live := await self._look_up(entry):
                return await self._among(entry, live)
            raise misfit
        if entry.kind == "enroll" or made.status == "COMPLETED":
            values = {"code": ALREADY} if entry.kind == "complete" else {}
            await self._settle(entry, answer, progression_id=made.id, **values)
            return None
        return await self._adopted(entry, made.id, answer)

    async def _complete(self, entry: Entry) -> None:
        id, moment = entry.progression_id, entry.completed_at
        assert id is not None
        if entry.sending == "complete":
            if await self._shows(entry):
                await self._settle(entry)
                return
            if await self._unsettled(entry):
                return
        when = None if moment is None else _EPOCH + timedelta(milliseconds=moment)
        answer = await self._call(entry, "complete", lambda: self._client.complete(id, when, entry.score))
        if answer.progression.user_id != entry.user_id:
            misfit = _misfit(entry, "complete")
            if not await self._shows(entry):
                raise misfit
            await self._settle(entry)
            return
        await self._settle(entry, answer if answer.progression.id == id else None)

    async def _shows(self, entry: Entry) -> bool:
        """Whether Kombo has the entry's progression as completed; where it cannot be asked about it, no."""
        try:
            live = await self._look_up(entry)
        except Unsendable:
            return False
        return any((each.progression_id, each.status) == (entry.progression_id, "COMPLETED") for each in live)

    async def _call(self, entry: Entry, sending: Kind, call: Callable[[], Awaitable[Progression]]) -> _Answer:
        """Make a call that is noted before. The note goes where it certainly did nothing; where nobody knows, it says
        until when the call lasted, as the LMS may still be at it when a gateway in front of it has given up.
        """
        asked_at = now_ms()
        await self._change(entry, sending=sending, sent_at=asked_at)
        try:
            return _Answer(await call(), asked_at)
        except KomboError as error:
            nothing = did_nothing(error)
            await self._change(entry, sending=None if nothing else sending, sent_at=None if nothing else now_ms())
            raise

    async def _unsettled(self, entry: Entry) -> bool:
        """Whether a call that does not show may still be under way; if so, the entry is put off until the next look."""
        now = now_ms()
        sent_at = min(entry.sent_at or 0, now)  # the clock may have been set back since
        left = sent_at + self._pace.settles(entry.sending or "complete") * 1000 - now
        if left <= 0:
            return False
        later = now + round(min(left, self._pace.look_again * 1000))
        await self._change(entry, sent_at=sent_at, not_before=later)
        return True

    async def _look_up(self, entry: Entry) -> list[Enrollment]:
        """The learner's live progressions in the course as Kombo has them now; the directory learns of them."""
        integration, user_id = entry.integration_id, entry.user_id
        courses = await self._store.read(lambda c: lookups.course_ids(c, integration, entry.course))
        if not courses:
            raise Unsendable("no Kombo course has this origin id any more")
        if not all(map(askable, (user_id, *courses))):
            raise Unsendable("an id that Kombo gave has a comma in it, so that Kombo cannot be asked about it")
        found, asked_at = list[Progression](), now_ms()
        for course in courses:
            found += await self._client.progressions_of(user_id, course, deadline=LOOK_UP_SECONDS)
        answered = {row.id: row for row in found if row.user_id == user_id}

        def keep(connection: Connection) -> list[Enrollment]:
            directory.save_progressions(connection, integration, list(answered.values()), asked_at)
            known = opening(lookups.enrollments(connection, integration, user_id, courses))
            return [each for each in known if each.progression_id in answered]

        return await self._write(keep)

    async def _adopted(self, entry: Entry, progression_id: str, answer: _Answer | None = None) -> Entry | None:
        """The entry as the one completion of that progression; None where another entry is that already."""

        def adopt(connection: Connection) -> Entry | None:
            self._save(connection, entry, answer)
            if rows.adopt(connection, entry, progression_id):
                return replace(entry, progression_id=progression_id, sending=None, sent_at=None)
            rows.settle(connection, entry, now_ms(), code=ALREADY, progression_id=progression_id)
            return None

        return await self._write(adopt)

    async def _nothing_to_write(self, entry: Entry, found: Enrollment | None) -> None:
        progression_id = found.progression_id if found else None
        now = now_ms()
        await self._write(lambda c: rows.settle(c, entry, now, code=ALREADY, progression_id=progression_id))
        log.info("outbox_entry_skipped", tenant=entry.tenant, entry=entry.id, kind=entry.kind)

    async def _settle(self, entry: Entry, answer: _Answer | None = None, **values: str) -> None:
        def work(connection: Connection) -> None:
            self._save(connection, entry, answer)
            rows.settle(connection, entry, now_ms(), attempts=entry.attempts + 1, **values)

        await self._write(work)
        log.info("outbox_entry_delivered", tenant=entry.tenant, entry=entry.id, kind=entry.kind)

    def _save(self, connection: Connection, entry: Entry, answer: _Answer | None) -> None:
        """Kombo answers with the whole progression: the gate sees it at once, whenever Kombo's lists will."""
        if answer is not None:
            directory.save_progressions(connection, entry.integration_id, [answer.progression], answer.asked_at)

    async def _failed(self, entry: Entry, verdict: Verdict) -> Verdict:
        attempts, now = entry.attempts + 1, now_ms()
        refused = entry.refused + (verdict.fate is Fate.BOUNDED)
        said = {"attempts": attempts, "refused": refused, "code": verdict.code, "message": verdict.message}
        if verdict.fate is Fate.FINAL or refused >= self._pace.tries:
            await self._change(entry, state="dead", settled_at=now, **said)
            facts = {"tenant": entry.tenant, "entry": entry.id, "kind": entry.kind, "code": verdict.code}
            log.warning("outbox_entry_given_up", **facts)
        else:
            rest = round(self._pace.rest(attempts, verdict.wait) * 1000)
            await self._change(entry, not_before=now + rest, **said)
        return verdict

    async def _change(self, entry: Entry, **values: object) -> None:
        await self._write(lambda c: rows.change(c, entry.number, **values))

    async def _write(self, work: Callable[[Connection], T]) -> T:
        def permitted(connection: Connection) -> T:
            self._permit(connection)
            return work(connection)

        return await self._store.write(permitted)


def _misfit(entry: Entry, asked: Kind) -> Misfit:
    log.error("kombo_answer_rejected", tenant=entry.tenant, asked=asked, entry=entry.id)
    return Misfit(f"Kombo answered `{asked}` with a progression of somebody else, or of another course")


def _revision(connection: Connection, entry: Entry) -> tuple[str, list[str]]:
    """Where to enrol the learner, and Kombo's ids of the course."""
    courses = lookups.course_ids(connection, entry.integration_id, entry.course)
    found = rows.revision_to_enroll(connection, entry.integration_id, courses)
    if found is None:
        raise Unsendable("no revision of the course takes enrolments, as far as the directory knows")
    return found, courses
