"""The first page after a login, with which a launch ends: let in, or refused.

A session knows the launch that it began with until somebody has said how that went on. Whoever is the first to decide
about a page load with the session does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from cachetools import TTLCache

from bridge.errors import Refusal
from bridge.exchange import Forward, Head, Header, Witness
from bridge.front.requests import is_page_load, is_prefetched
from bridge.launches.launches import Launches
from bridge.launches.trail import StepName, step
from bridge.session.sessions import Entry
from bridge.settings.model import Tenant
from bridge.stamp.identity import Access
from bridge.store.engine import now_ms
from bridge.store.launches import FORWARDED, Finish

REMEMBERED = 10_000
UNANSWERED_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Arrived:
    """The witness of the answer that a launch ends with; `other` hears of it as well."""

    landing: Landing
    id: str
    session: str
    tenant: Tenant
    access: Access | None
    steps: tuple[str, ...]
    since: int
    other: Witness | None

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

    def awaited(self, head: Head, entry: Entry) -> bool:
        """Whether this request decides how the session's launch goes on."""
        return entry.launch is not None and is_page_load(head) and not is_prefetched(head)

    def let_in(self, entry: Entry, forward: Forward, access: Access | None, gate_ms: int) -> Forward:
        """The same decision, of whose answer the launch hears."""
        assert entry.launch
        steps = [_returned(entry)]
        if access:
            facts = {"course": access.course, "enrollment": access.enrollment, "gate": access.gate}
            steps.append(step("gate", "passed", gate_ms, **facts))
        arrived = Arrived(
            self, entry.launch, entry.row.digest, entry.tenant, access, tuple(steps), now_ms(), forward.witness
        )
        entry.launch = None
        self._arrived[entry.row.digest] = arrived
        return replace(forward, witness=arrived)

    def answered(self, arrived: Arrived, status: int | None) -> None:
        """The platform has answered; None where another proxy forwards and nobody hears with what."""
        self._arrived.pop(arrived.session, None)
        self._finish(arrived, FORWARDED, step("forwarded", "passed", now_ms() - arrived.since, status=status), status)

    def unanswered(self, session: str, refusal: Refusal) -> None:
        """Something went wrong in forwarding a request of a session, by its name."""
        if arrived := self._arrived.pop(session, None):
            facts = {"code": str(refusal.code), "reason": refusal.reason}
            last = step("forwarded", "failed", now_ms() - arrived.since, **facts)
            self._finish(arrived, str(refusal.code), last, refusal.status, refusal.reason)
            refusal.reference = arrived.id.partition(".")[0]

    def _finish(self, arrived: Arrived, outcome: str, last: str, status: int | None, reason: str | None = None) -> None:
        access = arrived.access
        finish = Finish(
            arrived.id,
            now_ms(),
            outcome,
            ", ".join((*arrived.steps, last)),
            reason=reason,
            course=access.course if access else None,
            enrollment=access.enrollment if access else None,
            gate=access.gate if access else None,
            http_status=status,
        )
        self._launches.finished(arrived.tenant, finish)

    def refused(self, entry: Entry, refusal: Refusal, course: str | None) -> None:
        """The launch ends with a refusal, which takes its reference."""
        assert entry.launch
        name: StepName = "gate" if course is not None else "returned"
        failed = step(name, "failed", None, code=str(refusal.code), reason=refusal.reason, course=course)
        steps = ", ".join((_returned(entry), failed)) if course is not None else failed
        finish = Finish(
            entry.launch,
            now_ms(),
            str(refusal.code),
            steps,
            reason=refusal.reason,
            course=course,
            http_status=refusal.status,
        )
        refusal.reference = entry.launch.partition(".")[0]
        entry.launch = None
        self._launches.finished(entry.tenant, finish)


def _returned(entry: Entry) -> str:
    return step("returned", "passed", max(now_ms() - entry.row.created_at, 0))
