"""Keeps what became of launches, without holding any of them up.

A launch that gets as far as a session has its row from the same moment, on disk. Everything else (refusals, how a
launch went on, how many got how far) is gathered in memory and written together, a few times a second at most: so an
unauthenticated request writes nothing, and a flood of them costs no more than a trickle.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from bridge.errors import Refusal, StateError
from bridge.exchange import Head
from bridge.launches.references import launch_id
from bridge.launches.trail import LONGEST_REASON, Found, Trail
from bridge.launches.waiting import Waiting
from bridge.pages import reference as new_reference
from bridge.saml.model import Assertion
from bridge.settings.model import Configuration, Tenant
from bridge.store import drifts, funnel, refusals
from bridge.store import launches as rows
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.launches import Finish, Launch
from bridge.store.refusals import Refused
from bridge.store.sealing import Seal

EVERY_SECONDS = 0.5
SWEEP_SECONDS = 3600
LAST_SECONDS = 5
"""For what still waits as the service stops."""
SWEPT_AT_ONCE = 500
"""Rows: SQLite has one writer, and logins wait behind it."""
SAID_SECONDS = 60
LONGEST_METHOD = 16
LONGEST_PATH = 512

log = structlog.get_logger()


class Launches:
    """`current` gives the configuration in force."""

    def __init__(self, store: Store, seal: Seal, current: Callable[[], Configuration]) -> None:
        self._store = store
        self._seal = seal
        self._current = current
        self._waiting = Waiting()
        self._writing: asyncio.Task[None] | None = None
        self._say_at = 0.0

    def asked(self, tenant: Tenant) -> None:
        """A browser was sent to the tenant's IdP."""
        self._waiting.count(tenant.slug, "asked")

    def begin(self, tenant: Tenant, found: Found, path: str, answered_at: int, began_at: int | None = None) -> Trail:
        """An IdP has answered; `began_at` is None where nobody asked it."""
        return Trail(
            tenant,
            reference=new_reference(),
            found=found,
            began_at=answered_at if began_at is None else began_at,
            answered_at=answered_at,
            path=_storable(path.partition("?")[0].partition("#")[0], LONGEST_PATH),
        )

    def verified(self, trail: Trail, assertion: Assertion) -> None:
        """Its response was judged good, and is used for the first time."""
        self._waiting.count(trail.tenant.slug, "signed_in")
        trail.verified(assertion)

    def matched(self, trail: Trail, user_id: str | None) -> Launch:
        """The row of a launch that may go on; whoever opens the session writes it.

        `user_id` is None where nobody matched, and the tenant lets that pass: nobody is counted as matched then.
        """
        if user_id is not None:
            self._waiting.count(trail.tenant.slug, "matched")
            self._waiting.count(trail.tenant.slug, f"{funnel.BY_TIER}{trail.tier}")
        trail.identified(user_id)
        return self._row(trail, rows.SIGNED_IN, trail.steps_signed_in, everything=False)

    def refused(self, trail: Trail, refusal: Refusal) -> None:
        """The launch ends here: in a row of its own if the answer was verified, else in the ring."""
        trail.failed(refusal)
        refusal.reference = trail.reference
        self._waiting.count(trail.tenant.slug, str(refusal.code))
        if trail.assertion is not None:
            row = self._row(trail, str(refusal.code), trail.steps, everything=True, refusal=refusal)
            self._waiting.launches.append(row)
            return
        self._waiting.ring(
            Refused(
                reference=trail.reference,
                tenant=trail.tenant.slug,
                at=now_ms(),
                code=str(refusal.code),
                http_status=refusal.status,
                reason=_storable(refusal.reason, LONGEST_REASON),
                method="POST",
                path=trail.path,
                check=_check(refusal),
                steps=trail.steps,
            )
        )

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
        self._waiting.count(slug, str(refusal.code))
        self._waiting.ring(
            Refused(
                reference=reference,
                tenant=slug,
                at=now_ms(),
                code=str(refusal.code),
                http_status=refusal.status,
                reason=_storable(refusal.reason, LONGEST_REASON),
                method=_storable(head.method.decode("latin-1"), LONGEST_METHOD),
                path=_storable(head.path.decode("latin-1"), LONGEST_PATH),
                check=_check(refusal),
                user_id=user_id,
                course=None if course is None else _storable(course, LONGEST_PATH),
            )
        )

    def finished(self, tenant: Tenant, finish: Finish) -> None:
        """How a launch went on that had got a session. It is counted when it is written, as others may say the same."""
        storable = replace(
            finish,
            reason=None if finish.reason is None else _storable(finish.reason, LONGEST_REASON),
            course=None if finish.course is None else _storable(finish.course, LONGEST_PATH),
        )
        self._waiting.finished.append((tenant.slug, storable))

    def _row(
        self, trail: Trail, outcome: str, steps: str, *, everything: bool, refusal: Refusal | None = None
    ) -> Launch:
        tenant, keeps = trail.tenant, self._current().service.launches.keep_values > timedelta(0)
        seen = trail.seen(everything=everything) if keeps else None
        return Launch(
            id=launch_id(trail.reference),
            reference=trail.reference,
            tenant=tenant.slug,
            integration_id=tenant.integration_id,
            provider=tenant.provider.entity_id,
            found=trail.found,
            began_at=trail.began_at,
            outcome=outcome,
            steps=steps,
            path=trail.path,
            finished_at=now_ms() if refusal else None,
            reason=_storable(refusal.reason, LONGEST_REASON) if refusal else None,
            check=_check(refusal) if refusal else None,
            tier=trail.tier,
            user_id=trail.user_id,
            http_status=refusal.status if refusal else None,
            seen=self._seal.close(json.dumps(seen).encode()) if seen else None,
        )

    # In the background

    async def run(self) -> None:
        """Write what waits, now and then; once more at the end. Forget what is too old."""
        sweep_at = time.monotonic()
        try:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                await self.write()
                if time.monotonic() >= sweep_at:
                    sweep_at = time.monotonic() + SWEEP_SECONDS
                    await self.sweep()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self.write()  # what was being written, if something was
                    await self.write()

    async def write(self) -> None:
        """Write what waits, or wait for what is being written. What is begun goes on, whoever waits for it.

        What the state does not take just now goes on waiting, as far as there is room.
        """
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write())
        await asyncio.shield(self._writing)

    async def _write(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, Waiting()
        size = self._current().service.launches.refusals
        try:
            await self._store.write(lambda connection: waiting.write(connection, size))
        except StateError as error:
            # What can never be written would hold everything up for ever that comes after it.
            if not isinstance(error.__cause__, DataError | IntegrityError):
                waiting.add(self._waiting)
                self._waiting = waiting
            if time.monotonic() >= self._say_at:
                self._say_at = time.monotonic() + SAID_SECONDS
                log.warning("launches_not_written", reason=str(error))

    async def sweep(self) -> None:
        """Forget what is older than the settings say, some at a time; what has come to wait meanwhile is written."""
        kept, now = self._current().service.launches, now_ms()
        oldest, seen = now - length_ms(kept.keep), now - length_ms(kept.keep_values)
        day = f"{datetime.now(UTC) - kept.keep:%Y-%m-%d}"
        sweeps: Sequence[Callable[[Connection], int]] = (
            partial(rows.sweep, before=oldest, limit=SWEPT_AT_ONCE),
            partial(rows.sweep_seen, before=seen, limit=SWEPT_AT_ONCE),
            partial(refusals.sweep, before=oldest, limit=SWEPT_AT_ONCE),
            partial(drifts.sweep, before=oldest, limit=SWEPT_AT_ONCE),
            partial(funnel.sweep, before=day, limit=SWEPT_AT_ONCE),
        )
        try:
            for some in sweeps:
                while await self._store.write(some) == SWEPT_AT_ONCE:
                    await self.write()
        except StateError as error:
            log.warning("launches_not_swept", reason=str(error))


def _check(refusal: Refusal) -> str | None:
    return getattr(refusal, "check", None)


def _storable(text: str, longest: int) -> str:
    """What PostgreSQL takes as text as well, from wherever it comes."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:longest].encode("utf-8", "replace").decode()
