"""`kombo-bridge sessions`: who is signed in, and ending that."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated

import typer
from sqlalchemy import Connection

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.people import RemoteIdOption, UserOption, user_of
from bridge.cli.state import change, look
from bridge.cli.tables import print_table
from bridge.cli.tenants import TenantSlug, named
from bridge.idps.documents import load_settings
from bridge.launches.references import reference_of
from bridge.moments import moment
from bridge.session.sessions import CACHE_SECONDS
from bridge.settings.model import Tenant
from bridge.store import sessions as rows
from bridge.store.engine import length_ms, now_ms
from bridge.store.sessions import SessionRow

SHOWN, MOST = 100, 10_000
AT_ONCE = 500
"""Rows that one transaction deletes: logins wait behind it."""
HEADINGS = ("SIGNED IN", "LAST USED", "ENDS", "TENANT", "USER", "BY", "LAUNCH")

sessions = typer.Typer(no_args_is_help=True)
app.add_typer(sessions, name="sessions")


@sessions.callback()
def _group() -> None:
    """Who is signed in, and ending that."""


@sessions.command("list")
def list_(
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="Only those of one tenant's slug.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only those of one person, by Kombo's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many, the last used first.")] = SHOWN,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Show the sessions that live, the last used first; use is noted once a minute. Nothing shown opens one."""
    configuration = load_settings(config)

    def work(connection: Connection) -> list[_Shown]:
        with closing(rows.recent(connection, tenant, user)) as found:
            return list(islice(_living(found, configuration.tenants), limit + 1))

    found = look(configuration.service.state, work) or []
    shown = found[:limit]
    if json:
        print(jsonlib.dumps({"sessions": [each.fields for each in shown], "more": len(found) > limit}, indent=2))
    elif shown:
        print_table(HEADINGS, [each.cells for each in shown])
        if len(found) > limit:
            print(f"the {limit} that were used last; --limit, --tenant and --user show others")
    if not found:
        if tenant is not None:
            named(configuration, tenant)
        if not json:
            print("nobody is signed in")


@sessions.command()
def revoke(
    tenant: TenantSlug,
    config: ConfigPath = DEFAULT_CONFIG,
    user: UserOption = None,
    remote_id: RemoteIdOption = None,
) -> None:
    """End the sessions of one person, or of a whole tenant; effective everywhere within 5 seconds.

    What is still being sent to them is cut off as well. Whoever may sign in at the IdP can sign in again.
    """
    configuration = load_settings(config)
    whose = None if user is None and remote_id is None else user_of(configuration, tenant, user, remote_id)
    ended = 0
    while some := change(
        configuration.service.state, partial(rows.revoke, tenant=tenant, user_id=whose, limit=AT_ONCE)
    ):
        ended += some
    if not ended:
        named(configuration, tenant)  # or a typing error would read as done
    print(f"{ended} {'session is' if ended == 1 else 'sessions are'} ended, everywhere within {CACHE_SECONDS} seconds")


@dataclass(frozen=True, slots=True)
class _Shown:
    """A session; `ends_at` as things are now, in milliseconds. Nothing of its cookie."""

    row: SessionRow
    ends_at: int

    @property
    def fields(self) -> dict[str, str | None]:
        row = self.row
        return {
            "tenant": row.tenant,
            "integration": row.integration_id,
            "user": row.user_id,
            "match": row.tier,
            "signed_in_at": moment(row.created_at),
            "used_at": moment(row.used_at),
            "ends_at": moment(self.ends_at),
            "launch": self._launch,
        }

    @property
    def cells(self) -> tuple[str, ...]:
        row = self.row
        times = (moment(row.created_at), moment(row.used_at), moment(self.ends_at))
        return (*times, row.tenant, row.user_id or "matched nobody", row.tier, self._launch or "-")

    @property
    def _launch(self) -> str | None:
        """The reference of the launch that began it, while the platform has not answered it."""
        return reference_of(self.row.launch) if self.row.launch else None


def _living(found: Iterator[SessionRow], tenants: Mapping[str, Tenant]) -> Iterator[_Shown]:
    """Those that have not been unused for too long. Those of a tenant that cannot be served now rest until it can."""
    for row in found:
        tenant, ends_at = tenants.get(row.tenant), row.ends_at
        if tenant and tenant.session.idle:
            ends_at = min(ends_at, row.used_at + length_ms(tenant.session.idle))
        if ends_at > now_ms():
            yield _Shown(row, ends_at)
