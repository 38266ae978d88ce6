"""Keeps what became of launches, without holding any of them up.

A launch that gets as far as a session has its row from the same moment, on disk. Everything else (refusals, how a
launch went on, how many got how far) is gathered in memory and written together, a few times a second at most: so an
unauthenticated request writes nothing, and a flood of them costs no more than a trickle.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets as random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection

from bridge.errors import Refusal, StateError
from bridge.exchange import Head
from bridge.launches.trail import Found, Trail
from bridge.pages import reference as new_reference
from bridge.saml.model import Assertion
from bridge.settings.model import Configuration, Tenant
from bridge.store import drifts as drift_rows
from bridge.store import funnel, refusals
from bridge.store import launches as rows
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.launches import Finish, Launch
from bridge.store.refusals import Refused
from bridge.store.sealing import Seal

EVERY_SECONDS = 0.5
SWEEP_SECONDS = 3600
ROOM = 2000
"""Rows of each kind that wait while the state cannot be written; beyond them they are counted only."""
REFUSED_AT_ONCE = 25
"""Of a tenant's refusals, the latest of each half second."""
TENANTS_AT_ONCE = 200
LONGEST_PATH = 512

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    """What is to be written."""

    launches: deque[Launch] = field(default_factory=lambda: deque(maxlen=ROOM))
    finished: deque[Finish] = field(default_factory=lambda: deque(maxlen=ROOM))
    refused: dict[str, deque[Refused]] = field(default_factory=dict)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.launches or self.finished or self.refused or self.counts)


