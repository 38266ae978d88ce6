"""One Kombo environment: its key, its integrations, and everything that a test or the demo may turn while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bridge.simulator.integration import Clock, Integration, utc_now
from bridge.simulator.webhooks import Webhooks

__all__ = ["Clock", "Completion", "Enrollment", "Integration", "Logged", "World", "utc_now"]


@dataclass(frozen=True, slots=True)
class Logged:
    """One request to the API, without its headers: they carry the key."""

    at: datetime
    method: str
    path: str
    query: str
    integration: str | None


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion that reached the LMS, so that tests can count them."""

    integration: str
    progression: str
    completed_at: datetime
    score: int | None


@dataclass(frozen=True, slots=True)
class Enrollment:
    """One enrolment by an action that made a progression."""

    integration: str
    progression: str
    user: str
    course_revision: str


@dataclass
class World:
    """`action_delay` is how long a write takes and `sync_seconds` a sync, both in seconds; `sync_every` is how long
    after a sync Kombo begins the next by itself (None: never), full and delta in turn.

    A pushed task stays pending for `task_delay` seconds and `item_delay` more for each of its courses.
    `failing_items` gives, by origin id, the error code with which a pushed course fails, and `batch_size` how many
    courses then share its fate; `failing_task` is the code with which a whole task fails. `requests_per_minute` is the
    limit on requests of all kinds (None: there is none), and `retry_after` what an answer over it says in that header.
    """

    api_key: str
    environment_id: str
    integrations: dict[str, Integration] = field(default_factory=dict)
    clock: Clock = utc_now
    down: bool = False
    action_delay: float = 0.0
    sync_seconds: float = 0.0
    sync_every: float | None = None
    task_delay: float = 1.0
    item_delay: float = 0.0
    failing_items: dict[str, str] = field(default_factory=dict)
    failing_task: str | None = None
    batch_size: int = 1
    requests_per_minute: int | None = None
    retry_after: str | None = None
    webhooks: Webhooks = field(default_factory=Webhooks)
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    recent: deque[datetime] = field(default_factory=deque)
    requests: deque[Logged] = field(default_factory=lambda: deque(maxlen=10_000))
    completions: list[Completion] = field(default_factory=list)
    enrollments: list[Enrollment] = field(default_factory=list)

    def add(self, integration: Integration) -> Integration:
        integration.clock = self.clock
        integration.emit = self.webhooks.emit
        self.integrations[integration.id] = integration
        return integration

    def set_clock(self, clock: Clock) -> None:
        """For the environment and every integration in it."""
        self.clock = clock
        for integration in self.integrations.values():
            integration.clock = clock

    def allows_request(self) -> bool:
        """Count one request against the limit, which goes by the last sixty seconds."""
        if self.requests_per_minute is None:
            return True
        now = self.clock()
        while self.recent and now - self.recent[0] >= timedelta(seconds=60):
            self.recent.popleft()
        if len(self.recent) >= self.requests_per_minute:
            return False
        self.recent.append(now)
        return True

    @property
    def clock_ahead(self) -> float:
        """By how many seconds the clock is ahead of the real one."""
        return (self.clock() - utc_now()).total_seconds()

    @clock_ahead.setter
    def clock_ahead(self, seconds: float) -> None:
        self.set_clock(_ahead(timedelta(seconds=seconds)))


def _ahead(by: timedelta) -> Callable[[], datetime]:
    return lambda: utc_now() + by
