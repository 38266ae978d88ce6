"""Which of many sessions live: asked at once, and answered as if each had been looked up alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from sqlalchemy import Connection, event, insert, update

from bridge.digests import digest_of
from bridge.errors import Refusal, StateError
from bridge.session.sessions import Sessions, SignIn, session_name
from bridge.settings.model import Configuration
from bridge.store import integrations, tables
from bridge.store import sessions as rows
from bridge.store.engine import Store, now_ms
from tests.support.deployment import SECRET, Deployment
from tests.support.directories import HOUR

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "standing.yaml").read_text())
ACTIVE = {"status": "ACTIVE", "remote_id": "r", "changed_at": 1}


@dataclass
class Desk:
    """Sessions over a state that is filled by hand."""

    store: Store
    configuration: Configuration
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.store, [SECRET], lambda: self.configuration)

    async def see(self, id: str, tenant: str = "acme", **more: Any) -> None:
        integration = self.configuration.tenants[tenant].integration_id
        person = {**ACTIVE, "integration_id": integration, "id": id, "seen_at": now_ms(), **more}
        await self.store.write(lambda c: c.execute(insert(tables.users), person))

    async def open(self, person: str, tenant: str = "acme", /, **changes: Any) -> str:
        """A session's cookie; `changes` are columns of its row."""
        cookie = await self.sessions.open(SignIn(self.configuration.tenants[tenant], person, None, "name_id", 1, None))
        if changes:
            own = tables.sessions.c.digest == session_name(cookie)
            await self.store.write(lambda c: c.execute(update(tables.sessions).where(own).values(changes)))
        return cookie

    async def lets_in(self, cookie: str) -> bool:
        """Whether another process lets a request in by it."""
        entry = await Sessions(self.store, [SECRET], lambda: self.configuration).find(cookie)
        try:
            if entry is not None:
                entry.confirm()
        except Refusal:
            return False
        return entry is not None


@pytest_asyncio.fixture
async def desk(either_store: Store, tmp_path: Path) -> AsyncIterator[Desk]:
    deployment = Deployment(tmp_path)
    deployment.tenants["globex"] |= {"gate": "library", "unmatched": "pass"}
    desk = Desk(either_store, deployment.load())

    def work(connection: Connection) -> None:
        for slug, ago in (("acme", 1), ("initech", 1000)):
            integration = desk.configuration.tenants[slug].integration_id
            integrations.note(connection, integration, slug, good_at=now_ms() - ago * HOUR)

    await either_store.write(work)
    yield desk


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


async def test_many_stand_as_each_alone_would_be_let_in(desk: Desk) -> None:
    await desk.see("globex-only", "globex")
    cookies: dict[str, str] = {}
    for number, case in enumerate(CASES):
        tenant, id = case.get("tenant", "acme"), f"u{number}"
        await desk.see(id, tenant, **case.get("person", {}))
        cookies[case["name"]] = await desk.open(id, tenant, **case.get("session", {}))
    names = {case: session_name(cookie) for case, cookie in cookies.items()}
    standing = await desk.sessions.standing([*names.values(), digest_of("no session")])
    wanted = {case["name"] for case in CASES if case["stands"]}
    assert {case for case, name in names.items() if name in standing} == wanted
    assert {case for case, cookie in cookies.items() if await desk.lets_in(cookie)} == wanted
    assert len(standing) == len(wanted)


async def test_each_ends_when_a_request_would_find_it_ended(desk: Desk) -> None:
    await desk.see("jane")
    moment = now_ms()
    cookies = [
        await desk.open("jane"),
        await desk.open("jane", ends_at=moment + 60_000),
        await desk.open("jane", used_at=moment - 3600_000),
    ]
    standing = await desk.sessions.standing([session_name(cookie) for cookie in cookies])
    for cookie in cookies:
        entry = await desk.sessions.find(cookie)
        assert entry is not None
        assert standing[session_name(cookie)] == pytest.approx(entry.until, abs=0.1)
    assert len({round(until - time.monotonic(), -1) for until in standing.values()}) == 3


async def test_however_many_it_is_one_question(desk: Desk) -> None:
    cookies = []
    for number in range(30):
        tenant = ("acme", "globex", "vandelay")[number % 3]
        await desk.see(f"u{number}", tenant)
        cookies.append(await desk.open(f"u{number}", tenant))
    names = [session_name(cookie) for cookie in cookies]
    with statements(desk.store) as asked:
        assert len(await desk.sessions.standing(names + [digest_of(str(number)) for number in range(470)])) == 30
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1
    assert await desk.sessions.standing([]) == {}


async def test_what_this_process_has_just_ended_does_not_stand(desk: Desk) -> None:
    """Its row may still be there for whoever asked before."""
    await desk.see("jane")
    cookies = [await desk.open("jane") for _ in range(2)]
    entry = await desk.sessions.find(cookies[0])
    assert entry is not None
    await desk.sessions.end(cookies[0])
    await desk.store.write(lambda c: rows.add(c, entry.row))
    assert set(await desk.sessions.standing([session_name(each) for each in cookies])) == {session_name(cookies[1])}


async def test_a_reload_ends_them_at_once(desk: Desk) -> None:
    await desk.see("jane")
    cookie = await desk.open("jane")
    tenants = {slug: tenant for slug, tenant in desk.configuration.tenants.items() if slug != "acme"}
    desk.configuration = replace(desk.configuration, tenants=tenants)
    assert await desk.sessions.standing([session_name(cookie)]) == {}


async def test_a_state_that_cannot_be_asked_says_nothing_of_anybody(desk: Desk) -> None:
    await desk.see("jane")
    cookie = await desk.open("jane")
    await desk.store.write(lambda c: c.exec_driver_sql("ALTER TABLE sessions RENAME TO elsewhere"))
    with pytest.raises(StateError):
        await desk.sessions.standing([session_name(cookie)])
