"""Refusals for enrollment, and what became of them: a sync that was late, or somebody who had no business there.

Only `not_enrolled` counts, of somebody whom Kombo knows and for a course that it knows: `enrollment_unknown` says
nothing of the learner, and how long Kombo was away is no sync delay.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

import structlog
from cachetools import TTLCache
from sqlalchemy import Connection

from bridge.directory.sync import Permit
from bridge.errors import BridgeError
from bridge.gate.gate import best_of
from bridge.settings.model import Tenant
from bridge.store import integrations, lookups
from bridge.store import misses as rows
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.lookups import Person
from bridge.store.misses import Kind, Miss

ONCE_SECONDS = 60
REMEMBERED = 50_000
WAITING = 500
"""Writes that wait, one after the other, so that a login has not to wait behind them; what is refused beyond them is in
the log only."""
USUAL_SECONDS = 60
TENANTS = 10_000
FEWEST = 5
"""Sync delays from which something is said of how long one takes."""
RECENT = timedelta(days=30)
KEPT = timedelta(days=90)
BATCH = 100

Fate = tuple[Kind, int | None]
_Key = tuple[str, str, str, str]

log = structlog.get_logger()


class Misses:
    """Remembers refusals without holding their answers up."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: TTLCache[_Key, None] = TTLCache(REMEMBERED, ONCE_SECONDS)
        self._usual: TTLCache[str, timedelta | None] = TTLCache(TENANTS, USUAL_SECONDS)
        self._waiting: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def refused(self, tenant: Tenant, person: Person, course: str, reference: str) -> None:
        """Remember it: once a minute for one learner and course, however often they click."""
        key = (tenant.slug, tenant.integration_id, person.id, course)
        if key in self._noted:
            return
        self._noted[key] = None
        moment = now_ms()
        self._later(lambda: self._store.write(lambda c: rows.note(c, *key, reference, moment)))

    def opened(self, tenant: Tenant, person: Person, course: str) -> None:
        """The gate is open now to somebody who was refused a while ago: that was a sync delay."""
        key = (tenant.slug, tenant.integration_id, person.id, course)
        self._noted.pop(key, None)
        self._later(lambda: self._settle(tenant, key))

    async def _settle(self, tenant: Tenant, key: _Key) -> None:
        miss = await self._store.read(lambda connection: rows.open_of(connection, *key))
        if miss:
            await _settle_some(self._store, tenant, [miss], read_at=0, permit=None)

    async def usual(self, tenant: Tenant) -> timedelta | None:
        """Within what time nine of ten of the tenant's latest sync delays were over; None where too few are known.

        Raises `StateError`.
        """
        if tenant.slug not in self._usual:
            since = now_ms() - length_ms(RECENT)
            lags = await self._store.read(partial(rows.lags, tenant=tenant.slug, since=since))
            known = timedelta(milliseconds=quantile(lags, 0.9)) if len(lags) >= FEWEST else None
            self._usual[tenant.slug] = known
        return self._usual.get(tenant.slug)

    def _later(self, write: Callable[[], Awaitable[None]]) -> None:
        if len(self._waiting) >= WAITING:
            log.warning("miss_not_written", reason="too many are being written already")
            return
        task = asyncio.ensure_future(self._write(write))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._turn:
                await write()
        except BridgeError as error:
            log.warning("miss_not_written", reason=str(error))


async def settle(store: Store, tenant: Tenant, permit: Permit | None = None) -> None:
    """Look at the open misses of the tenant's integration again, after a pass over its progressions.

    Raises `StateError`, and what `permit` raises inside a write.
    """
    integration, last = tenant.integration_id, None
    read_at = (await store.read(partial(integrations.ages, integration_id=integration))).of("progressions")
    while batch := await store.read(partial(rows.still_open, integration_id=integration, after=last, limit=BATCH)):
        await _settle_some(store, tenant, batch, read_at=read_at, permit=permit)
        last = batch[-1]
    await _sweep(store, permit)


def quantile(ascending: Sequence[int], share: float) -> int:
    """The value that so large a share of them does not exceed; of none, 0."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else 0


async def _settle_some(
    store: Store, tenant: Tenant, misses: Sequence[Miss], *, read_at: int, permit: Permit | None
) -> None:
    def judge(connection: Connection) -> list[tuple[Miss, Fate]]:
        found = ((miss, _fate(connection, tenant, miss, read_at)) for miss in misses)
        return [(miss, fate) for miss, fate in found if fate]

    def work(connection: Connection) -> list[tuple[Miss, Fate]]:
        if permit:
            permit(connection)
        return [(miss, fate) for miss, fate in fates if rows.settle(connection, miss, fate[0], now_ms(), fate[1])]

    if fates := await store.read(judge):
        for miss, fate in await store.write(work):
            _tell(miss, fate)


def _fate(connection: Connection, tenant: Tenant, miss: Miss, read_at: int) -> Fate | None:
    """What a miss was, as far as can be told from progressions that are known as of `read_at`; None: not yet.

    Somebody who came before the enrollment waited for the sync from the enrollment on.
    """
    courses = lookups.course_ids(connection, miss.integration_id, miss.course)
    best = best_of(lookups.enrollments(connection, miss.integration_id, miss.user_id, courses)) if courses else None
    if best:
        return "sync_delay", max(0, now_ms() - max(miss.first_at, best.enrolled_at or 0))
    return ("unauthorized", None) if read_at > miss.first_at + length_ms(tenant.kombo.miss_window) else None


def _tell(miss: Miss, fate: Fate) -> None:
    kind, lag = fate
    log.info(
        "miss_settled",
        tenant=miss.tenant,
        kind=kind,
        lag_seconds=None if lag is None else round(lag / 1000),
        user=miss.user_id,
        course=miss.course,
        times=miss.times,
        reference=miss.reference,
    )


async def _sweep(store: Store, permit: Permit | None) -> None:
    """Forget what is over long since. Looked for outside the write, which others wait for."""
    before = now_ms() - length_ms(KEPT)

    def work(connection: Connection) -> None:
        if permit:
            permit(connection)
        rows.sweep(connection, names)

    while names := await store.read(partial(rows.older_than, moment=before, limit=BATCH)):
        await store.write(work)
