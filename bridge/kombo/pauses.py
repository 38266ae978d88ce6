"""How long to try, and how long to wait between tries."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 300.0
"""Seconds; a larger `Retry-After` counts as this, so that no answer can switch a tenant off for a day."""


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds. Kombo publishes no time-outs; its actions reach into the LMS and its own SDK gives them 300 s."""

    page: float = 60.0
    write: float = 300.0
    attempt: float = 20.0
    attempts: int = 5
    backoff: float = 0.5
    longest_pause: float = 15.0

    def pause(self, attempt: int, asked: float | None) -> float:
        """Before the try after number `attempt` (from 0): exponential with full jitter, after what Kombo `asked`."""
        jitter = random.uniform(0, min(self.longest_pause, self.backoff * 2**attempt))  # noqa: S311  # no secret
        return jitter + (asked or 0.0)


def retry_after(value: str | None) -> float | None:
    """RFC 9110, 10.2.3: a number of seconds or a date; anything else is as if it were absent."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max((date - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_RETRY_AFTER)
