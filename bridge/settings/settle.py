"""Which version of each tenant is in force, where files are broken or claim the same thing.

A tenant that serves goes on serving: a file that is invalid, or claims what another tenant has, keeps its last good
version. Where two newcomers claim the same, neither gets it, since nobody can say whose it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.errors import Problem, SettingsError
from bridge.settings.model import Tenant
from bridge.settings.tenant import TenantReading, Unshared


@dataclass(frozen=True, slots=True)
class Settled:
    """The tenants in force, and what is wrong with files, by slug; a slug may stand in both."""

    readings: Mapping[str, TenantReading]
    errors: Mapping[str, SettingsError]

    @property
    def tenants(self) -> dict[str, Tenant]:
        return {slug: reading.tenant for slug, reading in self.readings.items()}

    @property
    def broken(self) -> dict[str, SettingsError]:
        return {slug: error for slug, error in self.errors.items() if slug not in self.readings}


def settle(latest: Mapping[str, TenantReading | SettingsError], in_force: Mapping[str, TenantReading]) -> Settled:
    """The latest readings of all files against the tenants in force until now."""
    chosen: dict[str, TenantReading] = {}
    errors: dict[str, SettingsError] = {}
    for slug, reading in latest.items():
        before = in_force.get(slug)
        if isinstance(reading, SettingsError):
            errors[slug] = reading
            if before:
                chosen[slug] = before
        else:
            chosen[slug] = before if before and before.tenant == reading.tenant else reading
    while losers := _losers(chosen, in_force):
        for slug, problems in losers.items():
            errors[slug] = SettingsError(*sorted(problems, key=lambda problem: problem.line))
            before = in_force.get(slug)
            if before and chosen[slug] is not before:
                chosen[slug] = before
            else:
                del chosen[slug]
    return Settled(chosen, errors)


def _losers(chosen: Mapping[str, TenantReading], in_force: Mapping[str, TenantReading]) -> dict[str, list[Problem]]:
    """Who must give way, and why. Each round puts at least one tenant back, so rounds end."""
    claimants: defaultdict[Unshared, list[str]] = defaultdict(list)
    for slug, reading in chosen.items():
        for claim in reading.lines:
            claimants[claim].append(slug)
    losers: defaultdict[str, list[Problem]] = defaultdict(list)
    for claim, slugs in claimants.items():
        if len(slugs) < 2:
            continue
        newcomers = [slug for slug in slugs if chosen[slug] is not in_force.get(slug)]
        for slug in newcomers or slugs:
            other = chosen[next(other for other in slugs if other != slug)]
            message = f"the {claim.kind} {claim.value} is also in {other.file}: write it in one of the two files only"
            losers[slug].append(Problem(chosen[slug].file, chosen[slug].lines[claim], message))
    return losers
