"""`kombo-bridge sync`: bring the local directory up to date once."""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bridge import logs
from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.tenants import named
from bridge.directory import fuse, standing
from bridge.directory.sync import Pass, Permit, Sync
from bridge.directory.turns import lease_of, new_holder, turn
from bridge.errors import BridgeError, KomboRefused, SettingsError
from bridge.gate import misses
from bridge.idps.documents import load_settings
from bridge.kombo.client import KomboClient
from bridge.kombo.transport import http_client
from bridge.printable import printable
from bridge.settings.model import Tenant
from bridge.store import leases
from bridge.store.engine import Store
from bridge.store.migrate import migrate
from bridge.store.rows import MODELS, Model

PATIENCE_SECONDS = 120.0
"""How long to wait for a running service that reads the same integration just now."""
LOOK_AGAIN_SECONDS = 1.0
SAY_EVERY_SECONDS = 10.0
"""How often a long pass says where it is, when there is no terminal for a bar."""


@app.command()
def sync(
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="One tenant's slug; otherwise all.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again, not only what changed.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Take what was held: so many people of this tenant are to go.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, for scripts.")] = False,
) -> None:
    """Read every tenant's users, courses and progressions from Kombo once: what changed, or at first everything."""
    logs.configure()
    if confirm and tenant is None:
        raise typer.BadParameter("say whose people are to go: --tenant", param_hint="--confirm")
    configuration = load_settings(config)
    chosen = [named(configuration, tenant)] if tenant is not None else list(configuration.tenants.values())
    migrate(configuration.service.state)
    results = asyncio.run(_sync_all(configuration.service.state, chosen, full=full, confirm=confirm, quiet=json))
    if json:
        print(jsonlib.dumps([result.fields for result in results], indent=2))
    if (problems := configuration.problems) and not tenant:
        raise SettingsError(*problems)
    if not all(result.good for result in results):
        raise typer.Exit(1)


@dataclass
class _Result:
    """What became of one tenant. `failures` are sentences for the operator."""

    tenant: str
    passes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    held: int = 0
    held_of: int = 0

    @property
    def good(self) -> bool:
        return not self.failures and not self.held

    @property
    def fields(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "tenant": self.tenant,
            "passes": self.passes,
            "failures": self.failures,
            "held": self.held,
            "held_of": self.held_of,
        }


