"""What is known of an integration itself: how Kombo says it stands, and since when what Kombo has is no longer news.

Kombo's copy can stand still while its API answers: an INVALID integration is not synced any more, and its lists go on
showing what the last good sync brought. So nothing that is read of it is younger than `good_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from bridge.store import tables
from bridge.store.directory import Model
from bridge.store.engine import upsert


@dataclass(frozen=True, slots=True)
class Standing:
    """One integration; moments in milliseconds since 1970, None: never.

    `status` (ACTIVE, INVALID, INACTIVE) and `setup_status` are open strings, as Kombo said them at `heard_at`; `tenant`
    is whose it was then, `customer` the `origin_id` that the connection was made with. `good_at` is the beginning of
    the last sync by which Kombo certainly read the LMS, `failing_at` since when its syncs are known to fail.
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


def note(connection: Connection, integration_id: str, tenant: str, **changes: Any) -> Standing:
    """Change some of what is known; the rest stays."""
    known = standing(connection, integration_id) or Standing(integration_id, tenant)
    changed = replace(known, tenant=tenant, **changes)
    upsert(connection, tables.integrations, [asdict(changed)])
    return changed


def ages(connection: Connection, integration_id: str) -> Ages:
    """See `Ages`."""
    sync, own = tables.syncs.c, tables.integrations.c
    rows = connection.execute(
        select(sync.model, sync.as_of).where(sync.integration_id == integration_id, sync.as_of.is_not(None))
    )
    good_at = connection.execute(select(own.good_at).where(own.integration_id == integration_id)).scalar()
    return Ages({row.model: row.as_of for row in rows}, good_at)
