"""`kombo-bridge launches`: what became of learners on their way."""

from __future__ import annotations

import json as jsonlib
import sys
from typing import Annotated

import typer
from sqlalchemy import Connection

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.defaulting import DEFAULT, Defaulting
from bridge.cli.launch import HEADINGS, FullRecord, cells, fields, full_records, lines
from bridge.cli.past import past
from bridge.cli.people import RemoteIdOption, UserOption, user_of
from bridge.cli.state import change, look
from bridge.cli.tables import print_table
from bridge.cli.tenants import TenantSlug, named
from bridge.errors import BridgeError, Code
from bridge.idps.documents import load_settings
from bridge.launches import history
from bridge.launches.references import misheard, read_reference
from bridge.printable import printable
from bridge.settings.model import Configuration
from bridge.settings.values import written_duration
from bridge.store import drifts, misses, refusals
from bridge.store import launches as rows
from bridge.store.launches import FAILED, FORWARDED, SIGNED_IN, Filter
from bridge.store.sealing import Seal

SHOWN, MOST = 50, 10_000
OUTCOMES = (FORWARDED, SIGNED_IN, FAILED, *map(str, Code))

launches = typer.Typer(cls=Defaulting, no_args_is_help=False)
app.add_typer(launches, name="launches")


@launches.callback()
def _group() -> None:
    """What became of learners on their way: recent launches, or all that is known of one."""


@launches.command(DEFAULT, hidden=True)
def show(
    reference: Annotated[
        list[str] | None,
        typer.Argument(metavar="REFERENCE", help="The three words that a learner reads from the page."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="Only those of one tenant's slug.")] = None,
    outcome: Annotated[
        str | None,
        typer.Option(help="Only those that came to this: forwarded, signed_in, a refusal's code, or failed for any."),
    ] = None,
    since: Annotated[
        int | None, typer.Option(parser=past, metavar="AGO|MOMENT", help="Only later ones: 2h, 3d, 2026-11-22T09:30Z.")
    ] = None,
    until: Annotated[int | None, typer.Option(parser=past, metavar="AGO|MOMENT", help="Only earlier ones.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many, the latest first.")] = SHOWN,
    values: Annotated[
        bool, typer.Option("--values", help="With a reference: show what the IdP said of the person, while it is kept.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Show recent launches and refusals, or all that is known of the one whose reference a learner reads out.

    The words may be in any case, with blanks or hyphens between them. What an IdP said of a person is redacted.
    """
    configuration = load_settings(config)
    if reference:
        if tenant is not None or outcome is not None or since is not None or until is not None:
            raise typer.BadParameter("a reference needs no filter", param_hint="REFERENCE")
        _show_one(configuration, " ".join(reference), values=values, json=json)
        return
    if values:
        raise typer.BadParameter("goes with a reference", param_hint="--values")
    if outcome is not None and outcome not in OUTCOMES:
        raise typer.BadParameter(f"write one of {', '.join(OUTCOMES)}", param_hint="--outcome")
    _show_recent(configuration, Filter(tenant, outcome, since, until), limit, json=json)


def _show_recent(configuration: Configuration, which: Filter, limit: int, *, json: bool) -> None:
    """Launches of a tenant that is gone are shown all the same; where there are none, a slug may be mistyped."""
    found = look(configuration.service.state, lambda connection: history.recent(connection, which, limit)) or []
    if json:
        print(jsonlib.dumps({"launches": [fields(record) for record in found]}, indent=2))
    elif found:
        print_table(HEADINGS, [cells(record) for record in found])
        if len(found) == limit:
            print(f"the latest {limit}; --limit, --since and --until show others")
    if not found:
        if which.tenant is not None:
            named(configuration, which.tenant)
        if not json:
            print("there are no such launches" if which != Filter() else "there were no launches yet")


def _show_one(configuration: Configuration, said: str, *, values: bool, json: bool) -> None:
    """Raises `BridgeError`."""
    reference, service = read_reference(said), configuration.service
    seal = Seal(service.plain_secrets, history.PURPOSE)
    found: list[FullRecord] = look(service.state, lambda connection: full_records(connection, reference, seal)) or []
    if json:
        print(jsonlib.dumps({"launches": [each.fields(values=values) for each in found]}, indent=2))
    else:
        names = {slug: tenant.name for slug, tenant in configuration.tenants.items()}
        for each in found:
            for line in lines(each, names.get(each.record.tenant), values=values):
                print(line)
    if not found:
        kept = written_duration(service.launches.keep)
        why = misheard(reference) or f"launches are kept {kept}, and of refusals before a sign-in only the latest"
        raise BridgeError(f"nothing is known of {reference}: {why}")


@launches.command()
def forget(
    tenant: TenantSlug,
    config: ConfigPath = DEFAULT_CONFIG,
    user: UserOption = None,
    remote_id: RemoteIdOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
) -> None:
    """Delete what is kept of one person's launches, refusals, misses and changes of address.

    Their session goes on: `sessions revoke` ends it. What was refused before anybody knew who it was names nobody, and
    goes by itself.
    """
    configuration = load_settings(config)
    id = user_of(configuration, tenant, user, remote_id)
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete all launches of {tenant}'s user {printable(id)}?", abort=True)

    def work(connection: Connection) -> list[tuple[str, int]]:
        return [
            ("launches", rows.forget_person(connection, tenant, id)),
            ("refusals", refusals.forget_person(connection, tenant, id)),
            ("misses", misses.forget_person(connection, tenant, id)),
            ("changes of address", drifts.forget_person(connection, tenant, id)),
        ]

    deleted = change(configuration.service.state, work)
    if not any(many for _, many in deleted):
        named(configuration, tenant)
    print(f"deleted: {', '.join(f'{many} {what}' for what, many in deleted)}")
