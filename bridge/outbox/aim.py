"""Which effect a report has: one that is there already, or a new one, and on which progression.

One effect per progression; without one, one per (tenant, learner, course) until it is first completed (the contract,
section 5). Pure decisions over what is known, so that every case can stand in a table.

What the contract leaves open:

- A learner may have several open progressions of one course (an older and a newer revision). A report completes one,
  the gate's. The others are not what the same report, sent again, is about; only a progression that began after the
  last completion was reported is a new one to complete (next year's certification).
- A report that carries the very `completed_at` of an earlier one is that one: platforms send their history again, and
  last year's completion must not count for this year's progression.
- Where all progressions are completed, Kombo is asked, as it may have a newer one; if it has not, there is nothing to
  write. The same question is not asked again for a day.
- What we wrote may not show before Kombo's next sync: see `bridge.outbox.traces` for when it counts as gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bridge.gate.gate import OPENING, best_of
from bridge.store.lookups import Enrollment
from bridge.store.outbox import Entry

AGAIN_AFTER_MS = 24 * 3600 * 1000


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


def to_complete(live: Iterable[Enrollment], written: Entry | None) -> Enrollment | None:
    """What a report is about that came after `written`: the best that is not completed, and is a new one."""
    return best_of([each for each in live if each.status != "COMPLETED" and (written is None or _new(each, written))])


def of_completion(known: Known, completed_at: int) -> Aim:
    """The effect of a report, whose completion was at that moment (milliseconds)."""
    prior = known.prior
    if prior and prior.state == "waiting" and prior.progression_id is None:
        return Same(prior.id)
    if target := to_complete(known.live, known.written):
        return Fresh(target.progression_id)
    if prior is None:
        return Fresh(None)
    ask = known.withdrawn if not known.live else completed_at > prior.created_at + AGAIN_AFTER_MS
    return Fresh(None, prior.number) if ask and prior.state == "done" else Same(prior.id)


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
