"""How `check --live` tells what it found: a table, then one finding a line, the worst first."""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
from collections.abc import Sequence

from bridge.checkup.checkup import Checkup, Result
from bridge.checkup.known import Known, known
from bridge.checkup.metadata import DEADLINE_SECONDS
from bridge.checkup.report import Report, told
from bridge.checkup.snapshot import Snapshot
from bridge.cli.state import look
from bridge.cli.tables import print_table
from bridge.errors import BridgeError, StateError
from bridge.idps.fetch import Fetcher
from bridge.kombo.transport import http_client
from bridge.moments import length
from bridge.printable import printable
from bridge.settings.model import Configuration
from bridge.store.engine import now_ms

HEADINGS = (
    "TENANT",
    "STATE",
    "KOMBO",
    "PERMITTED",
    "METADATA",
    "CERT DAYS IDP/OURS",
    "IDP CLOCK",
    "LAST GOOD",
    "MATCHED",
    "MISSES",
    "SYNCED",
    "OUTBOX",
)


def live(configuration: Configuration, tenant: str | None, *, json: bool) -> bool:
    """Look, and print what was found; whether nothing of it is broken. Raises `BridgeError`."""
    slugs = configuration.tenants.keys() | configuration.broken.keys()
    if tenant is not None and tenant not in slugs:
        raise BridgeError(f"there is no tenant {printable(tenant)}: no file has that name")
    result = asyncio.run(_run(configuration, slugs if tenant is None else {tenant}))
    _print_json(result) if json else _print(result)
    return not result.count("broken")


async def _run(configuration: Configuration, slugs: set[str]) -> Result:
    now, trouble, found = now_ms(), None, None
    try:
        found = await asyncio.to_thread(look, configuration.service.state, lambda c: known(c, slugs, now))
    except StateError as error:
        trouble = error
    fetcher = Fetcher(configuration.service.metadata_networks, deadline=DEADLINE_SECONDS)
    with contextlib.closing(fetcher):
        async with http_client() as http:
            empty = Known(
                Snapshot(now, reachable=trouble is None)
            )  # where there is no state yet, nothing was ever read
            return await Checkup(configuration, found or empty, http, fetcher, trouble=trouble).run(slugs)


def _print_json(result: Result) -> None:
    shown = {
        "findings": [{"level": finding.level, "says": told(finding)} for finding in result.findings],
        "tenants": [report.fields for report in result.reports],
    }
    print(jsonlib.dumps(shown, indent=2))


def _print(result: Result) -> None:
    if result.reports:
        print_table(HEADINGS, [_cells(report) for report in result.reports])
    for finding in result.findings:
        print(printable(f"{finding.level}: {told(finding)}"))
    for report in result.reports:
        for finding in report.findings:
            print(printable(f"{report.slug}: {finding.level}: {told(finding)}"))
    broken, attention = result.count("broken"), result.count("attention")
    print(f"{_tenants(result.reports)}; findings: {broken} broken, {attention} attention")


def _tenants(reports: Sequence[Report]) -> str:
    return "1 tenant" if len(reports) == 1 else f"{len(reports)} tenants"


def _cells(report: Report) -> tuple[str, ...]:
    found = report.kombo.integration
    given = report.kombo.granted.values()
    return (
        report.slug,
        report.level,
        found.status if found else "-",
        f"{sum(given)}/{len(report.needs)}" if found else "-",
        _metadata(report),
        _days(report),
        "-" if report.offset_ms is None else f"{report.offset_ms / 1000:+.1f}s",
        "never" if report.last_good is None else f"{length(report.known.snapshot.now - report.last_good)} ago",
        _matched(report),
        str(sum(report.misses.values())),
        _synced(report),
        _outbox(report),
    )


def _metadata(report: Report) -> str:
    age = "-" if report.metadata.age_ms is None else length(report.metadata.age_ms)
    return f"{age}, {report.metadata.now}" if report.metadata.now else age


def _days(report: Report) -> str:
    """The IdP's, and ours."""
    return "/".join("-" if days is None else str(days) for days in (report.idp_days, report.own_days))


def _matched(report: Report) -> str:
    signed_in = report.counted("signed_in")
    return f"{100 * report.counted('matched') // signed_in}% of {signed_in}" if signed_in else "-"


def _synced(report: Report) -> str:
    """Once, where it is the same of each model."""
    ages = {model: "never" if age is None else f"{length(age)} ago" for model, age in report.ages.items()}
    if report.tenant is None:
        return "-"
    return ages["users"] if len(set(ages.values())) == 1 else ", ".join(f"{model} {age}" for model, age in ages.items())


def _outbox(report: Report) -> str:
    dead = report.waiting("dead")
    return f"{report.waiting('waiting')}, {dead} gave up" if dead else str(report.waiting("waiting"))
