"""The settings with metadata by URL as the state has it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.errors import StateError
from bridge.settings.idp import Documents, Known, nothing_fetched
from bridge.settings.load import load, read_service
from bridge.settings.model import Configuration
from bridge.store import idps
from bridge.store.engine import Store, exists
from bridge.store.idps import Key


class KeptDocuments:
    """The documents in an open state. `since` is how new the newest was before any was looked up."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.since = store.read_here(idps.latest)

    def __call__(self, slug: str, url: str) -> Known | None:
        """See `bridge.settings.idp.Documents`; raises `StateError`."""
        found = self._store.read_here(lambda connection: idps.find(connection, Key(slug, url)))
        return found and Known(found[1], found[0].failed)


def load_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """As `bridge.settings.load.load`, for a command. A state that is not there is not made."""
    with _documents(read_service(path, environ).state) as documents:
        return load(path, environ, documents)


@contextlib.contextmanager
def _documents(state: str) -> Iterator[Documents]:
    if not exists(state):
        yield nothing_fetched
        return
    with contextlib.closing(Store(state)) as store:
        try:
            kept = KeptDocuments(store)
        except StateError:  # of an older version, or out of reach: nothing is known of it, and that is said of each URL
            yield nothing_fetched
        else:
            yield kept
