"""`kombo-bridge outbox`: the writes to Kombo that wait, and those that gave up."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from sqlalchemy import Connection

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.state import change, look
from bridge.cli.tenants import named
from bridge.errors import BridgeError
from bridge.idps.documents import load_settings
from bridge.kombo.meanings import meaning
from bridge.moments import length, moment
from bridge.printable import cut, printable
from bridge.settings.model import Configuration
from bridge.store import outbox as rows
from bridge.store.engine import now_ms
from bridge.store.outbox import ALREADY, Entry

LONGEST_MESSAGE = 200
"""Characters of Kombo's sentence in the table; `--json` has all of it."""

outbox = typer.Typer(invoke_without_command=True)
app.add_typer(outbox, name="outbox")

TenantOption = Annotated[str | None, typer.Option(help="Only those of one tenant's slug.")]


@outbox.callback()
def list_(
    context: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: TenantOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, for scripts.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are done.")] = False,
) -> None:
    """Show the writes to Kombo that wait or gave up, the oldest first."""
    if context.invoked_subcommand is not None:
        return
    configuration = load_settings(config)
    batches = _batches(configuration, tenant, everything)
    if json:
        _print_json(batches)
    elif not _print_table(batches):
        _of_a_tenant(configuration, tenant)
        print("there are no writes yet" if everything else "nothing waits, and nothing gave up")


@outbox.command()
def retry(
    id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The write's id, as `kombo-bridge outbox` shows it.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="Every one that gave up.")] = False,
    tenant: TenantOption = None,
) -> None:
    """Send a write again that gave up, or now one that waits; one whose outcome is unknown is looked up first.

    One that had nothing to write is looked up again.
    """
    if (id is None) is not all_dead:
        raise typer.BadParameter("write the id of one, or --all-dead")
    if id is not None and tenant is not None:
        raise typer.BadParameter("an id needs no tenant", param_hint="--tenant")
    configuration = load_settings(config)
    state = configuration.service.state
    if id is not None:
        print(change(state, partial(_retried, id=id)))
        return
    again = _revive(state, tenant)
    if not again:
        _of_a_tenant(configuration, tenant)
    print(f"{again} {'write is' if again == 1 else 'writes are'} sent again by the running service")


def _of_a_tenant(configuration: Configuration, slug: str | None) -> None:
    """Where nothing was found, say so of a mistyped slug. Writes of a tenant that is gone are shown all the same."""
    if slug is not None:
        named(configuration, slug)


def _retried(connection: Connection, id: str) -> str:
    entry = rows.find(connection, id)
    if entry is None:
        raise BridgeError(f"no write has the id {printable(id)!r}; see `kombo-bridge outbox`")
    if entry.state == "done" and entry.code == ALREADY:
        rows.unsettle(connection, entry.number)
        return f"{id} had nothing to write; it is looked up again by the running service"
    if entry.state == "done":
        raise BridgeError(f"the write {id} is done since {_time(entry.settled_at)}; sending it again would do it twice")
    if entry.state == "waiting":
        rows.hurry(connection, entry.number)
        return f"{id} waits already, and is due now"
    rows.revive(connection, entry.number)
    return f"{id} is sent again by the running service"


def _revive(state: str, tenant: str | None) -> int:
    """In chunks, between which logins can write. What gives up meanwhile has been tried and is left."""
    total, until = 0, now_ms()
    while found := change(state, lambda connection: rows.revive_dead(connection, tenant, until)):
        total += found
    return total


def _batches(configuration: Configuration, tenant: str | None, everything: bool) -> Iterator[list[_Shown]]:
    """A few hundred at a time: nobody has to hold them all, and no transaction lasts as long as a reader takes."""
    integrations = {each.integration_id for each in configuration.tenants.values()}
    after: int | None = 0
    while after is not None:
        batch = look(configuration.service.state, partial(rows.listed, after=after, tenant=tenant, done=everything))
        after = batch[-1].number if batch else None
        if batch:
            yield [_Shown(entry, now_ms(), entry.integration_id in integrations) for entry in batch]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A write as `outbox` shows it at a moment; `served`: a tenant has its integration."""

    entry: Entry
    now: int
    served: bool

    HEADINGS = ("ID", "STATE", "AGE", "KIND", "TENANT", "USER", "COURSE", "TRIES", "NEXT TRY", "WHY")

    @property
    def fields(self) -> dict[str, str | int | None]:
        entry = self.entry
        return {
            "id": entry.id,
            "state": entry.state,
            "kind": entry.kind,
            "tenant": entry.tenant,
            "integration": entry.integration_id,
            "user": entry.user_id,
            "course": entry.course,
            "progression": entry.progression_id,
            "completed_at": _time(entry.completed_at),
            "score": entry.score,
            "source": entry.source,
            "accepted_at": _time(entry.created_at),
            "age_seconds": max(self.now - entry.created_at, 0) // 1000,
            "attempts": entry.attempts,
            "next_try_at": _time(max(entry.not_before, self.now)) if self._is_due_some_day else None,
            "outcome_unknown": entry.sending,
            "settled_at": _time(entry.settled_at),
            "code": entry.code,
            "message": entry.message,
            "held_up": self._held_up,
        }

    @property
    def cells(self) -> tuple[str, ...]:
        entry = self.entry
        left = entry.not_before - self.now
        next_try = ("now" if left <= 0 else f"in {length(left)}") if self._is_due_some_day else "-"
        return (
            entry.id,
            entry.state,
            length(self.now - entry.created_at),
            entry.kind,
            entry.tenant,
            printable(entry.user_id),
            printable(entry.course),
            str(entry.attempts),
            next_try,
            self._why,
        )

    @property
    def _is_due_some_day(self) -> bool:
        return self.entry.state == "waiting" and self.served

    @property
    def _held_up(self) -> str | None:
        if self.served or self.entry.state == "done":
            return None
        return f"no tenant that is served has the integration {printable(self.entry.integration_id)}"

    @property
    def _why(self) -> str:
        entry = self.entry
        said = cut(": ".join(filter(None, (entry.code, entry.message))), LONGEST_MESSAGE)
        unknown = entry.sending and f"`{entry.sending}` was sent, its outcome is unknown: it is looked up first"
        clauses = (self._held_up, unknown, printable(said), meaning(entry.code))
        return "; ".join(filter(None, clauses)) or "-"


def _print_json(batches: Iterator[list[_Shown]]) -> None:
    """One array, written as it is read."""
    opening = "["
    for shown in (each for batch in batches for each in batch):
        print(opening, jsonlib.dumps(shown.fields), sep="\n", end="")
        opening = ","
    print("[]" if opening == "[" else "\n]")


def _print_table(batches: Iterator[list[_Shown]]) -> bool:
    """Whether there was anything. Columns are as wide as the first few hundred lines need."""
    widths: Sequence[int] = ()
    for batch in batches:
        lines = [shown.cells for shown in batch]
        if not widths:
            lines = [_Shown.HEADINGS, *lines]
            widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return bool(widths)


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else moment(milliseconds)
