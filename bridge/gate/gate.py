"""May this learner see this course?

Pattern 1 of Kombo's guide is the library: being an employee is enough. Pattern 2 is assigned content: a progression in
any revision of the course, ENROLLED, IN_PROGRESS or COMPLETED, opens it. A local yes is a yes; a local no is asked
once live before it is a no; where Kombo cannot be asked, what is known counts, for yes and no alike, while it is not
too old.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from bridge.directory.live import Live
from bridge.errors import Code, KomboError, Refusal
from bridge.settings.model import Tenant
from bridge.stamp.identity import Access
from bridge.store import lookups
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.lookups import Enrollment, Person

OPENING = frozenset({"ENROLLED", "IN_PROGRESS", "COMPLETED"})
MISSED_SYNCS = 2


@dataclass(frozen=True, slots=True)
class Known:
    """What the directory says of a learner in a course. `as_of` are milliseconds, 0 where never fully read."""

    courses: list[str]
    enrollments: list[Enrollment]
    courses_as_of: int
    progressions_as_of: int


class Gate:
    """Decides from the directory, and live where that says no."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def check(self, tenant: Tenant, person: Person | None, course: str) -> Access:
        """Why the gate is open.

        Raises `Refusal`: `course_unknown`, `not_enrolled` or `enrollment_unknown`; and `StateError`.
        """
        if tenant.gate.kind(course) == "library":
            known = await self._known(tenant, person, course) if person else None
            best = _best(known.enrollments) if known else None
            return Access(course, "LIBRARY", "library", best.progression_id if best else None)
        if person is None:
            raise Refusal(Code.NOT_ENROLLED, "nobody in Kombo matched, so nothing can be assigned to this learner")
        known = await self._known(tenant, person, course)
        if (best := _best(known.enrollments)) and (age := now_ms() - best.seen_at) <= _stale_ms(tenant):
            return _open(course, best, "fresh" if age <= _fresh_ms(tenant) else "stale")
        return await self._ask(tenant, person, course, known)

    async def _ask(self, tenant: Tenant, person: Person, course: str, known: Known) -> Access:
        if not known.courses:
            if known.courses_as_of:
                raise Refusal(
                    Code.COURSE_UNKNOWN, f"no Kombo course of {tenant.integration_id} has the origin id {course!r}"
                )
            raise Refusal(Code.ENROLLMENT_UNKNOWN, "the courses have not been read from Kombo yet")
        if not self._live.asked_lately(tenant, person.id, known.courses):
            try:
                found = await self._live.enrollments(tenant, person.id, known.courses)
            except KomboError as error:
                if now_ms() - known.progressions_as_of > _stale_ms(tenant):
                    reason = f"Kombo cannot be asked, and what is known is too old: {error}"
                    raise Refusal(Code.ENROLLMENT_UNKNOWN, reason) from error
            else:
                if best := _best(found):
                    return _open(course, best, "fresh")
        raise Refusal(Code.NOT_ENROLLED, f"no progression of {person.id} opens the course {course!r}")

    async def _known(self, tenant: Tenant, person: Person, course: str) -> Known:
        integration = tenant.integration_id

        def work(connection: Connection) -> Known:
            courses = lookups.course_ids(connection, integration, course)
            found = lookups.enrollments(connection, integration, person.id, courses) if courses else []
            synced = lookups.synced(connection, integration)
            return Known(courses, found, synced.get("courses", 0), synced.get("progressions", 0))

        return await self._store.read(work)


def _best(enrollments: list[Enrollment]) -> Enrollment | None:
    """Of several that open the gate: a not completed one first, then the latest (the contract, section 3)."""
    opening = [enrollment for enrollment in enrollments if enrollment.status in OPENING]
    return max(opening, key=lambda each: (each.status != "COMPLETED", each.changed_at), default=None)


def _open(course: str, enrollment: Enrollment, gate: str) -> Access:
    return Access(course, enrollment.status, gate, enrollment.progression_id)


def _fresh_ms(tenant: Tenant) -> int:
    """As long as no sync has been missed but one."""
    return MISSED_SYNCS * length_ms(tenant.kombo.sync_every)


def _stale_ms(tenant: Tenant) -> int:
    return length_ms(tenant.kombo.stale_for)
