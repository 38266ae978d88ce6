"""What is known of an integration itself: how Kombo says it stands, and since when what Kombo has is no longer news.

Kombo's copy can stand still while its API answers: an INVALID integration is not synced any more, and its lists go on
showing what the last good sync brought. So nothing that is read of it is younger than `good_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import CompoundSelect, Connection, String, bindparam, exists, func, literal, select

from bridge.store import tables
from bridge.store.engine import upsert
from bridge.store.rows import Model
from bridge.store.sessions import alone


@dataclass(frozen=True, slots=True)
class Standing:
    """One integration; moments in milliseconds since 1970, None: never.

    `status` (ACTIVE, INVALID, INACTIVE) and `setup_status` are open strings, as Kombo said them at `heard_at`; `tenant`
    is whose it was then, `customer` the `origin_id` that the connection was made with. `good_at` is the beginning of
    the last sync by which Kombo certainly read the LMS. Of the syncs of which Kombo told by webhook, `succeeded_at` is
    the beginning of the last that succeeded, and `failing_at` that of the last that failed, None once a later one
    succeeded. What moves them is in `bridge.directory.standing`.
    `held` of `held_of` people would be lost by what the last sync brought, which is held back since `held_at` until
    somebody confirms it (`confirmed_at`).
    """

    integration_id: str
    tenant: str
    status: str | None = None
    setup_status: str | None = None
    customer: str | None = None
    heard_at: int | None = None
    good_at: int | None = None
    failing_at: int | None = None
    succeeded_at: int | None = None
    held_at: int | None = None
    held: int | None = None
    held_of: int | None = None
    confirmed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Ages:
    """Since when each model of an integration is known completely, in milliseconds; absent: never fully read.

    `good_at` caps everything: None where Kombo never said how the integration stands.
    """

    read_at: Mapping[Model, int]
    good_at: int | None = None

    def of(self, model: Model) -> int:
        """The moment of which the whole model is known; 0 where it never was."""
        return self._capped(self.read_at.get(model, 0))

    def of_row(self, model: Model, seen_at: int) -> int:
        """The moment of which one row is known: it was seen then, or nothing since said that it changed."""
        return self._capped(max(seen_at, self.read_at.get(model, 0)))

    def _capped(self, moment: int) -> int:
        return moment if self.good_at is None else min(moment, self.good_at)


def standing(connection: Connection, integration_id: str) -> Standing | None:
    """None where nothing was ever noted."""
    table = tables.integrations
    row = connection.execute(select(table).where(table.c.integration_id == integration_id)).one_or_none()
    return Standing(**row._mapping) if row else None


def every(connection: Connection) -> Mapping[str, Standing]:
    """All of them by integration id."""
    rows = connection.execute(select(tables.integrations))
    return {row.integration_id: Standing(**row._mapping) for row in rows}


def held_still(connection: Connection, integration_id: str, tenant: str) -> Standing:
    """What is known, perhaps nothing, as nobody else changes it before this transaction ends."""
    alone(connection, f"integration {integration_id}")
    return standing(connection, integration_id) or Standing(integration_id, tenant)


def keep(connection: Connection, changed: Standing) -> None:
    """Write what was made of `held_still`, in the same transaction."""
    upsert(connection, tables.integrations, [asdict(changed)])


def note(connection: Connection, integration_id: str, tenant: str, **changes: Any) -> Standing:
    """Change some of what is known; the rest stays."""
    changed = replace(held_still(connection, integration_id, tenant), tenant=tenant, **changes)
    keep(connection, changed)
    return changed


def former(connection: Connection, now: Standing) -> Standing | None:
    """The integration that the tenant had before this one, as far as it may be the same customer's."""
    row = tables.integrations.c
    found = connection.execute(
        select(tables.integrations)
        .where(row.tenant == now.tenant, row.integration_id != now.integration_id)
        .order_by(func.coalesce(row.heard_at, 0).desc(), row.integration_id)
        .limit(1)
    ).one_or_none()
    before = Standing(**found._mapping) if found else None
    another = before and before.customer and now.customer and before.customer != now.customer
    return None if another else before


def same_people(connection: Connection, integration_id: str, other: str) -> tuple[int, int]:
    """How many living people of an integration have their remote id in the other one as well, and how many there are.

    Reads a row for each person of the first, and looks each up in the other.
    """
    one, two = tables.users.alias("one"), tables.users.alias("two")
    there = exists().where(
        two.c.integration_id == other, two.c.remote_id == one.c.remote_id, two.c.deleted_at.is_(None)
    )
    people = select(func.count()).select_from(one).where(one.c.integration_id == integration_id)
    people = people.where(one.c.deleted_at.is_(None))
    return connection.execute(people.where(there)).scalar_one(), connection.execute(people).scalar_one()


def _moments() -> CompoundSelect[Any]:
    """Of an `integration`, its models with their moments, and under no name `good_at`. Made once: every launch asks."""
    sync, own, integration = tables.syncs.c, tables.integrations.c, bindparam("integration", type_=String())
    models = select(sync.model, sync.as_of).where(sync.integration_id == integration, sync.as_of.is_not(None))
    return models.union_all(select(literal(""), own.good_at).where(own.integration_id == integration))


_MOMENTS = _moments()


def ages(connection: Connection, integration_id: str) -> Ages:
    """See `Ages`."""
    rows = connection.execute(_MOMENTS, {"integration": integration_id})
    moments = {row.model: row.as_of for row in rows}
    good_at = moments.pop("", None)
    return Ages(moments, good_at)
