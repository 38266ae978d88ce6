"""Launches as the admin page shows them: which are asked for, and each with its steps on a line of time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from bridge.errors import Code
from bridge.launches.history import Record, Taken
from bridge.launches.trail import StepName
from bridge.store.engine import moment_ms
from bridge.store.launches import FORWARDED, SIGNED_IN, Filter, Launch

SHOWN, MOST = 50, 200
OUTCOMES = (FORWARDED, SIGNED_IN, *map(str, Code))
STEPS: tuple[StepName, ...] = get_args(StepName)
BEFORE = ("asked", "answered")
TITLES: Mapping[str, str] = {
    "asked": "Sent to the IdP",
    "answered": "IdP answered",
    "verified": "Response verified",
    "identified": "Person found",
    "signed_in": "Session opened",
    "returned": "Browser came back",
    "gate": "Gate",
    "forwarded": "Platform answered",
}
FOUND: Mapping[str, str] = {
    "address": "the address of its login page",
    "host": "the host",
    "link": "the link's parameter",
    "browser": "this browser's last tenant",
    "organization": "a work email",
    "idp": "its IdP, which began by itself",
}
Result = Literal["let_in", "under_way", "refused"]
Standing = Literal["passed", "failed", "not_reached"]

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
LONGEST_TEXT = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form of the list says; `errors` is what of it could not be used."""

    tenant: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None
    limit: int = SHOWN
    which: Filter = field(default_factory=Filter)
    errors: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """Nothing of a query ends in an error: what cannot be used is said beside the form, and left out."""
        errors: list[str] = []
        tenant, outcome = (query.get(name, "").strip()[:LONGEST_TEXT] for name in ("tenant", "outcome"))
        if tenant and not _SLUG.fullmatch(tenant):
            errors.append("A tenant is written as its file is called, without .yaml.")
        if outcome and outcome not in OUTCOMES:
            errors.append("There is no such outcome.")
        since, until = (query.get(name, "").strip()[:LONGEST_TEXT] for name in ("since", "until"))
        began, ended = (_moment(text, errors) for text in (since, until))
        before = number(query.get("before"), 2**53)
        ends = [end for end in (ended, before) if end is not None]
        which = Filter(
            tenant if _SLUG.fullmatch(tenant) else None,
            outcome if outcome in OUTCOMES else None,
            began,
            min(ends, default=None),
        )
        limit = number(query.get("limit"), MOST) or SHOWN
        return cls(tenant, outcome, since, until, before, limit, which, tuple(errors))

    def older(self, at: int) -> str:
        """The query of the next page, which begins with what was at a moment."""
        fields = {name: getattr(self, name) for name in ("tenant", "outcome", "since", "until")}
        fields |= {"limit": self.limit if self.limit != SHOWN else "", "before": at + 1}
        return urlencode({name: value for name, value in fields.items() if value})


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `start` and `width` are in percent of the time since the IdP had answered; there is no width of a step
    before that, or not reached. `facts` are whatever else there is to say.
    """

    name: str
    title: str
    standing: Standing
    ms: int | None
    start: float
    width: float | None
    facts: Sequence[tuple[str, str]]
    checks: Mapping[str, str]
    tried: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A launch, or a refusal that no launch tells of, with every step there could have been."""

    record: Record
    result: Result
    steps: Sequence[Step]

    @property
    def launch(self) -> Launch | None:
        return self.record.of if isinstance(self.record.of, Launch) else None

    @property
    def found(self) -> str | None:
        return FOUND.get(self.launch.found, self.launch.found) if self.launch else None


def shown(record: Record) -> Shown:
    results: Mapping[str, Result] = {FORWARDED: "let_in", SIGNED_IN: "under_way"}
    return Shown(record, results.get(record.outcome, "refused"), _steps(record) if record.steps else ())


def _steps(record: Record) -> tuple[Step, ...]:
    """Those taken, in order, each from where the one before it ended; and those that the launch did not come to.

    How long somebody took to sign in at the IdP would dwarf everything else, and is left out of the line of time.
    """
    ours = [taken for taken in record.steps if taken.step not in BEFORE]
    whole, passed = sum(taken.ms or 0 for taken in ours) or 1, 0
    steps = [_step(taken.step, taken) for taken in record.steps if taken.step in BEFORE]
    for taken in ours:
        ms = taken.ms or 0
        steps.append(_step(taken.step, taken, 100 * passed / whole, 100 * ms / whole))
        passed += ms
    last = record.steps[-1].step
    rest = STEPS[STEPS.index(last) + 1 :] if last in STEPS else ()
    return (*steps, *(_step(name) for name in rest))


def _step(name: str, taken: Taken | None = None, start: float = 0, width: float | None = None) -> Step:
    facts: Mapping[str, Any] = taken.facts if taken else {}
    return Step(
        name,
        TITLES.get(name, name),
        "not_reached" if taken is None else "passed" if taken.outcome == "passed" else "failed",
        taken.ms if taken else None,
        round(start, 2),
        width if width is None else round(width, 2),
        [(key, _fact(key, value)) for key, value in facts.items() if key not in ("checks", "tried")],
        facts.get("checks") or {},
        facts.get("tried") or (),
    )


def _fact(key: str, value: Any) -> str:
    """A list is what stood in a response where a check wanted something else."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return FOUND.get(value, value) if key == "found" else str(value)


def _moment(text: str, errors: list[str]) -> int | None:
    """A time as a form says it, in UTC unless it names a zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        errors.append("A time is written as 2026-11-22T14:30, in UTC.")
        return None


def number(text: str | None, most: int) -> int | None:
    """A whole number, at most so large; None for anything else."""
    return min(int(text), most) if text and text.isascii() and text.isdigit() and len(text) < 20 else None
