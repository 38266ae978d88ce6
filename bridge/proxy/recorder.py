"""What is counted of forwarding, and who is told of each request when it has ended.

Everything that a request's line and its numbers are made of is left in its `Exchange` on the way; nothing is looked up
by a label here. Each number has its slot in the worker's block of tallies; `bridge.metrics.forwarding` turns the sums
over all workers into metrics.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from typing import Literal, get_args

from bridge.errors import Code
from bridge.exchange import Whose
from bridge.proxy.ended import ADDRESS_BYTES, PATH_BYTES, Ended
from bridge.proxy.request import Exchange, Outcome
from bridge.proxy.requestlog import RequestLog
from bridge.tallies import Layout, Tallies

Failure = Literal["connect", "connect_timeout", "connections", "timeout", "closed", "cut", "malformed"]
"""What was wrong with the platform: no connection to it, none in time, or more than `upstream_connections` are in use;
no answer in time; it closed the connection without an answer, or within one; what it sent is not HTTP."""

WHOSE: tuple[str, ...] = (*get_args(Whose), "bridge")
STATUSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
OUTCOMES: tuple[str, ...] = get_args(Outcome)
FAILURES: tuple[str, ...] = get_args(Failure)
CODES = tuple(Code)
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper bounds of the histograms' buckets, in seconds; another follows for what is above."""

_BUCKETS = len(BUCKETS) + 1
_TOGETHER = 128  # requests
_SOON = 0.05  # seconds

# The whole numbers. Of a table, the slot of its first number.
REQUESTS = 0  # by whose, and in each by status
DURATION = REQUESTS + len(WHOSE) * len(STATUSES)  # by whose, and in each by bucket
FIRST_BYTE = DURATION + len(WHOSE) * _BUCKETS  # by bucket
UNFINISHED = FIRST_BYTE + _BUCKETS  # by outcome
REFUSED = UNFINISHED + len(OUTCOMES)  # by code
FAILED = REFUSED + len(CODES)  # by failure
SENT = FAILED + len(FAILURES)
RECEIVED = SENT + 1
RETRIES = RECEIVED + 1
TURNED_AWAY = RETRIES + 1
DROPPED = TURNED_AWAY + 1
AUDIT_LOST = DROPPED + 1
CLIENTS = AUDIT_LOST + 1  # from here on, gauges
TUNNELS = CLIENTS + 1
UPSTREAM = TUNNELS + 1
UPSTREAM_IDLE = UPSTREAM + 1
WORKERS = UPSTREAM_IDLE + 1

# The fractions: seconds.
DURATION_SUM = 0  # by whose
FIRST_BYTE_SUM = len(WHOSE)

LAYOUT = Layout(counts=WORKERS + 1, sums=FIRST_BYTE_SUM + 1, gauges=5)

_SLOTS = {
    whose: (REQUESTS + place * len(STATUSES), DURATION + place * _BUCKETS, DURATION_SUM + place)
    for place, whose in enumerate(WHOSE)
}
_UNFINISHED = {outcome: slot for slot, outcome in enumerate(OUTCOMES, UNFINISHED)}
_REFUSED = {code: slot for slot, code in enumerate(CODES, REFUSED)}
_FAILED = {failure: slot for slot, failure in enumerate(FAILURES, FAILED)}


class Recorder:
    """Counts in `tallies` and writes to `log`, where there is one. `counts` is for the gauges, which are assigned.

    What is known of a request is put aside when it ends, and counted and written together with that of others: looked
    at one by one, between everything else, it would cost twice as much.
    """

    def __init__(self, tallies: Tallies | None = None, log: RequestLog | None = None) -> None:
        self.tallies = tallies or Tallies(LAYOUT)
        self.counts = self.tallies.counts
        self.counts[WORKERS] = 1
        self._sums = self.tallies.sums
        self._log = log
        self._client = log.client if log is not None else None
        self._aside: list[Ended] = []
        self._measured: list[tuple[int, Callable[[], int]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def ended(self, exchange: Exchange, now: float) -> None:
        """One request is over, in whatever way, at `now` (`time.monotonic`). Called once for each."""
        head = exchange.head
        self._aside.append(
            Ended(
                now,
                exchange.began,
                exchange.asked,
                exchange.heard,
                exchange.status,
                exchange.sent,
                exchange.received,
                exchange.whose,
                exchange.outcome,
                exchange.code,
                exchange.reference,
                exchange.logged,
                head.method,
                head.target[:PATH_BYTES],
                self._client(head)[:ADDRESS_BYTES] if self._client is not None else "",
            )
        )
        if len(self._aside) >= _TOGETHER:
            self.settle()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self.settle)

    def settle(self) -> None:
        """Count and write what was put aside."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for slot, measure in self._measured:
            self.counts[slot] = measure()
        requests, self._aside = self._aside, []
        for request in requests:
            self._count(request)
        if self._log is not None and requests:
            self.counts[DROPPED] += self._log.write(requests)

    def measured(self, slot: int, measure: Callable[[], int]) -> None:
        """A gauge that moves with every request: looked at when what has ended is counted."""
        self._measured.append((slot, measure))

    def _count(self, request: Ended) -> None:
        """A tunnel counts among the requests when it ends, and its bytes then; its duration is no answer's."""
        counts, status = self.counts, request.status
        requests, durations, duration = _SLOTS[request.whose]
        counts[requests + status // 100] += 1
        if status == 101:
            counts[TUNNELS] -= 1
        else:
            seconds = request.moment - request.began
            counts[durations + bisect_left(BUCKETS, seconds)] += 1
            self._sums[duration] += seconds
        if request.heard:
            seconds = request.heard - request.asked
            counts[FIRST_BYTE + bisect_left(BUCKETS, seconds)] += 1
            self._sums[FIRST_BYTE_SUM] += seconds
        counts[SENT] += request.sent
        if request.received:
            counts[RECEIVED] += request.received
        if request.outcome is not None:
            counts[_UNFINISHED[request.outcome]] += 1
        if request.code is not None:
            counts[_REFUSED[request.code]] += 1

    def failed(self, failure: Failure) -> None:
        """Something was wrong with the platform."""
        self.counts[_FAILED[failure]] += 1

    def count(self, slot: int) -> None:
        """One more of what has no label."""
        self.counts[slot] += 1
