"""`kombo-bridge courses`: the platform's catalogue in the customers' LMSs. `courses push` is in `bridge.cli.push`."""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from bridge import logs
from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.state import change, look
from bridge.cli.tables import print_table
from bridge.cli.tenants import TenantSlug, named
from bridge.courses.closing import Closed
from bridge.courses.closing import deactivate as close
from bridge.courses.mapping import CourseMap
from bridge.courses.tasks import Tasks
from bridge.errors import KomboError, KomboRefused
from bridge.idps.documents import load_settings
from bridge.kombo.client import KomboClient
from bridge.kombo.meanings import meaning
from bridge.kombo.transport import http_client
from bridge.moments import moment
from bridge.printable import cut, printable
from bridge.settings.model import Tenant
from bridge.store import courses as rows
from bridge.store import integrations
from bridge.store.courses import Push
from bridge.store.engine import Store, now_ms
from bridge.store.listing import Listed, listing
from bridge.store.migrate import migrate

LONGEST_TITLE = 50
HEADINGS = ("ORIGIN ID", "KOMBO ID", "TITLE", "STATUS", "REVISIONS", "NAMED BY", "LAST PUSH")

courses = typer.Typer(no_args_is_help=True)
app.add_typer(courses, name="courses")
map_ = typer.Typer(no_args_is_help=True)
courses.add_typer(map_, name="map")

Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]


@courses.callback()
def _group() -> None:
    """The platform's catalogue in the customers' LMSs."""


@map_.callback()
def _map_group() -> None:
    """Which Kombo course an origin id is, where Kombo does not say so itself."""


@courses.command("list")
def list_(
    tenant: TenantSlug,
    config: ConfigPath = DEFAULT_CONFIG,
    everything: Annotated[bool, typer.Option("--all", help="Also the LMS's courses that have no origin id.")] = False,
    json: Json = False,
) -> None:
    """Show a tenant's courses as the directory has them, and what came of their last push."""
    configuration = load_settings(config)
    chosen = named(configuration, tenant)
    state, integration = configuration.service.state, chosen.integration_id
    if look(state, lambda c: rows.tasks(c, integration)):
        _settle(state, chosen)
    work = partial(_seen, integration_id=integration, everything=everything)
    as_of, found = look(state, work) or (0, [])
    if json:
        print(jsonlib.dumps({"as_of": _moment(as_of), "courses": [_fields(each) for each in found]}, indent=2))
        return
    if found:
        print_table(HEADINGS, [_cells(each) for each in found])
    else:
        print("no course has an origin id yet")
    print(_age(chosen, as_of))


@courses.command()
def deactivate(
    origin_id: Annotated[str, typer.Argument(metavar="ORIGIN_ID", help="The platform's own id of the course.")],
    tenant: TenantSlug,
    config: ConfigPath = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Close a course of a tenant's LMS to new enrollments; progress is kept.

    A later push of the same origin id opens it again.
    """
    logs.configure()
    configuration = load_settings(config)
    chosen = named(configuration, tenant)
    migrate(configuration.service.state)
    closed = asyncio.run(_close(configuration.service.state, chosen, origin_id))
    if json:
        print(jsonlib.dumps([{"course_id": each.course_id, "error": _why(each)} for each in closed], indent=2))
    else:
        for each in closed:
            print(f"{chosen.slug}: {printable(each.course_id)}: {_why(each) or 'closed to new enrollments'}")
    if not all(each.error for each in closed):
        print("a push of a catalogue that has it opens it again: take it out there", file=sys.stderr)
    if any(each.error for each in closed):
        raise typer.Exit(1)


@map_.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Columns: origin_id, and course_id or remote_id.")],
    tenant: TenantSlug,
    config: ConfigPath = DEFAULT_CONFIG,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget what earlier imports said and this file does not.")
    ] = False,
) -> None:
    """Say which courses of Kombo's are which of the platform's; all of a file is taken over, or nothing.

    Only needed where `courses list` shows no origin id: for all else the sync brings it.
    """
    configuration = load_settings(config)
    chosen = named(configuration, tenant)
    course_map = CourseMap(file)
    done = change(
        configuration.service.state,
        partial(course_map.take_over, integration_id=chosen.integration_id, replace=replace),
    )
    print(f"{chosen.slug}: {done.count} {'course is' if done.count == 1 else 'courses are'} on the map by this file")
    if not done.compared:
        print(f"{chosen.slug}: not held against Kombo's courses, which have never been read", file=sys.stderr)


def _settle(state: str, tenant: Tenant) -> None:
    """Let pushes end that were left alone; where Kombo will not say, the list says what is known."""

    async def settle() -> None:
        with contextlib.closing(Store(state)) as store:
            async with http_client() as http:
                client = KomboClient(http, tenant.kombo, tenant.integration_id)
                await Tasks(store, client, tenant.integration_id).look()

    logs.configure()
    try:
        asyncio.run(settle())
    except KomboError as error:
        print(f"{tenant.slug}: Kombo does not say how its pushes stand: {error}", file=sys.stderr)


async def _close(state: str, tenant: Tenant, origin_id: str) -> list[Closed]:
    with contextlib.closing(Store(state)) as store:
        async with http_client() as http:
            client = KomboClient(http, tenant.kombo, tenant.integration_id)
            return await close(store, client, tenant.integration_id, origin_id)


def _why(closed: Closed) -> str | None:
    if closed.error is None:
        return None
    if not isinstance(closed.error, KomboRefused):
        return f"nobody knows whether it is closed; doing it again does no harm: {closed.error}"
    said = [str(closed.error), printable(closed.error.message), meaning(closed.error.kombo_code)]
    return "; ".join(filter(None, said))


def _seen(connection: Connection, integration_id: str, everything: bool) -> tuple[int, list[Listed]]:
    as_of = integrations.ages(connection, integration_id).of("courses")
    return as_of, listing(connection, integration_id, everything=everything)


def _fields(listed: Listed) -> dict[str, Any]:
    push = listed.push
    said = (
        {"state": push.state, "at": _moment(push.changed_at), "code": push.code, "message": push.message}
        if push
        else None
    )
    return asdict(listed) | {"push": said}


def _cells(listed: Listed) -> tuple[str, ...]:
    return (
        listed.origin_id or "-",
        listed.course_id or "-",
        cut(listed.title or "-", LONGEST_TITLE),
        listed.status,
        str(listed.revisions),
        listed.named_by or "-",
        _last(listed.push) if listed.push else "-",
    )


def _last(push: Push) -> str:
    said = "; ".join(filter(None, (": ".join(filter(None, (push.code, push.message))), meaning(push.code))))
    return f"{push.state} {_moment(push.changed_at)}" + (f": {said}" if said else "")


def _age(tenant: Tenant, as_of: int) -> str:
    if not as_of:
        return f"{tenant.slug}: the courses have never been read from Kombo: `kombo-bridge sync --tenant {tenant.slug}`"
    minutes = max(now_ms() - as_of, 0) // 60_000
    return (
        f"{tenant.slug}: as Kombo had it at {_moment(as_of)}, {minutes} minutes ago;"
        f" `kombo-bridge sync --tenant {tenant.slug}` reads it again"
    )


def _moment(milliseconds: int) -> str | None:
    return moment(milliseconds) if milliseconds else None
