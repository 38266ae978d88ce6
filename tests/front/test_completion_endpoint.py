"""`POST /completions` over a real directory, outbox and Kombo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Route

from bridge.front.attempts import OF_ONE, Attempts
from bridge.front.completion_endpoint import MAX_BODY_BYTES, CompletionEndpoint
from bridge.front.cookies import Cookies
from bridge.front.rules import Rules
from bridge.identity.people import People
from bridge.outbox.outbox import Outbox
from bridge.settings.model import Configuration
from bridge.simulator import seed
from bridge.store import outbox as rows
from bridge.store.outbox import Entry
from tests.support.rooms import Rooms

TOKEN = "the-token-of-the-platform"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JANE = {"tenant": "acme", "user": seed.JANE.id, "course": "cybersecurity-101"}


@dataclass
class Inside:
    rooms: Rooms
    configuration: Configuration
    client: httpx.AsyncClient

    async def report(self, expect: int, **changes: Any) -> dict[str, Any]:
        body = {name: value for name, value in (JANE | changes).items() if value is not None}
        answer = await self.client.post("/completions", json=body, headers=BEARER)
        assert answer.status_code == expect, answer.text
        found: dict[str, Any] = answer.json()
        if expect != 202:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["bridge-error"] == found["code"]
        return found

    async def entries(self) -> list[Entry]:
        return await self.rooms.store.read(lambda connection: rows.listed(connection, 0))


@pytest_asyncio.fixture
async def inside(rooms: Rooms) -> AsyncIterator[Inside]:
    configuration = rooms.deployment.load()
    await asyncio.gather(*(rooms.sync(configuration.tenants[slug]) for slug in ("acme", "globex")))
    current, attempts = Rules(configuration, Cookies(secure=False)), Attempts(TOKEN, pause=0.1)
    endpoint = CompletionEndpoint(
        People(rooms.store, rooms.live), Outbox(rooms.store), lambda: current, attempts.authorize
    )
    app = Starlette(routes=[Route("/completions", endpoint.answer, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inside") as client:
        yield Inside(rooms, configuration, client)


async def test_by_kombo_id_or_remote_id_and_however_often_it_is_one_entry(inside: Inside) -> None:
    first = await inside.report(202, completed_at="2026-04-15T14:01:29Z", score=85)
    again = await inside.report(202, completed_at="2026-04-15T14:01:29Z", score=85)
    other = await inside.report(202, user=None, remote_id=seed.JANE.remote_id)
    [entry] = await inside.entries()
    assert first == again == other == {"id": entry.id}
    assert (entry.source, entry.user_id, entry.course, entry.score) == ("api", seed.JANE.id, "cybersecurity-101", 85)
    assert entry.completed_at == 1776261689_000


async def test_the_gate_is_not_asked(inside: Inside) -> None:
    """The platform's word is evidence; who is not enrolled will be."""
    await inside.report(202, user=seed.HUGO.id)


async def test_somebody_who_has_left(inside: Inside) -> None:
    await inside.report(202, user=seed.MARTIN.id)
    await inside.report(202, user=None, remote_id=seed.MARTIN.remote_id)
    assert len(await inside.entries()) == 1


