"""Completions that a platform reports while the bridge is killed again and again: each happens once, none is lost."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.processes import Running, free_port, kombo_bridge, started
from tests.support.states import postgresql_state

REPORTS = 500
KILLS = 20
REPORTERS = 8
ACTION_SECONDS = 0.05
"""How long each write takes at the simulated Kombo, so that a kill is likely to meet some in flight."""
SETTLE_SECONDS = 240
TOKEN = "a-token-of-the-tests-long-enough-to-be-one"
OPEN = ("ENROLLED", "IN_PROGRESS")
Pair = tuple[str, str]


@dataclass
class Kombo:
    """The simulated Kombo, a process of its own."""

    base_url: str
    api_key: str
    client: httpx.AsyncClient

    async def rows(self, model: str) -> AsyncIterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            query = {"page_size": "250"} | ({"cursor": cursor} if cursor else {})
            headers = {"Authorization": f"Bearer {self.api_key}", "X-Integration-Id": seed.ACME}
            answer = await self.client.get(f"{self.base_url}/lms/{model}", params=query, headers=headers)
            data = answer.json()["data"]
            for row in data["results"]:
                yield row
            cursor = data["next"]
            if cursor is None:
                return

    async def control(self, path: str, method: str = "POST", **content: object) -> Any:
        answer = await self.client.request(method, f"{self.base_url.removesuffix('/v1')}/_control/{path}", json=content)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def completions(self) -> list[str]:
        """The progressions that were completed, as often as they were."""
        return [one["progression"] for one in await self.control("completions", "GET")]


@dataclass
class Bridge:
    """The bridge as a process that is killed and started anew; `token` opens its internal listener."""

    command: list[str]
    folder: Path
    internal: str
    port: int
    starts: int = 0
    log: list[Path] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _running: Running | None = None

    def start(self) -> None:
        self.starts += 1
        self.log.append(self.folder / f"bridge-{self.starts}.log")
        self._running = self._stack.enter_context(started(self.command, self.log[-1]))

    def wait(self) -> None:
        assert self._running
        self._running.wait_for_port(self.port)

    def kill(self) -> None:
        assert self._running
        os.killpg(self._running.process.pid, signal.SIGKILL)
        self._running.process.wait()

    def close(self) -> None:
        self._stack.close()


@contextmanager
def simulated(folder: Path) -> Iterator[dict[str, Any]]:
    log = folder / "kombo.log"
    size = ("--people", "300", "--progressions", "600")
    with started(kombo_bridge("simulate", "kombo", "--json", *size), log) as running:
        running.wait_for_text("base_url")
        yield json.loads(next(line for line in running.text().splitlines() if "base_url" in line))


@asynccontextmanager
async def deployed(folder: Path, state: str) -> AsyncIterator[tuple[Kombo, Bridge]]:
    async with AsyncExitStack() as stack:
        said = stack.enter_context(simulated(folder))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        kombo = Kombo(said["base_url"], said["api_key"], client)
        port, internal = free_port(), free_port()
        deployment = Deployment(folder, kombo.base_url, public_url=f"http://127.0.0.1:{port}")
        deployment.service = {
            "listen": f"127.0.0.1:{port}",
            "internal_listen": f"127.0.0.1:{internal}",
            "internal_token": TOKEN,
            "state": state,
        }
        command = kombo_bridge("serve", "--config", deployment.write())
        bridge = Bridge(command, folder, f"http://127.0.0.1:{internal}", internal)
        stack.callback(bridge.close)
        yield kombo, bridge


async def pairs(kombo: Kombo) -> list[Pair]:
    """Learners and courses, half of them enrolled and half not, no learner in the same course twice."""
    origin = {row["id"]: row["origin_id"] async for row in kombo.rows("courses") if row["origin_id"]}
    people = [row["id"] async for row in kombo.rows("users") if row["status"] in (None, "ACTIVE")]
    known: dict[Pair, set[str | None]] = {}
    async for row in kombo.rows("course-progressions"):
        course = row["course_revision"]["course"]
        if course and course["id"] in origin:
            known.setdefault((row["user_id"], origin[course["id"]]), set()).add(row["status"])
    enrolled = (pair for pair, statuses in known.items() if statuses <= set(OPEN) and pair[0] in people)
    fresh = ((user, course) for user in people for course in origin.values() if (user, course) not in known)
    half = REPORTS // 2
    chosen = [*islice(enrolled, half), *islice(fresh, half)]
    assert len(chosen) == REPORTS
    return chosen


async def report(bridge: Bridge, client: httpx.AsyncClient, pair: Pair) -> None:
    """As a platform would: the same report again until it is accepted."""
    body = {"tenant": "acme", "user": pair[0], "course": pair[1], "score": 80}
    while True:
        try:
            answer = await client.post(
                f"{bridge.internal}/completions", json=body, headers={"Authorization": f"Bearer {TOKEN}"}
            )
        except httpx.TransportError:
            await asyncio.sleep(0.05)
            continue
        if answer.status_code == 202:
            return
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.1)


async def report_all(bridge: Bridge, work: list[Pair], dice: random.Random) -> None:
    """Several at a time, spread over the kills; one in five is reported twice."""
    async with httpx.AsyncClient(timeout=10) as client:

        async def reporter(share: list[Pair]) -> None:
            for pair in share:
                for _ in range(1 + (dice.random() < 0.2)):
                    await report(bridge, client, pair)
                await asyncio.sleep(dice.uniform(0, 0.6))

        await asyncio.gather(*(reporter(work[number::REPORTERS]) for number in range(REPORTERS)))


async def kill_again_and_again(bridge: Bridge, dice: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.to_thread(bridge.wait)
        await asyncio.sleep(dice.uniform(0.1, 1.5))
        bridge.kill()
        bridge.start()


async def settled(kombo: Kombo) -> list[str]:
    """The completions, once there are as many as were reported and for a while no more."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while len(set(await kombo.completions())) < REPORTS:
            await asyncio.sleep(0.5)
    await asyncio.sleep(5)
    return await kombo.completions()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_each_completion_reaches_kombo_exactly_once(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    dice = random.Random(4)
    with ExitStack() as stack:
        state = "sqlite:///bridge.db"
        if database == "postgresql":
            server = request.getfixturevalue("postgresql_server")
            state = stack.enter_context(postgresql_state(server))
        async with deployed(tmp_path, state) as (kombo, bridge):
            await kombo.control("world", "PATCH", action_delay=ACTION_SECONDS)
            work = await pairs(kombo)
            dice.shuffle(work)
            _, before = await progressions(kombo)
            bridge.start()
            await asyncio.gather(report_all(bridge, work, dice), kill_again_and_again(bridge, dice))
            done = await settled(kombo)
            assert bridge.starts == KILLS + 1
            assert [id for id, times in Counter(done).items() if times > 1] == []
            completed, after = await progressions(kombo, set(done))
            assert completed == Counter(work)
            assert {pair: after[pair] for pair in work} == {pair: before[pair] or 1 for pair in work}


async def progressions(kombo: Kombo, done: Collection[str] = ()) -> tuple[Counter[Pair], Counter[Pair]]:
    """How many of those in `done` each learner has in each course, and how many in all."""
    origin = {row["id"]: row["origin_id"] async for row in kombo.rows("courses")}
    completed: Counter[Pair] = Counter()
    every: Counter[Pair] = Counter()
    async for row in kombo.rows("course-progressions"):
        if course := row["course_revision"]["course"]:
            pair = row["user_id"], origin[course["id"]]
            every[pair] += 1
            completed[pair] += row["id"] in done
            assert row["id"] not in done or row["status"] == "COMPLETED"
    return +completed, every
