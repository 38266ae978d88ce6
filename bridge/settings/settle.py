"""Which version of each tenant is in force, where files are broken or claim the same thing.

A tenant that serves goes on serving: a file that is invalid, or claims what another tenant has, keeps its last good
version. Where two newcomers claim the same, neither gets it, since nobody can say whose it is. Only metadata that has
expired ends a tenant that serves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bridge.errors import Problem, SettingsError
from bridge.settings.idp import expired_since, has_expired
from bridge.settings.model import MetadataUrl, SourceError, Tenant
from bridge.settings.tenant import TenantReading, Unshared


@dataclass(frozen=True, slots=True)
class Settled:
    """The tenants in force, and what is wrong with files, by slug; a slug may stand in both.

    `ends` is what the metadata in force says of its validity, or what was in force until it ended.
    """

    readings: Mapping[str, TenantReading]
    errors: Mapping[str, SettingsError]
    ends: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def tenants(self) -> dict[str, Tenant]:
        return {slug: reading.tenant for slug, reading in self.readings.items()}

    @property
    def broken(self) -> dict[str, SettingsError]:
        return {slug: error for slug, error in self.errors.items() if slug not in self.readings}

    @property
    def outdated(self) -> dict[str, SettingsError]:
        return {slug: error for slug, error in self.errors.items() if slug in self.readings}

    @property
    def metadata_urls(self) -> tuple[MetadataUrl, ...]:
        """Of the tenants in force, and of those that are waiting for theirs. A tenant may be both, with two URLs."""
        sources = [reading.source for reading in self.readings.values()]
        sources += [error.source for error in self.errors.values() if isinstance(error, SourceError)]
        return tuple({(source.slug, source.url): source for source in sources if source}.values())

    @property
    def valid_until(self) -> datetime | None:
        """When the first of the tenants in force is to be settled anew."""
        ends = (reading.valid_until for reading in self.readings.values())
        return min((end for end in ends if end), default=None)


def settle(
    latest: Mapping[str, TenantReading | SettingsError], in_force: Mapping[str, TenantReading], now: datetime
) -> Settled:
    """The latest readings of all files against the tenants in force until now."""
    alive = {slug: reading for slug, reading in in_force.items() if not has_expired(reading.valid_until, now)}
    chosen: dict[str, TenantReading] = {}
    errors: dict[str, SettingsError] = {}
    for slug, reading in latest.items():
        before = alive.get(slug)
        if error := _error(reading, now):
            errors[slug] = error
            if before:
                chosen[slug] = before
        elif isinstance(reading, TenantReading):
            same = before is not None and before.tenant == reading.tenant
            chosen[slug] = replace(reading, tenant=before.tenant) if before and same else reading
    while losers := _losers(chosen, alive):
        for slug, problems in losers.items():
            errors[slug] = SettingsError(*sorted(problems, key=lambda problem: problem.line))
            before = alive.get(slug)
            if before and chosen[slug].tenant is not before.tenant:
                chosen[slug] = before
            else:
                del chosen[slug]
    return Settled(chosen, errors, _ends(latest, chosen, now))


def _ends(
    latest: Mapping[str, TenantReading | SettingsError], chosen: Mapping[str, TenantReading], now: datetime
) -> dict[str, datetime]:
    over = {
        slug: reading
        for slug, reading in latest.items()
        if isinstance(reading, TenantReading) and has_expired(reading.valid_until, now)
    }
    return {slug: reading.valid_until for slug, reading in (over | dict(chosen)).items() if reading.valid_until}


def _error(reading: TenantReading | SettingsError, now: datetime) -> SettingsError | None:
    if isinstance(reading, SettingsError):
        return reading
    if reading.valid_until is None or not has_expired(reading.valid_until, now):
        return None
    problem = Problem(reading.file, reading.metadata_line, f"`saml.metadata`: {expired_since(reading.valid_until)}")
    return SourceError(problem, reading.source, awaited=False) if reading.source else SettingsError(problem)


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
        newcomers = [slug for slug in slugs if slug not in in_force or chosen[slug].tenant is not in_force[slug].tenant]
        for slug in newcomers or slugs:
            other = chosen[next(other for other in slugs if other != slug)]
            message = f"the {claim.kind} {claim.value} is also in {other.file}: write it in one of the two files only"
            losers[slug].append(Problem(chosen[slug].file, chosen[slug].lines[claim], message))
    return losers
