"""What was noticed of people's addresses: one that changed under a stable identifier, one that two people have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import Connection, delete, func, select, true, update

from bridge.digests import digest_of
from bridge.store import tables
from bridge.store.engine import delete_some, insert_new

Kind = Literal["address_changed", "address_shared"]

ROW = tables.drifts.c
PEOPLE = tables.users.c
MOST_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing noticed of one person, `times` of them; moments are milliseconds since 1970. Nothing has the address.

    `other_id` is the user who has the same address, where that is what was noticed.
    """

    tenant: str
    kind: Kind
    user_id: str
    other_id: str | None
    first_at: int
    last_at: int
    times: int


def note(
    connection: Connection, tenant: str, kind: Kind, user_id: str, address: str, other_id: str | None, moment: int
) -> bool:
    """Remember it; False where the same was noticed before, of the same address."""
    digest = digest_of(tenant, kind, user_id, other_id or "", address)
    drift = Drift(tenant, kind, user_id, other_id, moment, moment, 1)
    if insert_new(connection, tables.drifts, {"digest": digest, **asdict(drift)}):
        return True
    again = {"last_at": moment, "times": ROW.times + 1}
    connection.execute(update(tables.drifts).where(ROW.digest == digest).values(again))
    return False


def recent(connection: Connection, tenant: str | None, limit: int) -> Sequence[Drift]:
    """The latest first, of one tenant or all."""
    columns = [ROW[name] for name in Drift.__slots__]
    whose = true() if tenant is None else ROW.tenant == tenant
    rows = connection.execute(select(*columns).where(whose).order_by(ROW.last_at.desc(), ROW.digest).limit(limit))
    return [Drift(*row) for row in rows]


def counts(connection: Connection, since: int) -> Mapping[tuple[str, Kind], int]:
    """By tenant and kind: of how many people something was noticed since then.

    Each counts once, whatever number of addresses they had; those who share one count together.
    """
    rows = connection.execute(
        select(ROW.tenant, ROW.kind, func.count(ROW.user_id.distinct()).label("many"))
        .where(ROW.last_at >= since)
        .group_by(ROW.tenant, ROW.kind)
    )
    return {(row.tenant, row.kind): row.many for row in rows}


def shared_addresses(connection: Connection, integration_id: str, limit: int) -> Sequence[tuple[str, str, str]]:
    """Addresses, folded, that more than one living and active person has, each with two of them.

    Which addresses stand there twice, the index says by itself; only those people are then looked at.
    """
    here = (PEOPLE.integration_id == integration_id) & PEOPLE.email_folded.is_not(None)
    twice = select(PEOPLE.email_folded).where(here).group_by(PEOPLE.email_folded).having(func.count() > 1)
    active = PEOPLE.deleted_at.is_(None) & (PEOPLE.status.is_(None) | (PEOPLE.status == "ACTIVE"))
    found = connection.execute(
        select(PEOPLE.email_folded, func.min(PEOPLE.id), func.max(PEOPLE.id))
        .where(here, active, PEOPLE.email_folded.in_(twice.limit(MOST_LOOKED_AT)))
        .group_by(PEOPLE.email_folded)
        .having(func.count() > 1)
        .order_by(PEOPLE.email_folded)
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in found]


def forget_person(connection: Connection, tenant: str, user_id: str) -> int:
    """Delete what was noticed of one person; how much it was."""
    whose = (ROW.user_id == user_id) | (ROW.other_id == user_id)
    return connection.execute(delete(tables.drifts).where(ROW.tenant == tenant, whose)).rowcount


def sweep(connection: Connection, before: int, limit: int) -> int:
    """Delete what was last noticed before a moment, at most `limit`; how much it was."""
    return delete_some(connection, tables.drifts, ROW.last_at < before, limit)
