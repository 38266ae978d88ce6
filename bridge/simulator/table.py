"""One model of one integration, twice: as the LMS has it now, and as Kombo saw it at its last sync."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from bridge.simulator.records import Record

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Seen(Generic[R]):
    """Kombo's copy of one record. `changed_at` is when Kombo noticed the change, not when it was made."""

    record: R
    changed_at: datetime
    remote_deleted_at: datetime | None = None


class Table(Generic[R]):
    """`lms` by id, and `seen` by id in the order in which Kombo met them; nothing is ever taken out of `seen`."""

    def __init__(self, kind: type[R]) -> None:
        self.kind = kind
        self.lms: dict[str, R] = {}
        self.seen: dict[str, Seen[R]] = {}

    def find(self, reference: str) -> R | None:
        """By Kombo id, or by the LMS-side id after `remote:`."""
        if not reference.startswith("remote:"):
            return self.lms.get(reference)
        remote_id = reference.removeprefix("remote:")
        return next((record for record in self.lms.values() if record.remote_id == remote_id), None)

    def refresh(self, id: str, now: datetime) -> None:
        """Kombo reads one record."""
        record, seen = self.lms.get(id), self.seen.get(id)
        if record is None:
            if seen and not seen.remote_deleted_at:
                self.seen[id] = replace(seen, changed_at=now, remote_deleted_at=now)
        elif seen is None or seen.record != record or seen.remote_deleted_at:
            self.seen[id] = Seen(record, now)

    def sync(self, now: datetime, *, full: bool) -> None:
        """Kombo reads all of them; only a full sync notices what is gone."""
        for id in list(self.lms):
            self.refresh(id, now)
        if full:
            for id in self.seen.keys() - self.lms.keys():
                self.refresh(id, now)

    def anonymise(self, id: str, now: datetime) -> None:
        """What Kombo does to a deleted record after 14 days: every field that can be null becomes null."""
        seen = self.seen[id]
        nullable = [field.name for field in msgspec.structs.fields(seen.record) if not field.required]
        blank = msgspec.structs.replace(seen.record, **dict.fromkeys(nullable))
        self.seen[id] = replace(seen, record=blank, changed_at=now)