class Launches:
    """`current` gives the configuration in force."""

    def __init__(self, store: Store, seal: Seal, current: Callable[[], Configuration]) -> None:
        self._store = store
        self._seal = seal
        self._current = current
        self._waiting = _Waiting()
        self._said_at = 0.0

    def asked(self, tenant: Tenant) -> None:
        """A browser was sent to the tenant's IdP."""
        self._count(tenant.slug, "asked")

    def begin(self, tenant: Tenant, found: Found, path: str, answered_at: int, began_at: int | None = None) -> Trail:
        """An IdP has answered; `began_at` is None where nobody asked it."""
        return Trail(
            tenant,
            reference=new_reference(),
            found=found,
            began_at=answered_at if began_at is None else began_at,
            answered_at=answered_at,
            path=path.partition("?")[0].partition("#")[0][:LONGEST_PATH],
        )

    def verified(self, trail: Trail, assertion: Assertion) -> None:
        """Its response was judged good, and is used for the first time."""
        self._count(trail.tenant.slug, "signed_in")
        trail.verified(assertion)

    def matched(self, trail: Trail, user_id: str | None) -> Launch:
        """The row of a launch whose learner is known; whoever opens the session writes it."""
        self._count(trail.tenant.slug, "matched")
        trail.identified(user_id)
        return self._row(trail, rows.SIGNED_IN, everything=False, user_id=user_id)

    def refused(self, trail: Trail, refusal: Refusal) -> None:
        """The launch ends here: in a row of its own if the answer was verified, else in the ring."""
        trail.failed(refusal)
        refusal.reference = trail.reference
        self._count(trail.tenant.slug, str(refusal.code))
        if trail.assertion is None:
            self._ring(
                Refused(
                    reference=trail.reference,
                    tenant=trail.tenant.slug,
                    at=now_ms(),
                    code=str(refusal.code),
                    http_status=refusal.status,
                    reason=refusal.reason,
                    method="POST",
                    path=trail.path,
                    check=_check(refusal),
                    steps=trail.steps,
                )
            )
            return
        self._waiting.launches.append(self._row(trail, str(refusal.code), everything=True, refusal=refusal))

    def noted(
        self,
        head: Head,
        refusal: Refusal,
        reference: str,
        tenant: Tenant | None,
        user_id: str | None,
        course: str | None,
    ) -> None:
        """Somebody was refused of whom no launch tells."""
        slug = tenant.slug if tenant else ""
        self._count(slug, str(refusal.code))
        self._ring(
            Refused(
                reference=reference,
                tenant=slug,
                at=now_ms(),
                code=str(refusal.code),
                http_status=refusal.status,
                reason=refusal.reason,
                method=head.method[:16].decode("latin-1"),
                path=head.path[:LONGEST_PATH].decode("latin-1"),
                check=_check(refusal),
                user_id=user_id,
                course=course,
            )
        )

    def finished(self, tenant: Tenant, finish: Finish) -> None:
        """How a launch went on that had got a session."""
        if finish.gate:
            self._count(tenant.slug, "gate")
        self._count(tenant.slug, finish.outcome)
        self._waiting.finished.append(finish)

    def _row(
        self,
        trail: Trail,
        outcome: str,
        *,
        everything: bool,
        user_id: str | None = None,
        refusal: Refusal | None = None,
    ) -> Launch:
        seen = trail.seen(everything=everything)
        tenant = trail.tenant
        return Launch(
            id=f"{trail.reference}.{random.token_hex(8)}",
            reference=trail.reference,
            tenant=tenant.slug,
            integration_id=tenant.integration_id,
            provider=tenant.provider.entity_id,
            found=trail.found,
            began_at=trail.began_at,
            outcome=outcome,
            steps=trail.steps,
            path=trail.path,
            finished_at=now_ms() if refusal else None,
            reason=refusal.reason if refusal else None,
            check=_check(refusal) if refusal else None,
            tier=trail.tier,
            user_id=user_id,
            http_status=refusal.status if refusal else None,
            seen=self._seal.close(json.dumps(seen).encode()) if seen else None,
        )

    def _ring(self, refused: Refused) -> None:
        ring = self._waiting.refused.get(refused.tenant)
        if ring is None:
            if len(self._waiting.refused) >= TENANTS_AT_ONCE:
                return
            ring = self._waiting.refused[refused.tenant] = deque(maxlen=REFUSED_AT_ONCE)
        ring.append(refused)

    def _count(self, slug: str, what: str) -> None:
        self._waiting.counts[slug, f"{datetime.now(UTC):%Y-%m-%d}", what] += 1

    # In the background

    async def run(self) -> None:
        """Write what waits, now and then; once more at the end. Forget what is too old."""
        swept = 0.0
        try:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                await self.write()
                if time.monotonic() - swept > SWEEP_SECONDS:
                    swept = time.monotonic()
                    await self._sweep()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.write()

    async def write(self) -> None:
        """Write what waits. What the state does not take just now goes on waiting, as far as there is room."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, _Waiting()
        size = self._current().service.launches.refusals

        def work(connection: Connection) -> None:
            for launch in waiting.launches:
                rows.add(connection, launch)
            for finish in waiting.finished:
                rows.finish(connection, finish)
            for slug, refused in sorted(waiting.refused.items()):
                refusals.note(connection, slug, list(refused), size)
            funnel.count(connection, waiting.counts)

        try:
            await self._store.write(work)
        except StateError as error:
            self._take_back(waiting)
            if time.monotonic() - self._said_at > 60:
                self._said_at = time.monotonic()
                log.warning("launches_not_written", reason=str(error))

    def _take_back(self, waiting: _Waiting) -> None:
        later, self._waiting = self._waiting, waiting
        waiting.launches.extend(later.launches)
        waiting.finished.extend(later.finished)
        waiting.counts.update(later.counts)
        for refused in later.refused.values():
            for each in refused:
                self._ring(each)

    async def _sweep(self) -> None:
        kept = self._current().service.launches
        now = now_ms()
        oldest, seen = now - length_ms(kept.keep), now - length_ms(kept.keep_values)
        day = f"{datetime.now(UTC) - kept.keep:%Y-%m-%d}"

        def work(connection: Connection) -> None:
            rows.sweep(connection, oldest, seen)
            refusals.sweep(connection, oldest)
            drift_rows.sweep(connection, oldest)
            funnel.sweep(connection, day)

        try:
            await self._store.write(work)
        except StateError as error:
            log.warning("launches_not_swept", reason=str(error))


def _check(refusal: Refusal) -> str | None:
    return getattr(refusal, "check", None)
