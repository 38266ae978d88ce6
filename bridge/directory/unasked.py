"""Kombo, to whoever only reads what is known: it never answers."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.directory.live import Key, Live
from bridge.errors import KomboUnavailable
from bridge.settings.model import Tenant
from bridge.store.lookups import Enrollment, Person

NOT_ASKED = "it was not asked, as this only reads"


class NotAsked(Live):
    """Stands for Kombo where a command must neither ask nor write."""

    def __init__(self) -> None:
        """Without a store or a client: there is nothing to keep, and nobody to ask."""

    async def people(self, tenant: Tenant, key: Key, value: str) -> list[Person]:
        raise KomboUnavailable(NOT_ASKED)

    async def enrollments(self, tenant: Tenant, user_id: str, courses: Sequence[str]) -> list[Enrollment]:
        raise KomboUnavailable(NOT_ASKED)
