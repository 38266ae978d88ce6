"""Hot reload: tenant files, their metadata, routes and completions take effect within seconds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bridge.errors import StateError
from bridge.settings.files import Stamp
from bridge.settings.idp import Documents, has_expired, nothing_fetched
from bridge.settings.load import SettingsFiles
from bridge.settings.model import Configuration

log = structlog.get_logger()


class Reloader:
    """Loads the settings (raises `SettingsError` as `load` does) and then follows their files.

    A change counts once two looks in a row have seen the same: a file that an editor is half way through writing, or
    has moved aside for a moment, must neither be read nor end a tenant's sessions.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str] = os.environ,
        documents: Documents = nothing_fetched,
        *,
        every: float = 1.0,
        settled_after: float = 0.25,
    ) -> None:
        self._files = SettingsFiles(path, environ, documents)
        self._every = every
        self._settled_after = settled_after
        self._pending: dict[str, Stamp | None] = {}
        self._one_at_a_time = asyncio.Lock()
        self._changed: Callable[[Configuration], None] = _nobody

    @property
    def configuration(self) -> Configuration:
        """What is in force."""
        return self._files.configuration

    async def watch(self, changed: Callable[[Configuration], None]) -> None:
        """Until cancelled, call `changed` on the event loop with each new configuration. Looks every second.

        Nothing ends it but cancellation: a reload that fails for a reason nobody foresaw must not be the last.
        """
        self._changed = changed
        while True:
            await asyncio.sleep(self._settled_after if self._pending else self._every)
            try:
                await self._take(self._look)
            except StateError as error:
                log.warning("settings_reload_failed", reason=str(error))
            except Exception:
                log.exception("settings_reload_failed")

    async def documents_changed(self, slugs: Collection[str]) -> None:
        """Take over fetched metadata that is another one than before; whoever watches has been told on return."""
        await self._take(lambda: self._files.documents_changed(slugs))

    async def _take(self, work: Callable[[], Configuration | None]) -> None:
        async with self._one_at_a_time:
            if configuration := await asyncio.to_thread(work):
                log.info("settings_applied", generation=configuration.generation, tenants=len(configuration.tenants))
                self._changed(configuration)

    def _look(self) -> Configuration | None:
        found = self._files.differences()
        if found != self._pending:
            self._pending = found
            return None
        self._pending = {}
        return self._files.apply(found) if found or has_expired(self._files.valid_until, datetime.now(UTC)) else None


def _nobody(_configuration: Configuration) -> None:
    """Whom to tell while nobody watches."""
