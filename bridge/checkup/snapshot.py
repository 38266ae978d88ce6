"""What the state says of all tenants at one moment: a few rows for each of them, however many launches there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from bridge.store import clocks, funnel, idps, integrations, keys, outbox, syncs
from bridge.store.clocks import Clock
from bridge.store.idps import Kept, Key
from bridge.store.integrations import Ages, Standing
from bridge.store.keys import KeyRow
from bridge.store.outbox import Count
from bridge.store.rows import Model
from bridge.store.syncs import Progress

WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`now` is in milliseconds since 1970. `today` and `week` count by tenant and what was counted, of days in UTC;
    `week` has sign-ins and matches alone. Where the state could not be read, all of it is empty.
    """

    now: int
    reachable: bool = False
    standings: Mapping[str, Standing] = field(default_factory=dict)
    passes: Mapping[str, Mapping[Model, Progress]] = field(default_factory=dict)
    today: Mapping[tuple[str, str], int] = field(default_factory=dict)
    week: Mapping[tuple[str, str], int] = field(default_factory=dict)
    outbox: Mapping[tuple[str, str], Count] = field(default_factory=dict)
    metadata: Mapping[Key, Kept] = field(default_factory=dict)
    keys: Sequence[KeyRow] = ()
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    database: str = ""
    schema: str = ""

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.now / 1000, UTC)

    def ages(self, integration_id: str) -> Ages:
        """Since when each model of an integration is known completely."""
        passes, standing = self.passes.get(integration_id, {}), self.standings.get(integration_id)
        read_at = {model: progress.as_of for model, progress in passes.items() if progress.as_of is not None}
        return Ages(read_at, standing.good_at if standing else None)


def take(connection: Connection, now: int) -> Snapshot:
    """All of it in one transaction."""
    days = [day_of(now, ago) for ago in range(WEEK_DAYS)]
    return Snapshot(
        now,
        reachable=True,
        standings=integrations.every(connection),
        passes=syncs.every(connection),
        today=funnel.of_days(connection, days[:1]),
        week=funnel.of_days(connection, days, ("signed_in", "matched")),
        outbox={(count.tenant, count.state): count for count in outbox.counts(connection)},
        metadata={kept.key: kept for kept in idps.rows(connection)},
        keys=keys.faces(connection),
        clocks=clocks.all(connection),
        database=_database(connection),
        schema=str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()),
    )


def day_of(now: int, ago: int = 0) -> str:
    """The day of a moment as the funnel has it, or the one so many days before."""
    return f"{datetime.fromtimestamp(now / 1000, UTC) - timedelta(days=ago):%Y-%m-%d}"


def _database(connection: Connection) -> str:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.dialect.name, connection.dialect.name)
    version = ".".join(map(str, (connection.dialect.server_version_info or ())[:2]))
    return f"{name} {version}"
