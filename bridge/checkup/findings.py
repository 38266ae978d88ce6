"""What is not as it should be with a tenant, and what to do about it.

`broken` shuts learners out, or will within days if nobody does anything; `attention` does not yet. Everything is judged
by the settings and by one look into the state (`bridge.checkup.snapshot`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from bridge.checkup.snapshot import Snapshot
from bridge.directory import standing as kombo
from bridge.directory.freshness import freshness
from bridge.errors import Code, Problem, SettingsError
from bridge.figures import count, rate
from bridge.keys.expiry import THRESHOLDS, Ending, MetadataEnd
from bridge.moments import length
from bridge.printable import capitalized, cut, printable
from bridge.settings.model import Tenant, is_awaited
from bridge.store.engine import length_ms
from bridge.store.idps import Key
from bridge.store.rows import MODELS, Model

Level = Literal["broken", "attention", "good"]
LEVELS: tuple[Level, ...] = ("broken", "attention", "good")

FEW = 10
"""Sign-ins from which the share of them that matched says something."""
LOW_MATCH, NO_MATCH = 0.9, 0.5
MANY_REJECTED = 5
LATE = timedelta(hours=1)
"""How long a write to Kombo may wait before it is worth a word."""

LONGEST_STATE = 100
SETUPS = {
    "INCOMPLETE": "the customer has to finish connecting the LMS",
    "FINAL_SYNC_PENDING": "Kombo has yet to read the LMS for the first time",
}
"""What an integration's setup waits for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`problem` is given where a file has to be changed."""

    level: Level
    says: str
    problem: Problem | None = None


def of_broken(error: SettingsError) -> list[Finding]:
    """Of a tenant that does not serve."""
    if is_awaited(error):
        return _problems(error, "attention", "Its IdP's metadata is yet to come: nobody can sign in before.")
    return _problems(error, "broken", "Its file is not valid: nobody can sign in.")


def of_tenant(
    tenant: Tenant, snapshot: Snapshot, outdated: SettingsError | None, ends: Sequence[Ending]
) -> list[Finding]:
    """Of one that serves, the worst first. `ends` are those of its certificates and metadata."""
    found = [*_file(outdated), *of_endings(ends, snapshot)]
    if snapshot.reachable:
        found += [*_data(tenant, snapshot), *_integration(tenant, snapshot), *_metadata(tenant, snapshot)]
        found += [*_launches(tenant, snapshot), *_writes(tenant, snapshot), *_clock(tenant, snapshot)]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def of_endings(ends: Sequence[Ending], snapshot: Snapshot) -> list[Finding]:
    """Of certificates and metadata that are about to end."""
    found = []
    for end in ends:
        threshold = end.threshold(snapshot.at)
        if threshold is not None:
            closes = isinstance(end, MetadataEnd) and threshold < max(THRESHOLDS)
            warning = end.warning(snapshot.at)
            found.append(Finding("broken" if closes else "attention", f"{capitalized(warning)}."))
    return found


def of_integration(status: str | None, setup: str | None) -> list[Finding]:
    """Of what Kombo says of an integration, now or when it was last asked; None where it said nothing."""
    if status not in (None, kombo.ACTIVE):
        said = cut(printable(status), LONGEST_STATE)
        return [Finding("broken", f"Kombo says that the integration is {said}. {kombo.hint(status)}.")]
    if setup not in (None, kombo.COMPLETED):
        said, waits_for = cut(printable(setup), LONGEST_STATE), SETUPS.get(setup, "Kombo's dashboard says more")
        return [Finding("broken", f"Kombo says that the integration's setup is {said}: {waits_for}.")]
    return []


def oldest(tenant: Tenant, snapshot: Snapshot) -> tuple[Model, int]:
    """The model that was known completely the longest ago, and as of which moment; 0: it was never read."""
    ages = snapshot.ages(tenant.integration_id)
    return min(((model, ages.of(model)) for model in MODELS), key=lambda each: each[1])


def _problems(error: SettingsError, level: Level, says: str) -> list[Finding]:
    return [Finding(level, says, problem) for problem in error.problems]


def _file(error: SettingsError | None) -> list[Finding]:
    if error is None:
        return []
    if is_awaited(error):
        return _problems(error, "attention", "Its metadata from another URL is yet to come; the former is in force.")
    return _problems(error, "attention", "Its file is not valid any more; the last good version serves.")


