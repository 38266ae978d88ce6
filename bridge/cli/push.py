"""`kombo-bridge courses push`: a catalogue into the LMSs of one tenant, or of all."""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bridge import logs
from bridge.cli import DEFAULT_CONFIG, ConfigPath
from bridge.cli.courses import LONGEST_TITLE, Json, courses
from bridge.cli.state import look
from bridge.cli.tables import print_table
from bridge.cli.tenants import named
from bridge.courses.catalogue import read_catalogue
from bridge.courses.offer import Offered, offer
from bridge.courses.push import FAILURES, Push, Result, Show, is_due
from bridge.errors import BridgeError, SettingsError
from bridge.idps.documents import load_settings
from bridge.kombo.client import KomboClient
from bridge.kombo.meanings import meaning
from bridge.kombo.transport import http_client
from bridge.printable import cut
from bridge.settings.model import Configuration, Tenant
from bridge.settings.values import Duration
from bridge.store import courses as rows
from bridge.store.engine import Store
from bridge.store.migrate import migrate

HEADINGS = ("TENANT", "ORIGIN ID", "TITLE", "RESULT", "KOMBO ID", "WHY")
GOES_ON = "what was sent is noted: the next `courses push` or `courses list` finds out what came of it"

Offers = Mapping[str, Sequence[Offered]]


def _duration(text: str) -> timedelta:
    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(str(error.errors()[0]["ctx"]["error"])) from None


@courses.command()
def push(
    catalog: Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue: a .yaml or .csv file.")],
    tenant: Annotated[str | None, typer.Option(help="The tenant's slug.")] = None,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="Every tenant with a valid file.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Validate, show what would be sent with which link, and stop.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send also what has not changed, or had no answer for a day.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until Kombo has an answer for each course.")] = True,
    timeout: Annotated[
        timedelta, typer.Option(parser=_duration, metavar="DURATION", help="How long to wait: 90s, 15m, 12h.")
    ] = "15m",  # type: ignore[assignment]  # typer parses a default that is text
    json: Json = False,
) -> None:
    """Create or update a catalogue's courses in the LMS; only what changed since the last push is sent.

    Everything is validated before anything is sent. A push that was cut off is simply run again.
    """
    logs.configure()
    configuration = load_settings(config)
    tenants = _chosen(configuration, tenant, all_tenants)
    offers = _offers(catalog, configuration, tenants)
    if dry_run:
        _show_plan(configuration, tenants, offers, again, json)
        return
    migrate(configuration.service.state)
    seconds = timeout.total_seconds() if wait else 0.0
    try:
        results = asyncio.run(_push_all(configuration.service.state, tenants, offers, again, seconds))
    except KeyboardInterrupt:
        print(f"interrupted; {GOES_ON}", file=sys.stderr)
        raise
    _show_results(results, json)
    counts = Counter(result.outcome for each in results.values() for result in each)
    if failed := sum(counts[outcome] for outcome in FAILURES):
        raise BridgeError(f"{failed} of {counts.total()} courses did not arrive")
    if counts["pending"] and wait:
        raise BridgeError(f"{counts['pending']} courses are still under way; {GOES_ON}")


def _chosen(configuration: Configuration, slug: str | None, all_tenants: bool) -> list[Tenant]:
    if (slug is None) is not all_tenants:
        raise typer.BadParameter("write --tenant and a slug, or --all-tenants")
    if slug is not None:
        return [named(configuration, slug)]
    if problems := configuration.problems:
        raise SettingsError(*problems)
    integrations: dict[str, Tenant] = {}
    for tenant in configuration.tenants.values():
        other = integrations.setdefault(tenant.integration_id, tenant)
        if other is not tenant:
            raise BridgeError(
                f"the tenants {other.slug} and {tenant.slug} have one integration, where a course has one link: push"
                " for one of them with --tenant"
            )
    return list(integrations.values())


def _offers(catalog: Path, configuration: Configuration, tenants: Sequence[Tenant]) -> Offers:
    """What each tenant gets; raises `SettingsError` with the problems of all."""
    catalogue = read_catalogue(catalog)
    offers: dict[str, Sequence[Offered]] = {}
    errors: list[SettingsError] = []
    for tenant in tenants:
        try:
            offers[tenant.slug] = offer(catalogue, configuration, tenant)
        except SettingsError as error:
            errors.append(error)
    if errors:
        raise SettingsError(*(problem for error in errors for problem in error.problems))
    return offers


