from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from bridge.admin.access import Access
from bridge.admin.hosts import Hosts
from bridge.admin.reading import Reader
from bridge.admin.routes import Admin
from bridge.admin.views import Views
from bridge.front.attempts import Attempts
from bridge.launches.history import PURPOSE
from bridge.settings.model import Configuration
from bridge.store.engine import Store, now_ms
from bridge.store.migrate import migrate
from bridge.store.sealing import Seal
from tests.admin.filled import configuration, fill
from tests.support.deployment import SECRET

TOKEN = "the-internal-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAGE = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}
ORIGIN = "http://127.0.0.1:8081"


@dataclass
class Inside:
    """The admin page, and whoever asks for it. `configuration` may be changed."""

    store: Store
    configuration: Configuration
    now: int
    token: str = TOKEN
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        service = self.configuration.service
        views = Views(Reader(self.store), lambda: self.configuration, Seal([SECRET], PURPOSE), lambda: 2)
        access = Access(self.token, [SECRET], Attempts(self.token, pause=0.1))
        admin = Admin(access, Hosts(service.internal_hosts, service.internal_listen.host), views)
        self.app = Starlette(routes=[*admin.routes])

    def browser(self, origin: str = ORIGIN, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url=origin, headers={**PAGE, **headers})

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """As somebody with the token."""
        async with self.browser(**BEARER, **headers) as browser:
            return await browser.get(path)


State = tuple[Store, Configuration, int]


@contextlib.contextmanager
def _state(folder: Path) -> Iterator[State]:
    url, now = f"sqlite:///{folder}/bridge.db", now_ms()
    migrate(url)
    with contextlib.closing(Store(url)) as store:
        yield store, configuration(folder, now), now


@pytest.fixture(scope="module")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    with _state(tmp_path_factory.mktemp("empty")) as made:
        yield made


@pytest.fixture(scope="module")
def filled_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    with _state(tmp_path_factory.mktemp("filled")) as made:
        store, configured, now = made
        asyncio.run(store.write(lambda connection: fill(connection, configured, now)))
        yield made


@pytest.fixture
def empty(empty_state: State) -> Inside:
    """Of a state with nothing in it, and settings with nothing wrong in them. Its tests must not write."""
    store, configured, now = empty_state
    return Inside(store, replace(configured, broken={}, outdated={}), now)


@pytest.fixture
def inside(filled_state: State) -> Inside:
    """Of a state with some weeks in it. Its tests must not write."""
    return Inside(*filled_state)
