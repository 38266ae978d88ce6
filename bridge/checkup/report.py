"""What was found of one tenant, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from bridge.checkup.findings import LEVELS, Finding, Level
from bridge.checkup.known import Known
from bridge.checkup.kombo import KomboAnswer
from bridge.checkup.metadata import Metadata
from bridge.checkup.needs import Need
from bridge.keys.expiry import DAY, Ending, Expiry
from bridge.moments import moment
from bridge.settings.model import Tenant
from bridge.store.funnel import STEPS
from bridge.store.misses import Kind
from bridge.store.rows import MODELS, Model

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Report:
    """One tenant; `tenant` is None where its file is not valid, or its metadata is yet to come."""

    slug: str
    known: Known
    tenant: Tenant | None = None
    kombo: KomboAnswer = field(default_factory=KomboAnswer)
    metadata: Metadata = field(default_factory=Metadata)
    needs: Sequence[Need] = ()
    ends: Sequence[Ending] = ()
    findings: Sequence[Finding] = ()

    @property
    def level(self) -> Level:
        """That of the worst finding."""
        return min((finding.level for finding in self.findings), key=LEVELS.index, default="good")

    @property
    def idp_days(self) -> int | None:
        """Until the IdP's last signing certificate ends."""
        return self._days(own=False)

    @property
    def own_days(self) -> int | None:
        """Until the first certificate of our SAML keys ends that this tenant's IdP is shown."""
        return self._days(own=True)

    @property
    def offset_ms(self) -> int | None:
        """How far the IdP's clock was ahead of ours at the last login."""
        clock = self.known.snapshot.clocks.get(self.slug)
        here = clock and self.tenant and clock.provider == self.tenant.provider.entity_id
        return clock.offset_ms if clock and here else None

    @property
    def last_good(self) -> int | None:
        return self.known.last_good.get(self.slug)

    @property
    def misses(self) -> Mapping[Kind, int]:
        counts = self.known.misses
        return {kind: counts.get((self.slug, kind), 0) for kind in KINDS}

    @property
    def ages(self) -> Mapping[Model, int | None]:
        """Since when each model is known completely, in milliseconds ago; None: it never was."""
        if self.tenant is None:
            return dict.fromkeys(MODELS)
        of = self.known.snapshot.ages(self.tenant.integration_id)
        return {model: self.known.snapshot.now - of.of(model) if of.of(model) else None for model in MODELS}

    def counted(self, what: str) -> int:
        """In the funnel, in seven days."""
        return self.known.week.get((self.slug, what), 0)

    def waiting(self, state: str) -> int:
        count = self.known.snapshot.outbox.get((self.slug, state))
        return count.entries if count else 0

    @property
    def fields(self) -> dict[str, Any]:
        """For `--json`: moments in UTC, lengths in the unit that their names say."""
        clock = self.known.snapshot.clocks.get(self.slug)
        return {
            "tenant": self.slug,
            "level": self.level,
            "kombo": self._integration(),
            "permissions": [self._permission(need) for need in self.needs],
            "metadata": {"age_seconds": _seconds(self.metadata.age_ms), "now": self.metadata.now},
            "certificates": {"idp_days_left": self.idp_days, "own_days_left": self.own_days},
            "clock": {
                "offset_seconds": None if self.offset_ms is None else self.offset_ms / 1000,
                "measured_at": moment(clock.measured_at) if clock and self.offset_ms is not None else None,
                "skew_seconds": self.tenant.saml.clock_skew.total_seconds() if self.tenant else None,
            },
            "last_good_launch": None if self.last_good is None else moment(self.last_good),
            "week": {
                **{what: self.counted(what) for what in STEPS},
                "misses": self.misses,
            },
            "sync": {model: _seconds(age) for model, age in self.ages.items()},
            "outbox": {state: self.waiting(state) for state in ("waiting", "dead")},
            "findings": [_finding(finding) for finding in self.findings],
        }

    def _integration(self) -> dict[str, str | None]:
        found = self.kombo.integration
        return {
            "environment": self.kombo.environment,
            "integration": self.tenant.integration_id if self.tenant else None,
            "status": found.status if found else None,
            "setup_status": found.setup_status if found else None,
        }

    def _permission(self, need: Need) -> dict[str, str | bool | None]:
        return {
            "kind": need.kind,
            "name": need.name,
            "needed": need.what_for,
            "vital": need.vital,
            "granted": self.kombo.granted.get(need),
        }

    def _days(self, *, own: bool) -> int | None:
        ends = [end.end for end in self.ends if isinstance(end, Expiry) and (end.key is not None) is own]
        return None if not ends else int((min(ends) - self.known.snapshot.at) // DAY)


def _finding(finding: Finding) -> dict[str, Any]:
    place = {"file": finding.problem.file, "line": finding.problem.line} if finding.problem else {}
    return {"level": finding.level, "says": told(finding), **place}


def told(finding: Finding) -> str:
    """A finding on one line."""
    return f"{finding.says} {finding.problem}" if finding.problem else finding.says


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
