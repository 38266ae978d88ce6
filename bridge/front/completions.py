"""What the platform's answers say of completions (the contract, section 5, "Back from the platform").

A rule on traffic or a header of the answer names a course; it counts for the learner whose request was answered, and
only where the gate for that very course was open. The answer's head waits until what counts is on disk: whoever is told
that a course is finished can rely on it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

import structlog

from bridge.errors import Code, Refusal, StateError
from bridge.exchange import Forward, Head, Header
from bridge.front.enrollments import Enrollments
from bridge.front.places import Place
from bridge.front.queries import COURSE_CHARACTERS
from bridge.front.requests import from_own_pages, is_prefetched
from bridge.front.routes import Match
from bridge.gate.gate import Gate
from bridge.outbox.outbox import Outbox, Source
from bridge.session.sessions import Entry
from bridge.settings.model import Tenant
from bridge.settings.routes import CompletionRule
from bridge.store.lookups import Person

COMPLETE = b"x-kombo-complete"
SCORE = b"x-kombo-score"
RECORD_SECONDS = 20.0
"""For the gate's live question, its turn, and a state that is busy: each has a limit of its own below this one."""

_SCORE = re.compile(rb"0|[1-9][0-9]?|100")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENCODED = re.compile(rb"(?:[\x20-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Report:
    """One completion that an answer speaks of."""

    course: str
    source: Source
    score: int | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """A completion rule that a request met: its own `course`, the `status` that counts (None: any 2xx), and whether one
    of the platform's own pages made the request, because somebody did something there.
    """

    course: str
    status: int | None
    own: bool

    def counts(self, status: int) -> bool:
        return 200 <= status < 300 if self.status is None else status == self.status


@dataclass(frozen=True, slots=True)
class Watch:
    """The witness of answers to one learner. `open` is the course whose gate has been found open for the request."""

    completions: Completions
    tenant: Tenant
    person: Person
    open: str | None
    believes_header: bool
    met: Met | None = None
    launched: Callable[[], None] | None = None

    def answered(self, status: int, told: Sequence[Header]) -> Awaitable[None] | None:
        """See `bridge.exchange.Witness`."""
        if self.launched and status < 400:
            self.launched()
        reports = self._reports(status, told)
        return self.completions.record(self, reports) if reports else None

    def entered(self) -> None:
        """See `bridge.exchange.Witness`."""
        if self.launched:
            self.launched()

    def _reports(self, status: int, told: Sequence[Header]) -> list[Report]:
        reports: list[Report] = []
        if told and self.believes_header and 200 <= status < 300:
            try:
                reports = _said(told, self.score_dropped)
            except ValueError as error:
                self.uncounted("header", str(error))
        met = self.met
        if met and met.counts(status) and all(report.course != met.course for report in reports):
            if not met.own:
                self.uncounted("traffic", "the request does not come from the platform's own pages", met.course)
            elif len(met.course) > COURSE_CHARACTERS:
                self.uncounted("traffic", f"the origin id has {len(met.course)} characters")
            else:
                reports.append(Report(met.course, "traffic"))
        return reports

    def uncounted(self, source: Source, reason: str, course: str | None = None) -> None:
        """Say that something looked like a completion and is none."""
        shown = course and course[:COURSE_CHARACTERS]
        whose = {"tenant": self.tenant.slug, "user": self.person.id}
        log.warning("completion_not_counted", **whose, course=shown, source=source, reason=reason)

    def not_kept(self, report: Report, reason: str) -> None:
        """Say that a completion could not be kept, which its learner was told."""
        whose = {"tenant": self.tenant.slug, "user": self.person.id}
        log.warning("completion_not_kept", **whose, course=report.course, source=report.source, reason=reason)

    def score_dropped(self, reason: str) -> None:
        """Say that a completion counts without the score that came with it."""
        whose = {"tenant": self.tenant.slug, "user": self.person.id}
        log.warning("completion_score_dropped", **whose, source="header", reason=reason)


class Completions:
    """Listens to the platform's answers. `believes_header` is the setting `completion_header`."""

    def __init__(self, gate: Gate, outbox: Outbox, enrollments: Enrollments, *, believes_header: bool) -> None:
        self._gate = gate
        self._outbox = outbox
        self._enrollments = enrollments
        self._believes_header = believes_header

    def witness(self, entry: Entry, course: str | None) -> Watch | None:
        """Of every answer to a session and a course whose gate is open for it; None where there is nothing to hear."""
        if entry.person is None or not self._believes_header:
            return None
        return Watch(self, entry.tenant, entry.person, course, believes_header=True)

    def watched(self, forward: Forward, entry: Entry, course: str | None, head: Head, met: Met | None) -> Forward:
        """The same decision with a witness for this very request, where it met a rule or is a launch.

        A request of which the browser says that nobody has asked for it yet is nobody's launch.
        """
        launched = None if is_prefetched(head) else self._enrollments.due(entry, course)
        if entry.person is None or (met is None and launched is None):
            return forward
        believes = self._believes_header and forward.personal
        return replace(forward, witness=Watch(self, entry.tenant, entry.person, course, believes, met, launched))

    async def record(self, watch: Watch, reports: Sequence[Report]) -> None:
        """Note what was reported. Raises `Refusal` (503) where that cannot be decided or kept just now.

        Its learner can then try again; a completion that is lost in silence, nobody would try again. The learner may
        have left by then, so the log says whose it was.
        """
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                for report in reports:
                    await self._record(watch, report)
        except Refusal as refused:
            refusal = refused
        except StateError as error:
            refusal = Refusal(Code.ENROLLMENT_UNKNOWN, f"a completion could not be kept: {error}")
        except TimeoutError:
            reason = f"a completion was not on disk within {RECORD_SECONDS:g} s"
            refusal = Refusal(Code.ENROLLMENT_UNKNOWN, reason)
        else:
            return
        for report in reports:
            watch.not_kept(report, refusal.reason)
        raise refusal

    async def _record(self, watch: Watch, report: Report) -> None:
        tenant, person, course = watch.tenant, watch.person, report.course
        try:
            if course != watch.open:
                await self._gate.check(tenant, person, course)
            id = await self._outbox.complete(tenant, person, course, source=report.source, score=report.score)
        except Refusal as refusal:
            if refusal.status >= 500:
                raise
            watch.uncounted(report.source, refusal.reason, course)
        else:
            log.info(
                "completion_noted", tenant=tenant.slug, user=person.id, course=course, source=report.source, entry=id
            )


def met_by(head: Head, match: Match, place: Place, rules: Sequence[CompletionRule]) -> Met | None:
    """The completion rule that a request meets. A prefetched page is not one that somebody has opened."""
    found = match.completion(head.method)
    if found is None or found.course is None:
        return None
    own = from_own_pages(head, place.origin) and not is_prefetched(head)
    return Met(found.course, rules[found.rule].status, own)


def _said(told: Sequence[Header], score_dropped: Callable[[str], None]) -> list[Report]:
    """What the headers report: nothing, or one completion. Raises `ValueError` where it can be read two ways."""
    courses, scores = ([value for name, value in told if name.lower() == wanted] for wanted in (COMPLETE, SCORE))
    if len(courses) > 1:
        raise ValueError("X-Kombo-Complete stands more than once")
    if not courses or not courses[0]:
        return []
    course = _decoded(courses[0])
    if len(scores) > 1:
        score_dropped("X-Kombo-Score stands more than once")
    elif scores and scores[0] and not _SCORE.fullmatch(scores[0]):
        score_dropped("X-Kombo-Score is no whole number from 0 to 100")
    elif scores and scores[0]:
        return [Report(course, "header", int(scores[0]))]
    return [Report(course, "header")]


def _decoded(value: bytes) -> str:
    """An origin id as the bridge itself writes it in headers (the contract, section 5)."""
    if not _ENCODED.fullmatch(value):
        raise ValueError("X-Kombo-Complete is not percent-encoded as the bridge's own headers are")
    try:
        course = unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise ValueError("X-Kombo-Complete is not UTF-8") from None
    if len(course) > COURSE_CHARACTERS:
        raise ValueError(f"the origin id in X-Kombo-Complete has {len(course)} characters")
    if _CONTROL.search(course):
        raise ValueError("the origin id in X-Kombo-Complete has a control character")
    return course