class _Shown:
    """What the operator sees meanwhile, on standard error: bars on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} rows"),
            TimeElapsedColumn(),
        )
        self._terminal = sys.stderr.isatty()
        self.progress = Progress(*columns, console=Console(stderr=True), disable=not self._terminal)
        self._bars: dict[tuple[str, Model], TaskID] = {}
        self._said_at = time.monotonic()

    def rows(self, tenant: str, model: Model, rows: int) -> None:
        if self._terminal:
            bar = self._bars.get((tenant, model))
            if bar is None:
                bar = self._bars[tenant, model] = self.progress.add_task(f"{tenant} {model}", total=None)
            self.progress.update(bar, completed=rows)
        elif time.monotonic() - self._said_at >= SAY_EVERY_SECONDS:
            self.say(f"{tenant}: {rows} {model} so far")

    def done(self, tenant: str, model: Model) -> None:
        """The bar stands still and full."""
        if (bar := self._bars.get((tenant, model))) is not None:
            rows = self.progress.tasks[bar].completed
            self.progress.update(bar, total=rows or 1, completed=rows or 1)
        self._said_at = time.monotonic()

    def say(self, line: str) -> None:
        self._said_at = time.monotonic()
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


async def _sync_all(state: str, tenants: list[Tenant], *, full: bool, confirm: bool, quiet: bool) -> list[_Result]:
    shown, results = _Shown(), []
    with contextlib.closing(Store(state)) as store, shown.progress:
        async with http_client() as http:
            for tenant in tenants:
                client = KomboClient(http, tenant.kombo, tenant.integration_id)
                one = _One(store, client, tenant, shown, quiet)
                results.append(await one.run(full=full, confirm=confirm))
    return results


class _One:
    """One tenant's turn."""

    def __init__(self, store: Store, client: KomboClient, tenant: Tenant, shown: _Shown, quiet: bool) -> None:
        self._store = store
        self._client = client
        self._tenant = tenant
        self._shown = shown
        self._quiet = quiet
        self._result = _Result(tenant.slug)

    async def run(self, *, full: bool, confirm: bool) -> _Result:
        try:
            async with _own_turn(self._store, self._tenant, self._shown) as permit:
                await self._read(permit, full=full, confirm=confirm)
        except BridgeError as error:
            self._fail(error)
        return self._result

    async def _read(self, permit: Permit, *, full: bool, confirm: bool) -> None:
        tenant = self._tenant
        sync = Sync(self._store, self._client, tenant.integration_id, permit, tenant=tenant.slug)
        if confirm:
            held = await sync.confirm()
            self._say(f"{held} people were held; this reading takes them" if held else "nothing is held")
        await standing.refresh(self._store, self._client, tenant, permit)
        for model in MODELS:
            began = time.monotonic()
            try:
                done = await sync.read(model, full=full, show=self._show)
            except KomboRefused as error:
                self._fail(error)
                continue
            self._shown.done(tenant.slug, model)
            self._tell(done, time.monotonic() - began)
            if model == "progressions":
                await misses.settle(self._store, tenant, permit)

    def _show(self, model: Model, rows: int) -> None:
        self._shown.rows(self._tenant.slug, model, rows)

    def _tell(self, done: Pass, seconds: float) -> None:
        result = self._result
        result.passes.append(
            {
                "model": done.model,
                "mode": done.mode,
                "rows": done.rows,
                "removed": done.removed,
                "unreadable": done.unreadable,
                "lost": done.lost,
                "seconds": round(seconds, 1),
            }
        )
        self._say(_line(done))
        if done.unreadable:
            result.failures.append(f"{done.unreadable} {done.model} cannot be read")
        if done.held:
            result.held, result.held_of = done.held, done.held_of
            self._complain(
                f"held: {done.held} of {done.held_of} people would be deleted, deactivated or blanked, and stay as they"
                f" were; if that many are to go: {fuse.confirmation(self._tenant.slug)}"
            )

    def _fail(self, error: BridgeError) -> None:
        self._result.failures.append(str(error))
        self._complain(str(error))

    def _say(self, line: str) -> None:
        if not self._quiet:
            print(f"{self._tenant.slug}: {line}", flush=True)

    def _complain(self, line: str) -> None:
        self._shown.say(f"{self._tenant.slug}: {line}")


@contextlib.asynccontextmanager
async def _own_turn(store: Store, tenant: Tenant, shown: _Shown) -> AsyncIterator[Permit]:
    """The lease that a service takes as well. Raises `BridgeError` where it does not come free in time."""
    name, holder, until = lease_of(tenant.integration_id), new_holder(), time.monotonic() + PATIENCE_SECONDS
    waiting = False
    while True:
        async with turn(store, name, holder) as permit:
            if permit:
                yield permit
                return
        found = await store.read(partial(leases.holder_of, name=name))
        other = printable(found or "another process")
        if time.monotonic() >= until:
            raise BridgeError(f"{other} still reads this integration; try again when it is done")
        if not waiting:
            shown.say(f"{tenant.slug}: {other} reads this integration just now; waiting")
            waiting = True
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _line(done: Pass) -> str:
    what = done.model if done.mode == "full" else f"changed {done.model}"
    notes = [f"{done.removed} removed"] if done.removed else []
    if done.lost:
        notes.append(f"{done.lost} people deleted, deactivated or blanked")
    if done.unreadable:
        notes.append(f"{done.unreadable} unreadable, so nothing was concluded from what is absent")
    return f"{done.rows} {what}" + (f" ({', '.join(notes)})" if notes else "")
