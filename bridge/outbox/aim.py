"""Which effect a report has: one that is there already, or a new one, and on which progression.

One effect per progression; without one, one per (tenant, learner, course) until it is first completed (the contract,
section 5). Pure decisions over what is known, so that every case can stand in a table.

What the contract leaves open:

- A learner may have several open progressions of one course (an older and a newer revision). A report completes one,
  the gate's. The others are not what the same report, sent again, is about; only a progression that began after the
  last completion was reported is a new one to complete (next year's certification).
- Platforms send their history again, and last year's completion must not count for this year's progression. So a report
  that carries the very `completed_at` of an earlier one is that one; and where something was completed before, a report
  is not about a progression that began well after it, nor is it a new one if it is of no later moment than what was
  written. Where nothing was, an LMS may enrol people afterwards in what they have completed already.
- Where all progressions are completed, Kombo is asked, as it may have a newer one; if it has not, there is nothing to
  write, unless it shows soon (`bridge.outbox.latecomers`). The same question is not asked again for a day.
- What we wrote may not show before Kombo's next sync: see `bridge.outbox.traces` for when it counts as gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bridge.gate.gate import OPENING, best_of
from bridge.store.lookups import Enrollment
from bridge.store.outbox import Entry

AGAIN_AFTER_MS = 24 * 3600 * 1000
WELL_AFTER_MS = 48 * 3600 * 1000
"""A `completed_at` that is but a date says no more than the day, in whichever zone."""
CLOCKS_DIFFER_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Same:
    """The effect is there: the id of its entry, or None where nothing has to be written at all."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A new effect: on a progression, or on none yet; `after` is the number of the entry that it comes after, or 0."""

    progression_id: str | None
    after: int = 0


Aim = Same | Fresh


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a learner in a course.

    `live` are the progressions that open the gate, `prior` is the last entry, `written` the last completion that was,
    or is about to be, written. `withdrawn`: the progression of `prior` is there no more, by Kombo's word or by its
    silence for long enough.
    """

    live: Collection[Enrollment]
    prior: Entry | None = None
    written: Entry | None = None
    withdrawn: bool = False


def opening(enrollments: Iterable[Enrollment]) -> list[Enrollment]:
    return [each for each in enrollments if each.status in OPENING]


def to_complete(live: Collection[Enrollment], written: Entry | None, completed_at: int) -> Enrollment | None:
    """What a report is about that came after `written`: the best that is not completed, and is a new one."""
    if written and completed_at <= (written.completed_at or 0):
        return None
    candidates = [each for each in live if each.status != "COMPLETED" and (written is None or _new(each, written))]
    if written or any(each.status == "COMPLETED" for each in live):
        latest = completed_at + WELL_AFTER_MS
        candidates = [each for each in candidates if each.enrolled_at is None or each.enrolled_at <= latest]
    return best_of(candidates)


def shows_now(live: Collection[Enrollment], written: Entry | None, entry: Entry) -> bool:
    """Whether a report that had nothing to write has something now: a progression that began before it was made.

    A later one is of an assignment that nobody has worked on yet. Where the connector does not say when somebody was
    enrolled, nobody can tell, and a certification that nobody earned would be worse.
    """
    if entry.completed_at is None:
        return False
    latest = entry.created_at + CLOCKS_DIFFER_MS
    began = [each for each in live if each.enrolled_at is not None and each.enrolled_at <= latest]
    return to_complete(began, written, entry.completed_at) is not None


def of_completion(known: Known, completed_at: int) -> Aim:
    """The effect of a report, whose completion was at that moment (milliseconds)."""
    prior = known.prior
    if prior and prior.state == "waiting" and prior.progression_id is None:
        return Same(prior.id)
    if target := to_complete(known.live, known.written, completed_at):
        return Fresh(target.progression_id)
    if prior is None:
        return Fresh(None)
    ask = known.withdrawn if not known.live else completed_at > prior.created_at + AGAIN_AFTER_MS
    return Fresh(None, prior.number) if ask and prior.state != "waiting" else Same(prior.id)


def of_enrolment(known: Known) -> Aim:
    """The effect of a launch that enrols; `prior` is of either kind, as a completion enrols by itself."""
    prior = known.prior
    if known.live:
        return Same(None)
    if prior is None:
        return Fresh(None)
    if known.withdrawn or (prior.state, prior.kind) == ("dead", "complete"):
        return Fresh(None, prior.number)
    return Same(prior.id)


def _new(each: Enrollment, written: Entry) -> bool:
    """Some connectors do not say when somebody was enrolled; then the last change has to do."""
    began = each.changed_at if each.enrolled_at is None else each.enrolled_at
    return began > written.created_at and each.progression_id != written.progression_id
