"""Every tenant at a glance, and the service itself."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from bridge.checkup.findings import LEVELS, Finding, Level, of_broken, of_endings, of_tenant, oldest
from bridge.checkup.snapshot import Snapshot
from bridge.directory.freshness import Freshness, freshness
from bridge.errors import Code
from bridge.keys.expiry import Ending, Expiry, endings
from bridge.settings.model import Configuration, Tenant
from bridge.store.launches import FORWARDED

CODES = tuple(map(str, Code))


@dataclass(frozen=True, slots=True)
class Glance:
    """One tenant. `known_at` is the moment of which everything of it is known, 0 before; `certificate_days` are left
    of its IdP's; `refused` are today's refusals by code, the most first.
    """

    slug: str
    name: str
    findings: Sequence[Finding]
    tenant: Tenant | None = None
    known_at: int = 0
    fresh: Freshness = "too_old"
    asked: int = 0
    forwarded: int = 0
    signed_in: int = 0
    matched: int = 0
    refused: Sequence[tuple[str, int]] = ()
    certificate_days: int | None = None
    waiting: int = 0
    gave_up: int = 0

    @property
    def level(self) -> Level:
        return self.findings[0].level if self.findings else "good"

    @property
    def refusals(self) -> int:
        return sum(many for _, many in self.refused)


@dataclass(frozen=True, slots=True)
class Service:
    """What is not one tenant's. `fresh` counts tenants by how old what is known of them is; `elsewhere` counts today's
    refusals of whom no tenant is known.
    """

    snapshot: Snapshot
    bridge: str
    python: str
    workers: int
    generation: int
    fresh: Mapping[Freshness, int]
    heard_at: int | None
    levels: Mapping[Level, int]
    elsewhere: Sequence[tuple[str, int]]
    findings: Sequence[Finding] = field(default_factory=tuple)


Ends = Mapping[str | None, Sequence[Ending]]
"""What ends, by tenant; None for what is the deployment's."""


def ends_of(configuration: Configuration, snapshot: Snapshot) -> Ends:
    found: dict[str | None, list[Ending]] = {}
    for ending in endings(configuration, snapshot.keys, snapshot.metadata.values()):
        found.setdefault(ending.tenant, []).append(ending)
    return found


def glances(configuration: Configuration, snapshot: Snapshot, ends: Ends) -> list[Glance]:
    """All of them, what is worst first."""
    refused = refusals(snapshot.today)
    slugs = (*configuration.tenants, *configuration.broken)
    found = [_glance(configuration, slug, snapshot, ends.get(slug, ()), refused.get(slug, ())) for slug in slugs]
    return sorted(found, key=lambda glance: (LEVELS.index(glance.level), glance.slug))


def glance_of(configuration: Configuration, slug: str, snapshot: Snapshot, ends: Ends) -> Glance:
    """That of one tenant."""
    return _glance(configuration, slug, snapshot, ends.get(slug, ()), refusals(snapshot.today).get(slug, ()))


def service(
    configuration: Configuration, snapshot: Snapshot, ends: Ends, all: Sequence[Glance], workers: int
) -> Service:
    findings = of_endings(ends.get(None, ()), snapshot)
    if not snapshot.reachable:
        findings.insert(0, Finding("broken", "The state cannot be read: nobody can sign in. The log says why."))
    return Service(
        snapshot,
        version("kombo-bridge"),
        platform.python_version(),
        workers,
        configuration.generation,
        Counter(glance.fresh for glance in all if glance.tenant),
        max((standing.heard_at or 0 for standing in snapshot.standings.values()), default=0) or None,
        Counter(glance.level for glance in all),
        refusals(snapshot.today).get("", ()),
        findings,
    )


def refusals(counted: Mapping[tuple[str, str], int]) -> dict[str, list[tuple[str, int]]]:
    """By tenant: how often each code, the most first."""
    found: dict[str, list[tuple[str, int]]] = {}
    for (slug, what), many in counted.items():
        if what in CODES:
            found.setdefault(slug, []).append((what, many))
    return {slug: sorted(each, key=lambda one: (-one[1], one[0])) for slug, each in found.items()}


def _glance(
    configuration: Configuration,
    slug: str,
    snapshot: Snapshot,
    ends: Sequence[Ending],
    refused: Sequence[tuple[str, int]],
) -> Glance:
    waiting, gave_up = (snapshot.outbox.get((slug, state)) for state in ("waiting", "dead"))
    glance = Glance(
        slug,
        slug,
        (),
        asked=snapshot.today.get((slug, "asked"), 0),
        forwarded=snapshot.today.get((slug, FORWARDED), 0),
        signed_in=snapshot.week.get((slug, "signed_in"), 0),
        matched=snapshot.week.get((slug, "matched"), 0),
        refused=refused,
        waiting=waiting.entries if waiting else 0,
        gave_up=gave_up.entries if gave_up else 0,
    )
    tenant = configuration.tenants.get(slug)
    if tenant is None:
        return replace(glance, findings=of_broken(configuration.broken[slug]))
    _, known_at = oldest(tenant, snapshot)
    certificates = [end.days_left(snapshot.at) for end in ends if isinstance(end, Expiry) and end.key is None]
    return replace(
        glance,
        name=tenant.name,
        findings=of_tenant(tenant, snapshot, configuration.outdated.get(slug), ends),
        tenant=tenant,
        known_at=known_at,
        fresh=freshness(tenant, known_at),
        certificate_days=math.floor(min(certificates)) if certificates else None,
    )