async def _push_all(
    state: str, tenants: Sequence[Tenant], offers: Offers, again: bool, wait: float
) -> dict[str, list[Result]]:
    """Everything is sent before anything is waited for, so that slow LMSs do not hold up the others."""
    with contextlib.closing(Store(state)) as store, _progress() as progress:
        async with http_client() as http:
            pushes = {
                tenant.slug: Push(
                    store,
                    KomboClient(http, tenant.kombo, tenant.integration_id),
                    tenant.integration_id,
                    offers[tenant.slug],
                    again=again,
                    show=progress.of(tenant.slug),
                )
                for tenant in tenants
            }
            results = {slug: await push.run(0) for slug, push in pushes.items()}
            waiting = [slug for slug, push in pushes.items() if push.waits]
            if wait and waiting:
                ended = await asyncio.gather(*(pushes[slug].run(wait) for slug in waiting))
                results |= dict(zip(waiting, ended, strict=True))
    return results


class _Bars:
    """How far each tenant's push has come, on standard error: bars on a terminal, lines elsewhere."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def of(self, slug: str) -> Show:
        if self._progress.disable:
            return _Lines(slug)
        bar = self._progress.add_task(slug, total=None)
        return lambda done, total: self._progress.update(bar, completed=done, total=total)


@dataclass(slots=True)
class _Lines:
    """A line each time that something has happened."""

    slug: str
    last: tuple[int, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        if (done, total) != self.last:
            self.last = done, total
            print(f"{self.slug}: {done} of {total} courses done", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _progress() -> Iterator[_Bars]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        yield _Bars(progress)


def _show_plan(
    configuration: Configuration, tenants: Sequence[Tenant], offers: Offers, again: bool, json: bool
) -> None:
    plan = [
        _Planned(tenant.slug, offered, due)
        for tenant in tenants
        for offered, due in _due(configuration, tenant, offers, again)
    ]
    if json:
        print(jsonlib.dumps([each.fields for each in plan], indent=2))
    else:
        print_table(("TENANT", "ORIGIN ID", "TITLE", "PLAN", "LINK"), [each.cells for each in plan])


def _due(configuration: Configuration, tenant: Tenant, offers: Offers, again: bool) -> Iterator[tuple[Offered, bool]]:
    pushed = look(configuration.service.state, lambda c: rows.pushes(c, tenant.integration_id)) or {}
    for offered in offers[tenant.slug]:
        yield offered, is_due(offered, pushed.get(offered.item.origin_id), again=again)


@dataclass(frozen=True, slots=True)
class _Planned:
    """One course of a dry run."""

    tenant: str
    offered: Offered
    due: bool

    @property
    def fields(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "due": self.due, **msgspec.to_builtins(self.offered.item)}

    @property
    def cells(self) -> tuple[str, ...]:
        item = self.offered.item
        plan = "to send" if self.due else "stays"
        return self.tenant, item.origin_id, cut(item.title, LONGEST_TITLE), plan, item.course_url


def _show_results(results: Mapping[str, Sequence[Result]], json: bool) -> None:
    """In the table only what did not stay as it was."""
    pairs = [(slug, result) for slug, found in results.items() for result in found]
    if json:
        print(jsonlib.dumps([{"tenant": slug, **asdict(result)} for slug, result in pairs], indent=2))
        return
    if news := [_cells(slug, result) for slug, result in pairs if result.outcome != "unchanged"]:
        print_table(HEADINGS, news)
    for slug, found in results.items():
        counts = Counter(result.outcome for result in found)
        print(f"{slug}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))


def _cells(slug: str, result: Result) -> tuple[str, ...]:
    said = ": ".join(filter(None, (result.code, result.message)))
    why = "; ".join(filter(None, (said, meaning(result.code))))
    title = cut(result.title, LONGEST_TITLE)
    return slug, result.origin_id, title, result.outcome, result.course_id or "-", why or "-"
