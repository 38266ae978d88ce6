"""What is said of time on a page: when it looks again, and how long an assignment usually takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from bridge.pages.texts import Catalogue

LOOK_AGAIN_SECONDS = range(5, 3601)


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The interval within its bounds, the sentence that announces it, and those in which the script says what came of
    it: in them `#` stands for the number, and `@` for the time of day.
    """

    seconds: int
    announced: str
    looked_seconds: str
    looked_minutes: str
    opened: str


def look_again(text: Catalogue, seconds: int) -> LookAgain:
    seconds = min(max(seconds, LOOK_AGAIN_SECONDS[0]), LOOK_AGAIN_SECONDS[-1])
    unit, count = ("seconds", seconds) if seconds < 120 else ("minutes", round(seconds / 60))
    return LookAgain(
        seconds,
        text(f"look_again.{unit}", count=str(count)),
        text("look_again.looked_seconds", count="#", time="@"),
        text("look_again.looked_minutes", count="#", time="@"),
        text("look_again.opened"),
    )


def usually(text: Catalogue, usual: timedelta | None) -> str:
    """How long it takes, in the words of somebody who does not want to promise too much."""
    if usual is None:
        return text("usual.unknown")
    minutes = usual / timedelta(minutes=1)
    if steps := [step for step in (5, 10, 15, 20, 30, 45) if minutes <= step]:
        return text("usual.minutes", count=str(steps[0]))
    if minutes <= 60:
        return text("usual.hour")
    if steps := [step for step in (2, 3, 4, 6, 8, 12, 18) if minutes <= step * 60]:
        return text("usual.hours", count=str(steps[0]))
    days = math.ceil(minutes / (24 * 60))
    return text("usual.day") if days <= 1 else text("usual.days", count=str(days))
