"""A state as it is after some weeks: ten tenants, each with another story, and rows as the service would write them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from bridge.checkup.snapshot import day_of
from bridge.errors import Code, Problem, SettingsError
from bridge.keys.rollover import HEADERS, SAML
from bridge.launches.history import PURPOSE
from bridge.launches.trail import step
from bridge.pages import reference
from bridge.saml.steps import Step
from bridge.settings.model import Configuration
from bridge.store import drifts, funnel, integrations, outbox, refusals, tables
from bridge.store import keys as key_rows
from bridge.store import launches as rows
from bridge.store.integrations import Standing
from bridge.store.keys import Kind
from bridge.store.launches import FORWARDED, SIGNED_IN, Launch
from bridge.store.refusals import Refused
from bridge.store.sealing import Seal
from tests.support.certificates import certificate
from tests.support.deployment import SECRET, Deployment
from tests.support.keys import made

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
COURSES = ("cybersecurity-101", "code-of-conduct", "data-privacy-basics", "fire-safety", "lib-feedback")
REASONS = {
    Code.USER_UNMATCHED: "the identifier (name_id) matches no Kombo user of {integration}: neither the directory nor"
    " Kombo has it",
    Code.NOT_ENROLLED: "no progression of {user} opens the course {course!r}",
    Code.USER_AMBIGUOUS: "2 active Kombo users share the identifier",
    Code.USER_INACTIVE: "the Kombo user is not active: INACTIVE",
    Code.COURSE_UNKNOWN: "no Kombo course of {integration} has the origin id 'juggling-101'",
    Code.UPSTREAM_TIMEOUT: "the platform has not answered within 60 s",
    Code.IDENTIFIER_MISSING: "the assertion carries none of: lms_user_id",
    Code.SAML_REJECTED: "the audience is https://other.example.com/sp; it has to be"
    " https://learn.example.com/_bridge/saml/{tenant}/metadata",
    Code.LOGIN_EXPIRED: "no login of this browser waits for this answer",
}
RINGED = (Code.SAML_REJECTED, Code.LOGIN_EXPIRED)


@dataclass(frozen=True)
class Plot:
    """What is the matter with a tenant; `daily` launches, and how they are refused per hundred."""

    name: str
    daily: int
    refused: Mapping[Code, float]
    data_age: int = 6 * MINUTE
    certificate_days: int = 400
    status: str = "ACTIVE"
    dead: int = 0
    waiting: int = 0
    late: int = 12


PLOTS = {
    "acme": Plot("Acme Corporation", 420, {Code.NOT_ENROLLED: 3, Code.USER_UNMATCHED: 1}, late=40),
    "globex": Plot("Globex", 180, {Code.USER_UNMATCHED: 1.5, Code.COURSE_UNKNOWN: 1}, certificate_days=12),
    "hooli": Plot("Hooli Learning & Development", 1240, {Code.USER_UNMATCHED: 14, Code.NOT_ENROLLED: 2}, late=60),
    "initech": Plot("Initech", 64, {Code.USER_AMBIGUOUS: 2}, data_age=3 * HOUR, status="ACTIVE", dead=3, waiting=2),
    "massive": Plot("Massive Dynamic", 95, {Code.USER_INACTIVE: 1}),
    "soylent": Plot("Soylent", 310, {Code.SAML_REJECTED: 60}, certificate_days=-3),
    "stark": Plot("Stark Industries", 730, {Code.UPSTREAM_TIMEOUT: 0.4, Code.LOGIN_EXPIRED: 1}),
    "umbrella": Plot("Umbrella", 22, {Code.IDENTIFIER_MISSING: 4}, data_age=80 * HOUR, status="INVALID", waiting=140),
    "vandelay": Plot("Vandelay Industries", 8, {}, late=0),
}


def configuration(folder: Path, now: int) -> Configuration:
    """Nine that serve, one of them with a file that has gone bad since, and a tenth that never did."""
    deployment = Deployment(folder, service={"internal_token": "t" * 20, "internal_hosts": ["bridge.internal"]})
    for slug, plot in PLOTS.items():
        settings: dict[str, Any] = {
            "name": plot.name,
            "kombo": {"integration_id": f"workday:{slug}{'A' * 16}"},
            "saml": {"metadata": f"{slug}-idp.xml"},
            "identity": ["name_id", {"email": "mail"}],
            "gate": {"default": "assigned", "library": ["lib-*"]},
        }
        deployment.tenants[slug] = settings
    loaded = deployment.load()
    tenants = {}
    for slug, tenant in loaded.tenants.items():
        end = datetime.fromtimestamp(now / 1000, UTC) + timedelta(days=PLOTS[slug].certificate_days, hours=1)
        provider = replace(tenant.provider, certificates=(certificate(end),))
        tenants[slug] = tenant.model_copy(update={"provider": provider})
    bad = Problem("config/tenants/wonka.yaml", 14, "`identity[0]`: there is no key `atribute`; write `attribute`")
    stale = Problem("config/tenants/massive.yaml", 9, "`gate`: write assigned, library, or {default: …}")
    return replace(
        loaded,
        tenants=tenants,
        broken={"wonka": SettingsError(bad)},
        outdated={"massive": SettingsError(stale)},
        generation=3,
    )


def fill(connection: Connection, configuration: Configuration, now: int, *, launches: int = 60, seed: int = 7) -> None:
    """So many rows of launches for each tenant, and a funnel of fourteen days."""
    chance = random.Random(seed)
    counts: Counter[tuple[str, str, str]] = Counter({("", day_of(now), str(Code.HOST_UNKNOWN)): 41})
    for slug, plot in PLOTS.items():
        tenant = configuration.tenants[slug]
        _count(counts, slug, plot, now, chance)
        for _ in range(launches):
            _launch(
                connection, slug, tenant.integration_id, plot, now - int(chance.expovariate(1 / (4 * HOUR))), chance
            )
        _sync(connection, slug, tenant.integration_id, plot, now)
        _misses(connection, slug, tenant.integration_id, plot, now, chance)
        _writes(connection, slug, tenant.integration_id, plot, now)
    funnel.count(connection, counts)
    for number in range(5):
        drifts.note(connection, "acme", "address_changed", f"u{number}A" * 8, f"{number}@x", None, now - number * DAY)
    drifts.note(connection, "acme", "address_shared", "u7A" * 8, "7@x", "u8A" * 8, now - HOUR)
    seal = Seal([SECRET])
    key_rows.add(connection, seal, Kind(HEADERS), made(HEADERS))
    key_rows.add(connection, seal, Kind(HEADERS), made(HEADERS, 1))
    key_rows.add(connection, seal, Kind(SAML), made(SAML))


def _count(counts: Counter[tuple[str, str, str]], slug: str, plot: Plot, now: int, chance: random.Random) -> None:
    hours = datetime.fromtimestamp(now / 1000, UTC).hour + 1
    for ago in range(14):
        day = day_of(now, ago)
        share = hours / 24 if ago == 0 else 1.0
        weekend = datetime.fromisoformat(day).weekday() > 4
        asked = int(plot.daily * share * (0.2 if weekend else 1) * chance.uniform(0.8, 1.2))
        refused = {
            code: round(asked * percent / 100 * chance.uniform(0.7, 1.3)) for code, percent in plot.refused.items()
        }
        signed_in = asked - sum(refused.get(code, 0) for code in RINGED)
        unknown = (Code.USER_UNMATCHED, Code.USER_AMBIGUOUS, Code.USER_INACTIVE, Code.IDENTIFIER_MISSING)
        matched = signed_in - sum(refused.get(code, 0) for code in unknown)
        gate = matched - sum(refused.get(code, 0) for code in (Code.NOT_ENROLLED, Code.COURSE_UNKNOWN))
        told = {"asked": asked, "signed_in": signed_in, "matched": matched, "gate": int(gate * 0.97), FORWARDED: gate}
        told |= {str(code): many for code, many in refused.items()}
        counts.update({(slug, day, what): many for what, many in told.items() if many > 0})


def _launch(connection: Connection, slug: str, integration: str, plot: Plot, at: int, chance: random.Random) -> None:
    codes = [*plot.refused, None, SIGNED_IN]
    chosen = chance.choices(codes, [*(max(share, 6) for share in plot.refused.values()), 80, 1.5])[0]
    user, course = f"{chance.randrange(16**12):012x}kombo", chance.choice(COURSES)
    words = {"integration": integration, "user": user, "course": course, "tenant": slug}
    if isinstance(chosen, Code) and chosen in RINGED:
        steps = [step("asked", "passed", found="link"), step("answered", "passed", 2100)]
        facts: dict[str, Any] = {"code": chosen, "reason": REASONS[chosen].format(**words)}
        steps.append(step("verified", "failed", 6, **facts, checks=checks(Step.AUDIENCE)))
        refused = Refused(
            reference(), slug, at, str(chosen), chosen.status, facts["reason"], "POST", f"/courses/{course}",
            check="audience" if chosen is Code.SAML_REJECTED else None,
            steps=f"[{', '.join(steps)}]" if chosen is Code.SAML_REJECTED else None,
        )  # fmt: skip
        refusals.note(connection, slug, [refused], 200)
        return
    rows.add(connection, launch(slug, integration, at, chosen, user, course, chance))


def launch(
    slug: str, integration: str, at: int, outcome: Code | str | None, user: str, course: str, chance: random.Random
) -> Launch:
    """One with a row; None is let in."""
    words = {"integration": integration, "user": user, "course": course, "tenant": slug}
    waited = int(chance.lognormvariate(7.6, 0.9))
    steps = [step("asked", "passed", found="link"), step("answered", "passed", waited)]
    steps.append(step("verified", "passed", chance.randrange(3, 12), checks=checks(None)))
    tried = [{"source": "NameID", "tier": "name_id", "result": "matched", "reason": ""}]
    code = outcome if isinstance(outcome, Code) else None
    reason = REASONS[code].format(**words) if code else None
    unidentified = code in (
        Code.USER_UNMATCHED, Code.USER_AMBIGUOUS, Code.USER_INACTIVE, Code.IDENTIFIER_MISSING
    )  # fmt: skip
    if unidentified:
        failed = [{"source": "NameID", "tier": "name_id", "result": "unmatched", "reason": "neither has it"}]
        steps.append(step("identified", "failed", 310, code=code, reason=reason, tried=failed))
    else:
        steps.append(step("identified", "passed", chance.randrange(1, 5), tried=tried, user=user))
        steps.append(step("signed_in", "passed"))
    if not unidentified and outcome != SIGNED_IN:
        steps.append(step("returned", "passed", chance.randrange(20, 160)))
        if code in (Code.NOT_ENROLLED, Code.COURSE_UNKNOWN):
            steps.append(step("gate", "failed", 190, code=code, reason=reason, course=course))
        else:
            steps.append(step("gate", "passed", 2, course=course, enrollment="ENROLLED", gate="fresh"))
            if code:
                steps.append(step("forwarded", "failed", 60_000, code=code, reason=reason))
            else:
                steps.append(step("forwarded", "passed", chance.randrange(15, 400), status=200))
    words_of = reference()
    return Launch(
        id=f"{words_of}.{chance.randrange(16**16):016x}",
        reference=words_of,
        tenant=slug,
        integration_id=integration,
        provider=f"http://localhost:7000/{slug}",
        found="link",
        began_at=at,
        outcome=str(outcome or FORWARDED),
        steps=f"[{', '.join(steps)}]",
        path=f"/courses/{course}",
        finished_at=None if outcome == SIGNED_IN else at + waited + 400,
        reason=reason,
        tier="name_id",
        user_id=None if unidentified else user,
        course=course if not unidentified else None,
        enrollment="ENROLLED" if outcome is None else None,
        gate="fresh" if outcome is None else None,
        http_status=200 if outcome is None else code.status if code else None,
        seen=Seal([SECRET], PURPOSE).close(
            json.dumps({"NameID": [f"E{chance.randrange(10**6)}"], "mail": ["jane.doe@acme.com"]}).encode()
        ) if chance.random() < 0.1 else None,
    )  # fmt: skip


def checks(failed: Step | None) -> dict[str, str]:
    """How the checks of a response stand that failed one of them, or none."""
    order = list(Step)
    at = order.index(failed) if failed else len(order)
    return {
        str(each): "passed" if index < at else "failed" if index == at else "not_reached"
        for index, each in enumerate(order)
    } | {"decryption": "not_needed"}


def _sync(connection: Connection, slug: str, integration: str, plot: Plot, now: int) -> None:
    known = now - plot.data_age
    good_at = known if plot.status != "ACTIVE" else now - 4 * MINUTE
    standing = Standing(integration, slug, plot.status, "COMPLETED", heard_at=now - 4 * MINUTE, good_at=good_at)
    integrations.keep(connection, standing)
    failing = 6 if plot.data_age > HOUR and plot.status == "ACTIVE" else 0
    for number, model in enumerate(("users", "courses", "progressions")):
        at = known + number * 20_000
        row = {
            "integration_id": integration, "model": model, "started_at": at, "finished_at": at + 9000, "as_of": at,
            "full_at": now - 4 * HOUR - plot.data_age, "read_at": at, "number": 40, "failures": failing,
        }  # fmt: skip
        connection.execute(insert(tables.syncs), row)


def _misses(connection: Connection, slug: str, integration: str, plot: Plot, now: int, chance: random.Random) -> None:
    for number in range(plot.late):
        at = now - int(chance.uniform(0, 30) * DAY)
        late = chance.random() < 0.7
        lag = int(min(chance.lognormvariate(8.6, 1.0), 150_000) * 1000)
        row = {
            "id": f"{slug}{number:04d}", "tenant": slug, "integration_id": integration, "user_id": f"{number:08x}kombo",
            "course": chance.choice(COURSES), "reference": reference(), "first_at": at, "last_at": at + HOUR,
            "times": chance.randrange(1, 9), "kind": "sync_delay" if late else chance.choice(["open", "unauthorized"]),
            "settled_at": at + lag if late else None, "lag_ms": lag if late else None,
        }  # fmt: skip
        connection.execute(insert(tables.misses), row)


def _writes(connection: Connection, slug: str, integration: str, plot: Plot, now: int) -> None:
    for number in range(plot.dead + plot.waiting):
        dead = number < plot.dead
        outbox.add(
            connection, f"{slug}-{number}", now - (number + 1) * 20 * MINUTE, tenant=slug, integration_id=integration,
            kind="complete", user_id=f"{number:08x}kombo", course="fire-safety", source="api",
            state="dead" if dead else "waiting", attempts=5 if dead else number % 7,
            not_before=now + 4 * MINUTE, code="INTEGRATION.PERMISSION_MISSING" if dead else None,
            message="Jane Doe may not" if dead else None,
        )  # fmt: skip
