"""Completions from end to end: a real bridge, a platform on a socket, and what is on disk when the answer is there."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.simulator import seed
from bridge.simulator.serving import running
from tests.support.deployment import Deployment
from tests.support.stage import Browser, Stage
from tests.support.stage import stage as open_stage

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("completions.yaml").read_text())
TOKEN = "the-token-of-the-platform"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OWN = {"Sec-Fetch-Site": "same-origin"}
CYBER = "cybersecurity-101"
FINISH = f"/courses/{CYBER}/finish"
SETTINGS: dict[str, Any] = {
    "completions": [
        {"method": "POST", "path": "/courses/{course}/finish"},
        {"method": "POST", "path": "/api/done/{course}"},
        {"method": "POST", "path": "/static/done/{course}"},
        {"method": "GET", "path": "/certificate/{course}", "status": 303},
    ],
    "completion_header": True,
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def obey(request: Request) -> Response:
    """Answers as the query says: `status`, and any number of `say=Name: value`."""
    query = request.query_params
    answer = Response(b"the platform's answer", int(query.get("status", "200")))
    if answer.status_code == 204:
        answer = Response(None, 204)
    for line in query.getlist("say"):
        name, _, value = line.partition(":")
        answer.raw_headers.append((name.encode(), value.strip().encode()))
    return answer


PLATFORM = Starlette(routes=[Route("/{rest:path}", obey, methods=["GET", "POST", "PUT"])])


def prepare(deployment: Deployment) -> None:
    deployment.tenants["globex"] |= {"gate": "library", "unmatched": "pass", "on_launch": "enroll"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    async with running(PLATFORM) as upstream:
        settings = SETTINGS | {"upstream": upstream, "internal_token": TOKEN}
        async with open_stage(folder, prepare=prepare, **settings) as found:
            yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jane(stage: Stage) -> AsyncIterator[Browser]:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        yield browser


@contextmanager
def state(stage: Stage) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(stage.deployment.folder / "bridge.db", isolation_level=None)) as connection:
        yield connection


def entries(stage: Stage, kind: str = "complete") -> list[tuple[str, str, str, int | None]]:
    """What the outbox holds, as another process finds it on disk: learner, course, source, score."""
    with state(stage) as connection:
        query = "SELECT user_id, course, source, score FROM outbox WHERE kind = ? ORDER BY number"
        return list(connection.execute(query, (kind,)))


@pytest.fixture
def empty(stage: Stage) -> None:
    """An outbox in which nothing has happened yet."""
    with state(stage) as connection:
        connection.execute("DELETE FROM outbox")


async def send(browser: Browser, case: dict[str, Any]) -> httpx.Response:
    origin = browser.stage.origin
    fields = {name: origin if value == "OURS" else value for name, value in case.get("fields", {}).items()}
    path, _, query = case["path"].partition("?")
    url = httpx.URL(origin, raw_path=(path + ("?" + query.replace(" ", "%20") if query else "")).encode())
    answer = await browser.client.request(case.get("method", "POST"), url, headers={"Accept": "*/*", **fields})
    assert answer.status_code == case.get("status", 200), answer.text
    assert not [name for name in answer.headers if "kombo" in name.lower()]
    return answer


@pytest.mark.parametrize("case", CASES["counted"], ids=lambda case: case["name"])
async def test_counts(stage: Stage, jane: Browser, empty: None, case: dict[str, Any]) -> None:
    await send(jane, case)
    [(user, course, source, score)] = entries(stage)
    assert (user, course, score) == (seed.JANE.id, CYBER, case.get("score"))
    assert source in ("traffic", "header")


@pytest.mark.parametrize("case", CASES["not_counted"], ids=lambda case: case["name"])
async def test_does_not_count(stage: Stage, jane: Browser, empty: None, case: dict[str, Any]) -> None:
    await send(jane, case)
    assert entries(stage) == []


async def test_however_often_it_is_one(stage: Stage, jane: Browser, empty: None) -> None:
    await asyncio.gather(*(send(jane, {"path": FINISH, "fields": OWN}) for _ in range(20)))
    assert len(entries(stage)) == 1


async def test_without_a_session(stage: Stage, empty: None) -> None:
    async with stage.browser() as browser:
        for accept in ("text/html", "*/*"):
            answer = await browser.client.post(FINISH, headers={**OWN, "Accept": accept})
            assert (answer.status_code, answer.headers["bridge-error"]) == (401, "login_required")
        assert (await browser.client.post(f"/static/done/{CYBER}", headers=OWN)).status_code == 200
    assert entries(stage) == []


async def test_nobody_whom_kombo_knows(stage: Stage, empty: None) -> None:
    async with stage.browser() as browser:
        stranger = {"name_id": "somebody", "attributes": {"lms_user_id": ["no-such-id"]}}
        await browser.sign_in("globex", seed.RITA, "/my", **stranger)
        await send(browser, {"path": FINISH, "fields": OWN})
        await send(browser, {"method": "GET", "path": f"/my?say=X-Kombo-Complete: {CYBER}"})
    assert entries(stage) == entries(stage, "enroll") == []


async def test_a_state_that_fails(stage: Stage, jane: Browser, empty: None) -> None:
    """The client learns that nothing is certain, and nothing of the platform's answer."""
    with state(stage) as connection:
        connection.execute("ALTER TABLE outbox RENAME TO gone")
        try:
            for case in ({"path": FINISH, "fields": OWN}, {"path": f"/my?say=X-Kombo-Complete: {CYBER}"}):
                answer = await send(jane, case | {"status": 503})
                assert answer.json()["code"] == "enrollment_unknown"
                assert "the platform's answer" not in answer.text
            page = await jane.client.post(FINISH, headers=OWN | {"Content-Type": "application/x-www-form-urlencoded"})
            assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
        finally:
            connection.execute("ALTER TABLE gone RENAME TO outbox")
    assert entries(stage) == []
    await send(jane, {"path": FINISH, "fields": OWN})
    assert len(entries(stage)) == 1


