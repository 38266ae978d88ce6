"""The first page after a login, with which a launch ends: let in, or refused.

A session knows the launch that it began with until the platform has answered it. Whoever is the first to decide about a
page load with the session says how it went on. A refusal is not the end of it: who comes back for the same page, by
themselves or because that page looks again, is let in after all, or refused under the same reference.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from cachetools import TTLCache

from bridge.errors import Refusal
from bridge.exchange import Forward, Head, Header, Witness
from bridge.front.requests import is_page_load
from bridge.launches.launches import Launches
from bridge.launches.references import reference_of
from bridge.launches.trail import LONGEST_REASON, StepName, step
from bridge.session.sessions import Entry
from bridge.stamp.identity import Access
from bridge.store.engine import now_ms
from bridge.store.launches import FORWARDED, Finish

REMEMBERED = 10_000
UNANSWERED_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Arrived:
    """The witness of the answer that a launch ends with; `other` hears of it as well.

    `since` is when the request was let in, on the monotonic clock.
    """

    landing: Landing
    launch: str
    entry: Entry
    access: Access | None
    steps: tuple[str, ...]
    since: float
    other: Witness | None

    @property
    def waited(self) -> int:
        """For how long, in milliseconds."""
        return round((time.monotonic() - self.since) * 1000)

    def answered(self, status: int, told: Sequence[Header]) -> Awaitable[None] | None:
        """See `bridge.exchange.Witness`."""
        self.landing.answered(self, status)
        return self.other.answered(status, told) if self.other else None

    def entered(self) -> None:
        """The request was let in, where another proxy forwards it and nobody hears of the answer."""
        self.landing.answered(self, None)
        if self.other:
            self.other.entered()


class Landing:
    """Says how the launches went on that got a session."""

    def __init__(self, launches: Launches) -> None:
        self._launches = launches
        self._arrived: TTLCache[str, Arrived] = TTLCache(REMEMBERED, UNANSWERED_SECONDS)

    def awaited(self, head: Head, entry: Entry, course: str | None) -> bool:
        """Whether this request decides how the session's launch goes on: a page load, the first or for the same page.

        `course` stands for the page.
        """
        return entry.launch is not None and entry.awaits in (None, course or "") and is_page_load(head)

    def let_in(self, entry: Entry, forward: Forward, access: Access | None, gate_ms: int) -> Forward:
        """The same decision, of whose answer the launch hears."""
        assert entry.launch
        steps = [_returned(entry, gate_ms)]
        if access:
            facts = {"course": access.course, "enrollment": access.enrollment, "gate": access.gate}
            steps.append(step("gate", "passed", gate_ms, **facts))
        arrived = Arrived(self, entry.launch, entry, access, tuple(steps), time.monotonic(), forward.witness)
        entry.launch = None
        self._arrived[entry.row.digest] = arrived
        return replace(forward, witness=arrived)

    def answered(self, arrived: Arrived, status: int | None) -> None:
        """The platform has answered; None where another proxy forwards and nobody hears with what."""
        self._arrived.pop(arrived.entry.row.digest, None)
        self._finish(arrived, FORWARDED, step("forwarded", "passed", arrived.waited, status=status), status)

    def unanswered(self, session: str, refusal: Refusal) -> None:
        """Something went wrong in forwarding a page load of a session, by its name."""
        if arrived := self._arrived.pop(session, None):
            last = _failed("forwarded", arrived.waited, refusal)
            self._finish(arrived, str(refusal.code), last, refusal.status, refusal.reason)
            _goes_on(arrived.entry, arrived.launch, refusal, arrived.access.course if arrived.access else None)

    def _finish(self, arrived: Arrived, outcome: str, last: str, status: int | None, reason: str | None = None) -> None:
        access = arrived.access
        finish = Finish(
            arrived.launch,
            now_ms(),
            outcome,
            ", ".join((*arrived.steps, last)),
            reason=reason,
            course=access.course if access else None,
            enrollment=access.enrollment if access else None,
            gate=access.gate if access else None,
            http_status=status,
        )
        self._launches.finished(arrived.entry.tenant, finish)

    def refused(self, entry: Entry, refusal: Refusal, course: str | None, gate_ms: int) -> None:
        """The refusal takes the launch's reference, which tells of it."""
        assert entry.launch
        if course is None:
            steps = [_failed("returned", _since_sign_in(entry), refusal)]
        else:
            steps = [_returned(entry, gate_ms), _failed("gate", gate_ms, refusal, course=course)]
        finish = Finish(
            entry.launch,
            now_ms(),
            str(refusal.code),
            ", ".join(steps),
            reason=refusal.reason,
            course=course,
            http_status=refusal.status,
        )
        self._launches.finished(entry.tenant, finish)
        _goes_on(entry, entry.launch, refusal, course)


def _goes_on(entry: Entry, launch: str, refusal: Refusal, course: str | None) -> None:
    entry.launch, entry.awaits = launch, course or ""
    refusal.reference = reference_of(launch)


def _failed(name: StepName, ms: int | None, refusal: Refusal, **facts: str) -> str:
    return step(name, "failed", ms, code=str(refusal.code), reason=refusal.reason[:LONGEST_REASON], **facts)


def _returned(entry: Entry, gate_ms: int) -> str:
    return step("returned", "passed", max(_since_sign_in(entry) - gate_ms, 0))


def _since_sign_in(entry: Entry) -> int:
    return max(now_ms() - entry.row.created_at, 0)
