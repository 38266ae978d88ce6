"""`kombo-bridge sync`: bring the local directory up to date once."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bridge import logs
from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.directory.sync import Pass, Sync
from bridge.errors import BridgeError, SettingsError
from bridge.idps.documents import load_settings
from bridge.kombo.client import KomboClient
from bridge.kombo.transport import http_client
from bridge.printable import printable
from bridge.settings.model import Tenant
from bridge.store.engine import Store
from bridge.store.migrate import migrate


@app.command()
def sync(
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="One tenant's slug; otherwise all.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again (this version always does).")] = False,
) -> None:
    """Read every tenant's users, courses and progressions from Kombo once."""
    logs.configure()
    configuration = load_settings(config)
    if tenant is not None and tenant not in configuration.tenants:
        raise BridgeError(f"there is no tenant {printable(tenant)} with a valid file; run `kombo-bridge check`")
    chosen = [configuration.tenants[tenant]] if tenant else list(configuration.tenants.values())
    migrate(configuration.service.state)
    good = asyncio.run(_sync_all(configuration.service.state, chosen))
    if (problems := configuration.problems) and not tenant:
        raise SettingsError(*problems)
    if not good:
        raise typer.Exit(1)


async def _sync_all(state: str, tenants: list[Tenant]) -> bool:
    good = True
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} rows"), TimeElapsedColumn())
    terminal = sys.stderr.isatty()
    progress = Progress(*columns, console=Console(stderr=True), disable=not terminal)
    with contextlib.closing(Store(state)) as store, progress:
        async with http_client() as http:
            for tenant in tenants:
                client = KomboClient(http, tenant.kombo, tenant.integration_id)
                good = await _sync_one(store, client, tenant, progress) and good
    return good


async def _sync_one(store: Store, client: KomboClient, tenant: Tenant, progress: Progress) -> bool:
    bars: dict[str, TaskID] = {}

    def show(model: str, rows: int) -> None:
        if model not in bars:
            bars[model] = progress.add_task(f"{tenant.slug} {model}", total=None)
        progress.update(bars[model], completed=rows)

    try:
        passes = await Sync(store, client, tenant.integration_id).run(show)
    except BridgeError as error:
        print(f"{tenant.slug}: {error}", file=sys.stderr)
        return False
    for done in passes:
        print(_line(tenant, done))
    return not any(done.unreadable for done in passes)


def _line(tenant: Tenant, done: Pass) -> str:
    notes = [f"{done.removed} removed"] if done.removed else []
    if done.unreadable:
        notes.append(f"{done.unreadable} unreadable, so nothing was concluded from what is absent")
    return f"{tenant.slug}: {done.rows} {done.model}" + (f" ({', '.join(notes)})" if notes else "")
