"""How much what is known still says, by its age: the same for a yes and for a no, for people and for enrollments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from bridge.settings.model import Tenant
from bridge.store.engine import length_ms, now_ms

MISSED_SYNCS = 2
"""Fresh is what is known as long as no sync has been missed but one."""

Freshness = Literal["fresh", "stale", "too_old"]


def freshness(tenant: Tenant, known_at: int) -> Freshness:
    """Of something known as of that moment, in milliseconds (see `bridge.store.integrations.Ages`)."""
    age = now_ms() - known_at
    if age > length_ms(tenant.kombo.stale_for):
        return "too_old"
    return "fresh" if age <= MISSED_SYNCS * length_ms(tenant.kombo.sync_every) else "stale"


def since(known_at: int) -> str:
    """The moment, for a refusal's reason."""
    if not known_at:
        return "never read completely"
    return f"known as of {datetime.fromtimestamp(known_at / 1000, UTC).isoformat(timespec='seconds')}"
