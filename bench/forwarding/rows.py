"""The lines of the table: what was measured, what it may be at most, and what each round said."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bench.forwarding.load import Sample

TIMES = "\N{MULTIPLICATION SIGN}"
LEAST_BUSY = 0.3
"""Below this share of a core the load was the limit, and CPU for each request says little."""

Turns = Mapping[str, Sequence[Sample]]
"""By side, a sample for each round."""


@dataclass(frozen=True)
class Row:
    """`values` has one figure for each round; it is empty where there is none, and `note` says why."""

    measure: str
    target: str
    most: float | None = None
    unit: str = TIMES
    values: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def kept(self) -> bool | None:
        """Whether the target is; None where nothing was measured, or there is no target."""
        return None if self.median is None or self.most is None else self.median <= self.most

    def members(self) -> dict[str, object]:
        return {**asdict(self), "median": self.median, "kept": self.kept}


@dataclass(frozen=True)
class Unit:
    """What a side did so many of, and in what their CPU is best told."""

    rate: str
    cost: str
    scale: float


REQUESTS, GIGABYTES = Unit("req/s", "µs per request", 1e6), Unit("GB/s", "s per GB", 1)


def mistakes(turns: Turns) -> str:
    """Who had errors, or answers other than 2xx; empty where nobody had."""
    for name, samples in turns.items():
        if errors := sum(sample.errors for sample in samples):
            return f"no ratio: {name} had {errors} errors or answers that were not 2xx"
    return ""


def refusal(turns: Turns) -> str:
    """Why no ratio of CPU may be made of these turns; empty where one may."""
    if why := mistakes(turns):
        return why
    if nginx := turns.get("nginx"):
        busy = statistics.median(sample.busy for sample in nginx)
        if busy < LEAST_BUSY:
            return f"no ratio: nginx was busy only {busy:.0%} of the time, so the load was the limit"
    return ""


def cost(sample: Sample) -> float:
    return sample.cost


def rate(sample: Sample) -> float:
    return sample.rate


def ratios(turns: Turns, one: str, other: str, of: Callable[[Sample], float] = cost) -> list[float]:
    """Round by round, what one side had of something to what the other had."""
    return [of(mine) / of(theirs) for mine, theirs in zip(turns[one], turns[other], strict=True)]


def compared(
    measure: str, target: str, most: float, turns: Turns, one: str, other: str, absent: Mapping[str, str]
) -> Row:
    """CPU of one side to the other's; `absent` says of sides that are not there why."""
    why = absent.get(one) or absent.get(other) or refusal(turns)
    return Row(measure, target, most, values=[] if why else ratios(turns, one, other), note=why)