async def test_on_launch_enroll(stage: Stage, empty: None) -> None:
    async with stage.browser() as browser:
        await browser.launch("globex", seed.SLASH, f"/courses/{CYBER}")
        await browser.get(f"/courses/{CYBER}/chapter-2")
        for _ in range(100):
            if entries(stage, "enroll"):
                break
            await asyncio.sleep(0.05)
        await browser.get("/courses/code-of-conduct")
        await browser.get("/courses/no-such-course")
    assert entries(stage, "enroll") == [(seed.SLASH.id, CYBER, "launch", None)]


async def test_the_platform_reports_itself(stage: Stage, empty: None) -> None:
    body = {"tenant": "acme", "remote_id": seed.JANE.remote_id, "course": CYBER, "score": 85}
    async with httpx.AsyncClient(base_url=stage.internal) as client:
        assert (await client.post("/completions", json=body)).status_code == 401
        for path in ("/health", "/ready", "/metrics", "/jwks.json"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/completions", headers=BEARER)).status_code == 405
        ids = {(await client.post("/completions", json=body, headers=BEARER)).json()["id"] for _ in range(3)}
        assert len(ids) == 1
    assert entries(stage) == [(seed.JANE.id, CYBER, "api", 85)]
    async with stage.browser() as browser:
        assert (await browser.client.post("/completions", json=body, headers=BEARER)).status_code == 401


async def test_killed_behind_the_answer(tmp_path: Path) -> None:
    """What a client was told is on disk, and without a token there is no `/completions`."""
    async with running(PLATFORM) as upstream, open_stage(tmp_path, **SETTINGS, upstream=upstream) as stage:
        async with stage.browser() as browser, httpx.AsyncClient(base_url=stage.internal) as client:
            assert (await client.post("/completions", json={}, headers=BEARER)).status_code == 404
            await browser.launch("acme", seed.JANE, "/my")
            await send(browser, {"path": FINISH, "fields": OWN})
            stage.bridge.process.kill()
            stage.bridge.process.wait()
        assert entries(stage) == [(seed.JANE.id, CYBER, "traffic", None)]