def _data(tenant: Tenant, snapshot: Snapshot) -> Iterator[Finding]:
    """How old what is known of the people, courses and enrollments is."""
    model, known_at = oldest(tenant, snapshot)
    passes = snapshot.passes.get(tenant.integration_id, {})
    failures = max((progress.failures or 0 for progress in passes.values()), default=0)
    failing = f" Reading them failed {failures} times in a row; the log says why (`sync_failed`)." if failures else ""
    read = f"`kombo-bridge sync --tenant {tenant.slug}` reads them, or says what is in the way."
    if not known_at:
        level: Level = "broken" if failures else "attention"
        says = f"Its {model} were never read completely: learners are asked for one by one. {read}{failing}"
        yield Finding(level, says)
        return
    age = length(snapshot.now - known_at)
    fresh = freshness(tenant, known_at)
    if fresh == "too_old":
        limit = length(length_ms(tenant.kombo.stale_for))
        says = f"Its {model} are as of {age} ago, beyond `kombo.stale_for` ({limit}): learners are refused."
        yield Finding("broken", f"{says} {read}{failing}")
    elif fresh == "stale" or failing:
        missed = failing or " A sync was missed."
        yield Finding("attention", f"Its {model} are as of {age} ago.{missed} {read}")


def _integration(tenant: Tenant, snapshot: Snapshot) -> Iterator[Finding]:
    """What Kombo has said of the integration itself."""
    standing = snapshot.standings.get(tenant.integration_id)
    if standing is None:
        return
    yield from of_integration(standing.status, standing.setup_status)
    if standing.failing_at is not None:
        since = length(snapshot.now - standing.failing_at)
        yield Finding("attention", f"Kombo's own syncs fail since {since} ago; its dashboard says why.")
    if standing.held:
        lost = f"{count(standing.held)} of {count(standing.held_of or 0)} people"
        confirm = f"kombo-bridge sync --tenant {tenant.slug} --confirm"
        yield Finding("attention", f"A sync would lose {lost}, and is held: mend the scope in Kombo, or `{confirm}`.")


def _metadata(tenant: Tenant, snapshot: Snapshot) -> Iterator[Finding]:
    kept = snapshot.metadata.get(Key(tenant.slug, str(tenant.saml.metadata)))
    if kept and kept.held:
        accept = f"kombo-bridge metadata accept {tenant.slug}"
        yield Finding("attention", f"Newer metadata names another IdP, {kept.held}, and is held: `{accept}`.")
    if kept and kept.failed:
        yield Finding("attention", f"Its metadata could not be fetched, {kept.failures} in a row: {kept.failed}.")


def _launches(tenant: Tenant, snapshot: Snapshot) -> Iterator[Finding]:
    signed_in, matched = (snapshot.week.get((tenant.slug, what), 0) for what in ("signed_in", "matched"))
    if signed_in >= FEW and matched < LOW_MATCH * signed_in:
        shut_out = tenant.unmatched == "deny"
        level: Level = "broken" if shut_out and matched < NO_MATCH * signed_in else "attention"
        share = rate(matched, signed_in)
        says = f"Of {count(signed_in)} sign-ins in seven days only {share} matched somebody"
        yield Finding(level, f"{says}: {_whose(tenant)}.")
    good, rejected = (snapshot.today.get((tenant.slug, what), 0) for what in ("signed_in", str(Code.SAML_REJECTED)))
    if rejected >= MANY_REJECTED and rejected > good / 10:
        level = "attention" if good else "broken"
        says = f"{count(rejected)} sign-ins were rejected today, and {count(good)} were good"
        yield Finding(level, f"{says}: {_whose(tenant)}.")


def _whose(tenant: Tenant) -> str:
    return f"`kombo-bridge launches --tenant {tenant.slug}` shows them, and `kombo-bridge explain REFERENCE` says why"


def _writes(tenant: Tenant, snapshot: Snapshot) -> Iterator[Finding]:
    outbox = f"`kombo-bridge outbox --tenant {tenant.slug}` says why"
    gave_up, waiting = (snapshot.outbox.get((tenant.slug, state)) for state in ("dead", "waiting"))
    if gave_up:
        yield Finding("attention", f"{count(gave_up.entries)} writes to Kombo gave up: {outbox}.")
    if waiting and snapshot.now - waiting.since > length_ms(LATE):
        since = length(snapshot.now - waiting.since)
        says = f"{count(waiting.entries)} writes to Kombo wait, the oldest since {since} ago: {outbox}"
        yield Finding("attention", f"{says}.")


def _clock(tenant: Tenant, snapshot: Snapshot) -> Iterator[Finding]:
    measured = snapshot.clocks.get(tenant.slug)
    if measured is None or measured.provider != tenant.provider.entity_id:
        return
    skew, off = length_ms(tenant.saml.clock_skew), abs(measured.offset_ms)
    if off > skew / 2:
        side = "ahead of" if measured.offset_ms > 0 else "behind"
        says = f"The IdP's clock is {off / 1000:.0f} s {side} ours; `saml.clock_skew` allows {skew // 1000} s"
        remedy = "ask its administrators to set it by NTP"
        yield Finding("broken" if off > skew else "attention", f"{says}: {remedy}.")
