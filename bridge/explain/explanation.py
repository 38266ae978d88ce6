"""All that is found out about one response or one launch, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from bridge.explain.change import Change
from bridge.redaction import redacted
from bridge.saml.steps import Standing


@dataclass(frozen=True, slots=True)
class Check:
    """One step of `bridge.saml.steps`; `reason` where there is something to say."""

    step: str
    standing: Standing
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the response says, beside what the tenant's settings expect of it."""

    what: str
    found: Sequence[str]
    expected: Sequence[str]

    @property
    def fits(self) -> bool:
        return bool(set(self.found) & set(self.expected))


@dataclass(frozen=True, slots=True)
class Identifier:
    """What stood under one identity entry; `value` names a person."""

    source: str
    tier: str
    value: str | None
    result: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """What the gate says; `outcome` is how it is open, or a refusal's code."""

    origin_id: str
    open: bool
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`of` is what was explained. `verified`: the identifiers come from bytes that the IdP signed. `carried` is what
    else the response said of the person, by attribute. `at` is when a response was issued, or when a learner came.
    """

    of: Literal["response", "launch", "refusal"]
    tenant: str
    at: datetime | None
    passes: bool
    verified: bool
    reference: str | None = None
    age: timedelta | None = None
    outcome: str = ""
    check: str | None = None
    reason: str = ""
    checks: Sequence[Check] = ()
    differences: Sequence[Difference] = ()
    identifiers: Sequence[Identifier] = ()
    carried: Sequence[tuple[str, Sequence[str]]] = ()
    user: str | None = None
    tier: str | None = None
    standing: str = ""
    course: Course | None = None
    notes: Sequence[str] = ()
    change: Change | None = None

    def fields(self, *, values: bool) -> dict[str, Any]:
        """For scripts. What the IdP said of the person is redacted unless `values`."""

        def shown(value: str) -> str:
            return value if values else redacted(value)

        return {
            "of": self.of,
            "tenant": self.tenant,
            "reference": self.reference,
            "at": self.at and self.at.isoformat(),
            "age_seconds": None if self.age is None else round(self.age.total_seconds()),
            "passes": self.passes,
            "outcome": self.outcome,
            "check": self.check,
            "reason": self.reason,
            "checks": [asdict(each) for each in self.checks],
            "differences": [asdict(each) | {"fits": each.fits} for each in self.differences],
            "verified": self.verified,
            "identifiers": [
                asdict(each) | {"value": None if each.value is None else shown(each.value)} for each in self.identifiers
            ],
            "carried": {name: [shown(value) for value in found] for name, found in self.carried},
            "user": self.user,
            "tier": self.tier,
            "standing": self.standing,
            "course": self.course and asdict(self.course),
            "notes": list(self.notes),
            "change": self.change and self.change.fields,
        }
