"""Keys and certificates as the admin page shows them: what signs, what is next, how old each is and when it ends."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.admin.glances import Ends
from bridge.checkup.snapshot import Snapshot
from bridge.keys.expiry import Ending, Expiry, MetadataEnd
from bridge.keys.rollover import HEADERS, State, Step, next_step, state
from bridge.saml.keys import certificate_end
from bridge.store.engine import moment_ms
from bridge.store.keys import KeyRow, Kind

MOST = 100


@dataclass(frozen=True, slots=True)
class Key:
    """One key of ours; `next` is what it waits for, and `days` are left of its certificate."""

    row: KeyRow
    state: State
    next: Step | None
    days: int | None

    @property
    def use(self) -> str:
        return "headers" if self.row.kind.purpose == HEADERS else self.row.kind.purpose


@dataclass(frozen=True, slots=True)
class End:
    """What ends on an IdP's side."""

    tenant: str
    what: str
    ends_at: int
    days: int
    close: bool


def own(snapshot: Snapshot) -> list[Key]:
    """The deployment's before those of tenants; the oldest of each kind first."""
    kinds: defaultdict[Kind, list[KeyRow]] = defaultdict(list)
    for row in snapshot.keys:
        kinds[row.kind].append(row)
    order = sorted(kinds, key=lambda kind: (kind.scope, kind.purpose != HEADERS))
    return [_key(kinds[kind], row, snapshot) for kind in order for row in kinds[kind]]


def theirs(ends: Ends, snapshot: Snapshot) -> list[End]:
    """Of every tenant's IdP, what ends first first."""
    found = [_end(ending, snapshot) for each in ends.values() for ending in _of_idps(each)]
    return sorted(found, key=lambda end: (end.ends_at, end.tenant))


def _of_idps(endings: Iterable[Ending]) -> Sequence[Ending]:
    return [each for each in endings if isinstance(each, MetadataEnd) or (isinstance(each, Expiry) and not each.key)]


def _end(ending: Ending, snapshot: Snapshot) -> End:
    what = "metadata" if isinstance(ending, MetadataEnd) else "signing certificate"
    close = ending.threshold(snapshot.at) is not None
    return End(ending.tenant or "", what, moment_ms(ending.end), math.floor(ending.days_left(snapshot.at)), close)


def _key(of_kind: Sequence[KeyRow], row: KeyRow, snapshot: Snapshot) -> Key:
    end = certificate_end(row.certificate) if row.certificate else None
    return Key(
        row,
        state(of_kind, row, snapshot.now),
        next_step(of_kind, row, snapshot.now),
        (end - snapshot.at).days if end else None,
    )
