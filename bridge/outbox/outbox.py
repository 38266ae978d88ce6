"""Accepting writes: an entry is on disk before its id is returned, and one effect is one entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from sqlalchemy import Connection

from bridge.errors import Code, Refusal
from bridge.outbox.aim import CLOCKS_DIFFER_MS, Fresh, Known, Same, of_completion, of_enrolment, opening
from bridge.outbox.traces import withdrawn
from bridge.settings.model import Tenant
from bridge.store import lookups
from bridge.store import outbox as rows
from bridge.store.engine import Store, moment_ms, now_ms
from bridge.store.lookups import Person
from bridge.store.outbox import Kind
from bridge.store.sessions import alone

Source = Literal["traffic", "header", "api", "launch"]

LONGEST_COURSE = 512
"""Characters of an origin id; Kombo's own are no longer."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be written, before anything is known of it. `stated`: the reporter said when it was completed."""

    kind: Kind
    tenant: Tenant
    user_id: str
    course: str
    source: Source
    completed_at: int | None = None
    score: int | None = None
    stated: bool = False


class Outbox:
    """Takes writes in. Who carries them to Kombo is `bridge.outbox.carrier`, on whichever node."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def complete(
        self,
        tenant: Tenant,
        person: Person,
        course: str,
        *,
        source: Source,
        completed_at: datetime | None = None,
        score: int | None = None,
    ) -> str:
        """Note that a learner completed a course; the entry's id, which is the same where the effect is there already.

        `completed_at` is an aware time; without one it is now, however long the way to Kombo takes. One in the future
        counts as now: nothing is completed later than it is reported. `score` is 0..100.

        Raises `Refusal` (`course_unknown`, or `enrollment_unknown` while no course has been read yet), `StateError`,
        and `ValueError` for another score or a time without a zone.
        """
        if score is not None and not 0 <= score <= 100:
            raise ValueError("score is not within 0..100")
        if completed_at is not None and completed_at.tzinfo is None:
            raise ValueError("a time without a zone")
        now = now_ms()
        moment = now if completed_at is None else moment_ms(completed_at)
        if moment > now + CLOCKS_DIFFER_MS:
            log.warning("completion_postdated", tenant=tenant.slug, user=person.id, course=course)
        wish = _Wish(
            "complete", tenant, person.id, course, source, min(moment, now), score, stated=completed_at is not None
        )
        id = await self._accept(wish)
        assert id is not None
        return id

    async def enroll(self, tenant: Tenant, person: Person, course: str, *, source: Source) -> str | None:
        """Note that a learner is to be enrolled in a course; None where a live progression is known already.

        Raises as `complete` does.
        """
        return await self._accept(_Wish("enroll", tenant, person.id, course, source))

    async def _accept(self, wish: _Wish) -> str | None:
        """Read first: most launches and every repeated report find their effect there, and need no write."""
        aim = await self._store.read(lambda connection: _aim(connection, wish))
        if isinstance(aim, Same):
            return aim.id
        return await self._store.write(lambda connection: _enter(connection, wish))


def _enter(connection: Connection, wish: _Wish) -> str | None:
    """One report of a learner in a course at a time, so that two at once are not taken for two effects."""
    integration = wish.tenant.integration_id
    alone(connection, f"outbox {integration} {wish.user_id} {wish.course}")
    aim = _aim(connection, wish)
    if isinstance(aim, Same):
        return aim.id
    return rows.add(
        connection,
        _effect(wish, aim),
        now_ms(),
        tenant=wish.tenant.slug,
        integration_id=integration,
        kind=wish.kind,
        user_id=wish.user_id,
        course=wish.course,
        progression_id=aim.progression_id,
        completed_at=wish.completed_at,
        score=wish.score,
        source=wish.source,
    )


def _effect(wish: _Wish, aim: Fresh) -> str:
    integration = wish.tenant.integration_id
    if aim.progression_id is not None:
        return rows.effect_on(integration, aim.progression_id)
    return rows.effect_for(integration, wish.kind, wish.tenant.slug, str(aim.after), wish.user_id, wish.course)


def _aim(connection: Connection, wish: _Wish) -> Same | Fresh:
    integration, user_id, course = wish.tenant.integration_id, wish.user_id, wish.course
    live = opening(lookups.enrollments(connection, integration, user_id, _courses(connection, integration, course)))
    if wish.kind == "enroll":
        prior = rows.latest(connection, integration, user_id, course)
        return of_enrolment(Known(live, prior, withdrawn=withdrawn(connection, prior)))
    assert wish.completed_at is not None
    if wish.stated and (same := rows.reported(connection, integration, user_id, course, wish.completed_at)):
        return Same(same.id)
    prior = rows.latest(connection, integration, user_id, course, "complete")
    written = rows.written(connection, integration, user_id, course)
    return of_completion(Known(live, prior, written, withdrawn(connection, prior)), wish.completed_at)


def _courses(connection: Connection, integration: str, course: str) -> list[str]:
    if _storable(course) and (found := lookups.course_ids(connection, integration, course)):
        return found
    if not lookups.synced(connection, integration).get("courses"):
        raise Refusal(Code.ENROLLMENT_UNKNOWN, f"the courses of {integration} have not been read from Kombo yet")
    raise Refusal(Code.COURSE_UNKNOWN, f"no Kombo course of {integration} has the origin id {course[:100]!r}")


def _storable(course: str) -> bool:
    """Whether it can be an origin id at all; no database can be asked about a NUL or half a character."""
    return len(course) <= LONGEST_COURSE and not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in course)
