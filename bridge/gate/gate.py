"""May this learner see this course?

Pattern 1 of Kombo's guide is the library: being an employee is enough. Pattern 2 is assigned content: a progression in
any revision of the course, ENROLLED, IN_PROGRESS or COMPLETED, opens it. A local yes is a yes; a local no is asked
once live before it is a no; where Kombo cannot be asked, what is known counts, for yes and no alike, while it is not
too old. Nothing that Kombo says is younger than its own last good sync of the integration.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from bridge.directory.freshness import freshness, since
from bridge.directory.live import Live
from bridge.errors import Code, KomboError, Refusal
from bridge.settings.model import Tenant
from bridge.stamp.identity import Access
from bridge.store import integrations, lookups
from bridge.store.engine import Store, now_ms
from bridge.store.integrations import Ages
from bridge.store.lookups import Enrollment, Person

OPENING = frozenset({"ENROLLED", "IN_PROGRESS", "COMPLETED"})


@dataclass(frozen=True, slots=True)
class Known:
    """What the directory says of a learner in a course."""

    courses: list[str]
    enrollments: list[Enrollment]
    ages: Ages


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
            best = best_of(known.enrollments) if known else None
            return Access(course, "LIBRARY", "library", best.progression_id if best else None)
        if person is None:
            raise Refusal(Code.NOT_ENROLLED, "nobody in Kombo matched, so nothing can be assigned to this learner")
        known = await self._known(tenant, person, course)
        return _open(tenant, course, known.ages, known.enrollments) or await self._ask(tenant, person, course, known)

    async def _ask(self, tenant: Tenant, person: Person, course: str, known: Known) -> Access:
        ages = known.ages
        if not known.courses:
            raise _unknown_course(tenant, course, ages)
        if freshness(tenant, newest := ages.of_row("progressions", now_ms())) == "too_old":
            raise Refusal(Code.ENROLLMENT_UNKNOWN, f"whatever Kombo would say is too old: {since(newest)}")
        reason = f"no progression of {person.id} opens the course {course!r}"
        try:
            found = await self._live.enrollments(tenant, person.id, known.courses)
        except KomboError as error:
            if freshness(tenant, known_at := ages.of("progressions")) == "too_old":
                unknown = f"Kombo cannot be asked, and the enrollments are {since(known_at)}: {error}"
                raise Refusal(Code.ENROLLMENT_UNKNOWN, unknown) from error
            reason += f" ({since(known_at)}), and Kombo has no answer: {error}"
        else:
            if access := _open(tenant, course, ages, found):
                return access
        raise Refusal(Code.NOT_ENROLLED, reason)

    async def _known(self, tenant: Tenant, person: Person, course: str) -> Known:
        integration = tenant.integration_id

        def work(connection: Connection) -> Known:
            courses = lookups.course_ids(connection, integration, course)
            found = lookups.enrollments(connection, integration, person.id, courses) if courses else []
            return Known(courses, found, integrations.ages(connection, integration))

        return await self._store.read(work)


def best_of(enrollments: list[Enrollment]) -> Enrollment | None:
    """Of several that open the gate: a not completed one first, then the latest (the contract, section 3)."""
    opening = [enrollment for enrollment in enrollments if enrollment.status in OPENING]
    return max(opening, key=lambda each: (each.status != "COMPLETED", each.changed_at), default=None)


def _open(tenant: Tenant, course: str, ages: Ages, enrollments: list[Enrollment]) -> Access | None:
    """By the best of those that are not known too long ago."""
    known = {each.progression_id: ages.of_row("progressions", each.seen_at) for each in enrollments}
    judged = {id: freshness(tenant, known_at) for id, known_at in known.items()}
    best = best_of([each for each in enrollments if judged[each.progression_id] != "too_old"])
    return Access(course, best.status, judged[best.progression_id], best.progression_id) if best else None


def _unknown_course(tenant: Tenant, course: str, ages: Ages) -> Refusal:
    """There is no such course only where all of them are known, and not too long ago."""
    if freshness(tenant, known_at := ages.of("courses")) == "too_old":
        return Refusal(Code.ENROLLMENT_UNKNOWN, f"the courses are {since(known_at)}, and {course!r} is not among them")
    return Refusal(Code.COURSE_UNKNOWN, f"no Kombo course of {tenant.integration_id} has the origin id {course!r}")
