"""The background work that keeps IdP metadata by URL fresh, and carries what any node fetched to this process.

The plan is in the state (`bridge.store.idps`), so any number of processes may run a refresher over one store: whoever
claims a fetch that is due does it, and all notice the new row within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection

import structlog
from cachetools import TTLCache

from bridge.errors import BridgeError, MetadataError, StateError
from bridge.idps.fetch import Fetcher
from bridge.idps.keeping import Keeping, Outcome
from bridge.idps.waiting import Lane, Waiting
from bridge.settings.model import Configuration, MetadataUrl, Tenant
from bridge.store import idps
from bridge.store.engine import Store, now_ms
from bridge.store.idps import Key

TICK_SECONDS = 3.0
AT_ONCE = 4
CLAIM_MS = 60_000
STALLING_SECONDS = 2.0
LOOK_BACK_MS = 60_000
FORGET_AFTER_MS = 30 * 86_400_000
SWEEP_EVERY_MS = 86_400_000
ASK_AGAIN_SECONDS = 300
ASK_SECONDS = 8.0
ASKED_AT_ONCE = 16

log = structlog.get_logger()


class Refresher:
    """`current` gives the configuration in force; `changed` puts the tenants' new documents in force in this process.

    `since` is when the newest document was fetched that `current` can have seen: what comes later is news.
    """

    def __init__(
        self,
        store: Store,
        fetcher: Fetcher,
        current: Callable[[], Configuration],
        changed: Callable[[Collection[str]], Awaitable[None]],
        since: int,
    ) -> None:
        self._store = store
        self._keeping = Keeping(store, fetcher)
        self._current = current
        self._changed = changed
        self._since = since
        self._seen: dict[Key, int] = {}
        self._failed: set[str] = set()
        self._noticing = asyncio.Lock()
        self._begun: set[Key] | None = None
        self._sources: tuple[Configuration | None, dict[Key, MetadataUrl]] = (None, {})
        self._waiting = Waiting()
        self._swept_at = now_ms()
        self._asked: TTLCache[str, asyncio.Task[None]] = TTLCache(100_000, ASK_AGAIN_SECONDS)
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Notice what others fetched and fetch what is due, a few at a time, until cancelled."""
        workers = [asyncio.ensure_future(self._work()) for _ in range(AT_ONCE)]
        try:
            while True:
                try:
                    await self.notice()
                    await self._plan()
                except StateError as error:
                    log.warning("metadata_refresh_failed", reason=str(error))
                except Exception:
                    log.exception("metadata_refresh_failed")
                await asyncio.sleep(TICK_SECONDS)
        finally:
            for task in (*workers, *self._asking):
                task.cancel()
            await asyncio.gather(*workers, *self._asking, return_exceptions=True)

    async def refresh_now(self, tenant: Tenant) -> bool:
        """Fetch a tenant's metadata out of turn: whether the provider in force is another one than `tenant` has.

        For a signature whose key is not known. Each tenant is asked for once in five minutes, whoever asks, and nobody
        waits longer than eight seconds; where nothing changed, nothing is written.
        """
        source = self._known().get(Key(tenant.slug, str(tenant.saml.metadata)))
        if source is None:
            return False
        task = self._asked.get(tenant.slug)
        if task is None:
            if len(self._asking) >= ASKED_AT_ONCE:
                return False
            task = self._asked[tenant.slug] = asyncio.ensure_future(self._ask(source))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                await asyncio.shield(task)
        now = self._current().tenants.get(tenant.slug)
        return now is not None and now.provider != tenant.provider

    async def notice(self) -> None:
        """Put in force here what was fetched since the last look, by whichever node; raises `StateError`.

        All at once, since a configuration of thousands of tenants is made anew; with them, those whose first fetch
        failed, so that they say why. It looks back a little: a transaction may end later than its moment says.
        """
        async with self._noticing:
            since = self._since - LOOK_BACK_MS
            found = await self._store.read(lambda connection: idps.fetched_since(connection, since))
            failed, self._failed = self._failed, set()
            slugs = {key.tenant for key, moment in found.items() if self._seen.get(key) != moment} | failed
            try:
                if slugs:
                    await self._changed(slugs)
            except BaseException:
                self._failed |= failed
                raise
            self._seen, self._since = found, max(found.values(), default=self._since)

    async def _plan(self) -> None:
        """Let what is due wait its turn."""
        if self._begun is None:
            self._begun = await self._store.read(idps.keys)
        sources = self._known()
        moment = now_ms()
        due = await self._store.read(lambda connection: idps.due(connection, moment))
        self._waiting.keep(sources)
        self._waiting.add(sources.keys() - self._begun, Lane.NEW)
        for lane, failing in ((Lane.DUE, False), (Lane.FAILED, True)):
            self._waiting.add([key for key, times in due.items() if key in sources and bool(times) is failing], lane)
        if moment - self._swept_at > SWEEP_EVERY_MS:
            self._swept_at = moment
            await self._store.write(lambda c: idps.forget(c, sources.keys(), moment - FORGET_AFTER_MS))

    async def _work(self) -> None:
        while True:
            key = await self._waiting.take()
            try:
                await self._turn(key)
            except BridgeError as error:
                log.warning("metadata_refresh_failed", tenant=key.tenant, reason=str(error))
            except Exception:
                log.exception("metadata_refresh_failed", tenant=key.tenant)
            finally:
                self._waiting.done(key)

    async def _turn(self, key: Key) -> None:
        source = self._known().get(key)
        if source is None or not await self._claim(key):
            return
        started = time.monotonic()
        renewal = await self._keeping.renew(source)
        failed = renewal.outcome is Outcome.FAILED
        self._waiting.judge(key, stalls=failed and time.monotonic() - started > STALLING_SECONDS)
        if failed and renewal.news and key.tenant in self._current().broken:
            self._failed.add(key.tenant)

    async def _claim(self, key: Key) -> bool:
        """Whether the fetch is this process's to do. Read first: of many processes only one has to write."""
        found = await self._store.read(lambda connection: idps.find(connection, key))
        if self._begun is not None:
            self._begun.add(key)
        moment = now_ms()
        if found and found[0].next_at > moment:
            return False
        return await self._store.write(lambda connection: idps.claim(connection, key, moment + CLAIM_MS))

    async def _ask(self, source: MetadataUrl) -> None:
        try:
            await self.notice()
            await self._keeping.renew(source, plan=False)
            await self.notice()
        except (MetadataError, StateError) as error:
            log.warning("metadata_refresh_failed", tenant=source.slug, reason=str(error))
        except Exception:
            log.exception("metadata_refresh_failed", tenant=source.slug)

    def _known(self) -> dict[Key, MetadataUrl]:
        """Every URL of the configuration in force, made once for each."""
        configuration = self._current()
        if self._sources[0] is not configuration:
            urls = {Key(source.slug, source.url): source for source in configuration.metadata_urls}
            self._sources = (configuration, urls)
        return self._sources[1]