WITHOUT_TOKEN: list[Any] = [
    {},
    {"Authorization": TOKEN},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Bearer {TOKEN.upper()}"},
    {"Authorization": f"Bearer {TOKEN}, Bearer {TOKEN}"},
    {"Authorization": f"Bearer\t{TOKEN}"},
    {"Authorization": "Bearer t\xf6ken".encode("latin-1")},
    [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
    {"X-Authorization": f"Bearer {TOKEN}"},
    {"Cookie": f"token={TOKEN}"},
]


async def test_without_the_token_nothing_is_read(inside: Inside) -> None:
    for headers in WITHOUT_TOKEN:
        answer = await inside.client.post("/completions", content=b"not read", headers=headers)
        assert answer.status_code == 401, headers
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "internal_token" in answer.json()["detail"]
        assert TOKEN not in answer.text
    assert await inside.entries() == []


async def test_guessing_at_the_token_is_slow(inside: Inside) -> None:
    async def guess(number: int) -> int:
        answer = await inside.client.post("/completions", headers={"Authorization": f"Bearer guess-{number}"})
        assert answer.status_code != 429 or int(answer.headers["retry-after"])
        return answer.status_code

    statuses = await asyncio.gather(*map(guess, range(20)))
    assert sorted(statuses) == [401] * OF_ONE + [429] * (20 - OF_ONE)
    await inside.report(202)


async def test_a_program_with_the_former_token_keeps_nobody_else_out(inside: Inside) -> None:
    former = {"Authorization": "Bearer the-former-token"}
    stale = [asyncio.ensure_future(inside.client.post("/completions", headers=former)) for _ in range(20)]
    await asyncio.sleep(0)
    await inside.report(202)
    assert {(await answer).status_code for answer in stale} == {401}


async def test_a_scheme_has_no_case(inside: Inside) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert (await inside.client.post("/completions", json=JANE, headers=headers)).status_code == 202


async def test_what_cannot_be_read(inside: Inside) -> None:
    problem = await inside.report(400, score=101)
    assert problem["code"] == "request_malformed"
    assert problem["detail"] == "`score` must be a whole number from 0 to 100"
    assert problem["reference"].count("-") == 2
    large = b'{"tenant": "' + b"a" * MAX_BODY_BYTES + b'"}'
    answer = await inside.client.post("/completions", content=large, headers=BEARER)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_malformed")
    assert await inside.entries() == []


NOT_THERE: list[tuple[dict[str, Any], str]] = [
    ({"tenant": "nobody"}, "tenant_unknown"),
    ({"tenant": "Acme"}, "tenant_unknown"),
    ({"user": "no-such-id"}, "user_unmatched"),
    ({"user": seed.JANE.remote_id}, "user_unmatched"),
    ({"user": seed.OLGA.id}, "user_unmatched"),
    ({"user": seed.RITA.id}, "user_unmatched"),
    ({"user": None, "remote_id": "no-such-id"}, "user_unmatched"),
    ({"user": None, "remote_id": seed.JANE.remote_id.upper()}, "user_unmatched"),
    ({"user": None, "remote_id": f"{seed.JANE.remote_id},{seed.HUGO.remote_id}"}, "user_unmatched"),
    ({"user": None, "remote_id": f"remote:{seed.JANE.remote_id}"}, "user_unmatched"),
    ({"user": None, "remote_id": seed.FRANK.remote_id, "tenant": "globex"}, "user_unmatched"),
    ({"course": "no-such-course"}, "course_unknown"),
    ({"course": "Cybersecurity-101"}, "course_unknown"),
    ({"course": "../cybersecurity-101"}, "course_unknown"),
]


async def test_what_is_not_there(inside: Inside) -> None:
    for changes, code in NOT_THERE:
        problem = await inside.report(404, **changes)
        assert (problem["code"], problem["status"]) == (code, 404), changes
    assert await inside.entries() == []


async def test_another_tenants_person_is_nobody(inside: Inside) -> None:
    await inside.report(404, tenant="globex")
    await inside.report(202, tenant="globex", user=None, remote_id=seed.COMMA.remote_id, course="code-of-conduct")


async def test_a_directory_that_has_not_been_read(inside: Inside) -> None:
    problem = await inside.report(503, tenant="initech", user=seed.PETER.id)
    assert problem["code"] == "user_unknown"
    assert "never read completely" in problem["detail"]
    await inside.rooms.control("down", value=True)
    problem = await inside.report(503, tenant="initech", user=None, remote_id=seed.PETER.remote_id)
    assert "cannot be asked" in problem["detail"]


async def test_somebody_whom_only_kombo_knows(inside: Inside) -> None:
    content = {"integration": seed.ACME, "remote_id": "just-hired", "first_name": "Just", "work_email": None}
    await inside.rooms.control("users", **content)
    await inside.report(202, user=None, remote_id="just-hired")


async def test_a_state_that_fails(inside: Inside) -> None:
    inside.rooms.store.engine.dispose()
    with inside.rooms.store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE outbox RENAME TO gone")
    answer = await inside.client.post("/completions", json=JANE, headers=BEARER)
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
    assert "state" in answer.json()["detail"]
    with inside.rooms.store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO outbox")
    await inside.report(202)
