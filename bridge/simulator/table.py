"""One model of one integration, twice: as the LMS has it now, and as Kombo saw it at its last sync."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from bridge.simulator.records import Record, nullable
from bridge.simulator.shelf import Crowd, Key, Shelf

R = TypeVar("R", bound=Record)

KEPT_FOR = timedelta(days=14)
"""How long Kombo keeps the fields of a deleted record."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[R]):
    """Kombo's copy of one record. `changed_at` is when Kombo noticed the change, not when it was made.

    A deleted one becomes anonymous after a while unless it is `final`.
    """

    record: R
    changed_at: datetime
    remote_deleted_at: datetime | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a model the customer's scope configuration lets Kombo read."""

    enabled: bool = True
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Marks:
    """What `Seen` says of every untouched record of the crowd."""

    changed_at: datetime
    remote_deleted_at: datetime | None = None
    final: bool = False


class Table(Generic[R]):
    """`lms` by id, and `seen` by id in the order in which Kombo met them; nothing is ever taken out of `seen`.

    `keys` are what filters and look-ups go by, besides the id. A change of `scope` takes effect at the next sync.
    """

    def __init__(self, kind: type[R], keys: Mapping[str, Key[R]]) -> None:
        self.kind = kind
        self.keys = {"remote_id": lambda record: record.remote_id, **keys}
        self.scope = self._applied = Scope()
        self.stale: set[str] = set()
        """Ids of which Kombo's copy may be old."""
        self.lms: Shelf[R, R] = Shelf(self.keys, record=_itself, made=_itself, touched=self.stale.add)
        self.seen: Shelf[R, Seen[R]] = Shelf(
            self.keys, record=lambda seen: seen.record, made=self._of_the_crowd, touched=self.stale.add
        )
        self._crowd: _Marks | None = None

    def settle(self, crowd: Crowd[R], now: datetime) -> None:
        """Let a crowd in, on both sides; Kombo has seen all of it."""
        self.lms.settle(crowd)
        self.seen.settle(crowd)
        self._crowd = _Marks(now)

    @property
    def crowd_changed_at(self) -> datetime | None:
        """The `changed_at` of the untouched part of the crowd."""
        return self._crowd.changed_at if self._crowd else None

    def find(self, reference: str) -> R | None:
        """By Kombo id, or by the LMS-side id after `remote:`."""
        if not reference.startswith("remote:"):
            return self.lms.get(reference)
        return next(self.lms.where("remote_id", reference.removeprefix("remote:")), None)

    def refresh(self, id: str, now: datetime) -> bool:
        """Kombo reads one record. Says whether that changed anything."""
        record, seen = self._readable(id), self.seen.get(id)
        changed = True
        if record is not None and (seen is None or seen.record != record or seen.remote_deleted_at):
            self.seen[id] = Seen(record, now)
        elif record is None and seen and not seen.remote_deleted_at:
            self.seen[id] = replace(seen, changed_at=now, remote_deleted_at=now)
        else:
            changed = False
        self.stale.discard(id)
        return changed

    def sync(self, now: datetime, *, full: bool) -> bool:
        """Kombo reads all that changed; only a full sync notices what is gone. Says whether anything changed."""
        changed = self._rescope(now)
        for id in list(self.stale):
            if full or id in self.lms:
                changed |= self.refresh(id, now)
        return changed | self._forget(now)

    def anonymise(self, id: str, now: datetime) -> None:
        """What Kombo does to a deleted record after 14 days: every field that can be null becomes null."""
        seen = self.seen[id]
        self.seen[id] = replace(seen, record=_blank(seen.record), changed_at=now, final=True)
        self.stale.discard(id)

    def finalise(self) -> None:
        """Leave those that are deleted by now as they are."""
        for id, seen in list(self.seen.own.items()):
            if seen.remote_deleted_at:
                self.seen[id] = replace(seen, final=True)
        self.stale.clear()

    def _readable(self, id: str) -> R | None:
        record = self.lms.get(id) if self._applied.enabled else None
        return record and _blank(record, self._applied.without)

    def _rescope(self, now: datetime) -> bool:
        """A field that was switched off becomes null for everybody, a model that was is deleted."""
        if self.scope == self._applied:
            return False
        self._applied = self.scope
        if self._crowd:
            self._crowd = _Marks(now, remote_deleted_at=None if self.scope.enabled else now)
        self.stale.update(self.seen.own)
        return True

    def _forget(self, now: datetime) -> bool:
        due = [id for id, seen in self.seen.own.items() if _is_due(seen, now)]
        for id in due:
            self.anonymise(id, now)
        crowd = self._crowd
        if crowd and _is_due(crowd, now):
            self._crowd = replace(crowd, changed_at=now, final=True)
            return True
        return bool(due)

    def _of_the_crowd(self, record: R) -> Seen[R]:
        crowd = self._crowd
        assert crowd
        shown = _blank(record) if crowd.final else _blank(record, self._applied.without)
        return Seen(shown, crowd.changed_at, crowd.remote_deleted_at, crowd.final)


def _itself(record: R) -> R:
    return record


def _is_due(seen: Seen[Any] | _Marks, now: datetime) -> bool:
    deleted_at = seen.remote_deleted_at
    return deleted_at is not None and not seen.final and now - deleted_at >= KEPT_FOR


def _blank(record: R, fields: frozenset[str] | None = None) -> R:
    names = nullable(type(record)) if fields is None else fields
    return msgspec.structs.replace(record, **dict.fromkeys(names)) if names else record
