"""How far each tenant's IdP was off our clock at its last login."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, select

from bridge.store import tables
from bridge.store.engine import now_ms, upsert


@dataclass(frozen=True, slots=True)
class Clock:
    """One measurement: when a verified response was issued, less when it came, in milliseconds.

    The way through the browser counts, so a clock that is right seems a second or so behind. `provider` is the entityID
    of the IdP that was measured; `measured_at` is in milliseconds since 1970.
    """

    tenant: str
    provider: str
    offset_ms: int
    measured_at: int


def record(connection: Connection, tenant: str, provider: str, offset_ms: int) -> None:
    """Note a measurement; the tenant's former one goes."""
    upsert(connection, tables.idp_clocks, [asdict(Clock(tenant, provider, offset_ms, now_ms()))])


def all(connection: Connection) -> dict[str, Clock]:
    """The last measurement of each tenant, by slug."""
    return {row.tenant: Clock(**row._mapping) for row in connection.execute(select(tables.idp_clocks))}
