"""Launches and refusals as they are read back: one list of both, with their steps, for commands and the admin page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.store import launches, refusals
from bridge.store.launches import FORWARDED, Filter, Launch
from bridge.store.refusals import Refused
from bridge.store.sealing import Seal

PURPOSE = "values seen"
"""What `Seal` keeps apart from the keys: what IdPs said of people."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One step of a launch (`bridge.launches.trail`), with whatever else was noted of it."""

    step: str
    outcome: str
    ms: int | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """A launch, or a refusal that no launch's row tells of; `at` is in milliseconds since 1970."""

    reference: str
    tenant: str
    at: int
    outcome: str
    reason: str | None
    steps: Sequence[Taken]
    of: Launch | Refused

    @property
    def found(self) -> str | None:
        """How the tenant was found (`bridge.launches.trail.Found`); None where no login led to it."""
        if isinstance(self.of, Launch):
            return self.of.found
        return next((str(taken.facts["found"]) for taken in self.steps if taken.step == "asked"), None)

    @property
    def first_refused(self) -> str | None:
        """The code with which a learner was refused who was let in later; None of anybody else."""
        if self.outcome != FORWARDED:
            return None
        return next((str(taken.facts.get("code")) for taken in self.steps if taken.outcome == "failed"), None)

    @property
    def took_ms(self) -> int | None:
        """From the beginning to the platform's answer, or to the refusal; None while nobody knows."""
        if isinstance(self.of, Refused) or self.of.finished_at is None:
            return None
        return max(self.of.finished_at - self.of.began_at, 0)


def recent(connection: Connection, which: Filter, limit: int) -> list[Record]:
    """The latest first, of both kinds."""
    found: list[Launch | Refused] = [
        *launches.recent(connection, which, limit),
        *refusals.recent(connection, which, limit),
    ]
    return sorted(map(_record, found), key=lambda record: record.at, reverse=True)[:limit]


def of_reference(connection: Connection, reference: str) -> list[Record]:
    """All that was given a reference, the latest first."""
    found: list[Launch | Refused] = [
        *launches.of_reference(connection, reference),
        *refusals.of_reference(connection, reference),
    ]
    return sorted(map(_record, found), key=lambda record: record.at, reverse=True)


def seen(seal: Seal, launch: Launch) -> Mapping[str, Sequence[str]] | None:
    """What the IdP said of the person, by attribute; None where it was not kept, or no longer is.

    `seal` is one for `PURPOSE`. Raises `StateError` where it was sealed under another secret.
    """
    if launch.seen is None:
        return None
    try:
        told: dict[str, list[str]] = json.loads(seal.open(launch.seen))
    except StateError as error:
        raise StateError(
            "what was seen was sealed under another secret; put the former one back at the end of `secrets`"
        ) from error
    return told


def _record(of: Launch | Refused) -> Record:
    if isinstance(of, Launch):
        return Record(of.reference, of.tenant, of.began_at, of.outcome, of.reason, _steps(of.steps), of)
    return Record(of.reference, of.tenant, of.at, of.code, of.reason, _steps(of.steps), of)


def _steps(written: str | None) -> tuple[Taken, ...]:
    steps = json.loads(written) if written else []
    return tuple(Taken(facts.pop("step"), facts.pop("outcome"), facts.pop("ms"), facts) for facts in steps)
