"""`kombo-bridge launches misses`: who was refused for want of an enrollment, and what became of that."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from sqlalchemy import Connection

from bridge.cli import DEFAULT_CONFIG, ConfigPath
from bridge.cli.launches import launches
from bridge.cli.state import look
from bridge.cli.tables import print_table
from bridge.cli.tenants import named
from bridge.gate.misses import RECENT, quantile
from bridge.idps.documents import load_settings
from bridge.moments import length, moment
from bridge.store import misses as rows
from bridge.store.engine import length_ms, now_ms
from bridge.store.misses import Miss

SHOWN = 100
HEADINGS = ("REFUSED", "TIMES", "BECAME", "LAG", "TENANT", "USER", "COURSE", "REFERENCE")


@launches.command()
def misses(
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="Only those of one tenant's slug.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the latest first.")] = SHOWN,
) -> None:
    """Show who was refused a course for want of an enrollment, and whether it was sync delay or unauthorized."""
    configuration = load_settings(config)
    if tenant is not None:
        named(configuration, tenant)
    found = look(configuration.service.state, lambda connection: _look(connection, tenant, limit))
    recent, lags = found or ([], {})
    if json:
        shown = {"misses": [_fields(miss) for miss in recent], "sync_delay": [lag.fields for lag in lags.values()]}
        print(jsonlib.dumps(shown, indent=2))
    elif not recent:
        print("nobody was refused a course for want of an enrollment")
    else:
        print_table(HEADINGS, [_cells(miss) for miss in recent])
        for lag in lags.values():
            print(lag.line)


@dataclass(frozen=True, slots=True)
class _Lag:
    """How long one tenant's sync delays took, in milliseconds."""

    tenant: str
    count: int
    half: int
    most: int

    @property
    def fields(self) -> dict[str, str | int | float]:
        return {
            "tenant": self.tenant,
            "count": self.count,
            "p50_seconds": self.half / 1000,
            "p90_seconds": self.most / 1000,
        }

    @property
    def line(self) -> str:
        return (
            f"{self.tenant}: sync delays in {RECENT.days} days: {self.count}; half were over within"
            f" {length(self.half)} (p50), nine of ten within {length(self.most)} (p90)"
        )


def _look(connection: Connection, tenant: str | None, limit: int) -> tuple[Sequence[Miss], Mapping[str, _Lag]]:
    every = rows.every_lag(connection, now_ms() - length_ms(RECENT))
    lags = {
        slug: _Lag(slug, len(lags), quantile(lags, 0.5), quantile(lags, 0.9))
        for slug, lags in sorted(every.items())
        if tenant in (None, slug)
    }
    return rows.recent(connection, tenant, limit), lags


def _fields(miss: Miss) -> dict[str, str | int | float | None]:
    return {
        "tenant": miss.tenant,
        "integration": miss.integration_id,
        "user": miss.user_id,
        "course": miss.course,
        "kind": miss.kind,
        "lag_seconds": None if miss.lag_ms is None else miss.lag_ms / 1000,
        "times": miss.times,
        "first_at": moment(miss.first_at),
        "last_at": moment(miss.last_at),
        "settled_at": None if miss.settled_at is None else moment(miss.settled_at),
        "reference": miss.reference,
    }


def _cells(miss: Miss) -> tuple[str, ...]:
    lag = "-" if miss.lag_ms is None else length(miss.lag_ms)
    kind = miss.kind.replace("_", " ")
    first = moment(miss.first_at)
    return first, str(miss.times), kind, lag, miss.tenant, miss.user_id, miss.course, miss.reference
