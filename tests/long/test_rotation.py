"""The header-signing key is rotated while requests come without a pause, and the platform refuses none of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bridge.keys.rollover import AT_ONCE_MS, READY_MS, SPENT_MS
from bridge.session.sessions import CACHE_SECONDS
from bridge.simulator import seed
from bridge.simulator.serving import running
from tests.support.clock import Clock
from tests.support.processes import kombo_bridge
from tests.support.stage import PAGE, Stage, stage
from tests.support.verifiers import LANGUAGES, verifying

COURSE = "/courses/cybersecurity-101/start"
AUDIENCE, LEEWAY = "content-platform", 30
STEP = timedelta(seconds=45)
"""With what a worker keeps signed for a few seconds, well below an assertion's lifetime and the leeway."""
LEARNERS, PAUSE_SECONDS, PATIENCE_SECONDS = 4, 0.05, 60

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

Judge = Callable[[str], Awaitable[str]]
"""The key id of an assertion that it accepts; raises for any other."""


@dataclass
class Platform:
    """Verifies each request."""

    judge: Judge | None = None
    signed_by: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        values = request.headers.getlist("x-kombo-assertion")
        try:
            if self.judge is None or len(values) != 1:
                raise ValueError(f"{len(values)} assertions")
            self.signed_by[await self.judge(values[0])] += 1
        except Exception as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return PlainTextResponse("who are you?", 401)
        return PlainTextResponse("welcome")


@dataclass
class SlowestReader:
    """Keeps the JWKS for as long as it may, and never asks again for a key that it does not know."""

    url: str
    issuer: str
    clock: Callable[[], datetime]
    until: datetime = LONG_AGO
    keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    asked: int = 0

    async def __call__(self, token: str) -> str:
        if self.clock() >= self.until:
            await self._read()
        kid = str(jwt.get_unverified_header(token)["kid"])
        unhurried = {"verify_exp": False, "verify_iat": False}
        claims = jwt.decode(token, self.keys[kid], ["ES256"], audience=AUDIENCE, issuer=self.issuer, options=unhurried)
        now = self.clock().timestamp()
        if not claims["iat"] - LEEWAY <= now <= claims["exp"] + LEEWAY:
            raise ValueError(f"signed {now - claims['iat']:.0f} s ago")
        return kid

    async def _read(self) -> None:
        moment = self.clock()
        async with httpx.AsyncClient() as client:
            answer = await client.get(self.url)
        seconds = int(answer.headers["cache-control"].rpartition("max-age=")[2])
        self.until = moment + timedelta(seconds=seconds)
        self.keys = {key["kid"]: jwt.PyJWK(key) for key in answer.json()["keys"]}
        self.asked += 1


@contextlib.asynccontextmanager
async def launched(folder: Path, clock: Clock | None = None) -> AsyncIterator[tuple[Stage, Platform, dict[str, str]]]:
    """A bridge of two workers before a verifying platform, and the cookies of a learner who is signed in there."""
    verifying_platform = Platform()
    routes = [Route("/{rest:path}", verifying_platform.answer)]
    environment = clock.env if clock else {}
    async with (
        running(Starlette(routes=routes)) as upstream,
        stage(folder, "--workers", "2", upstream=upstream, env=environment) as found,
        found.browser() as browser,
    ):
        now = clock.now() if clock else datetime.now(UTC)
        answer = await browser.sign_in("acme", seed.JANE, COURSE, now=now)
        assert answer.status_code == 303, answer.text
        yield found, verifying_platform, dict(browser.client.cookies)


@contextlib.asynccontextmanager
async def requests_without_a_pause(found: Stage, cookies: Mapping[str, str]) -> AsyncIterator[Counter[int]]:
    """Each on a connection of its own, so that the kernel spreads them over the workers; their statuses."""
    statuses: Counter[int] = Counter()

    anew = httpx.Limits(max_keepalive_connections=0)
    client = httpx.AsyncClient(cookies=dict(cookies), headers=PAGE, timeout=PATIENCE_SECONDS, limits=anew)

    async def learner() -> None:
        while True:
            statuses[(await client.get(found.origin + COURSE)).status_code] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    learners = [asyncio.create_task(learner()) for _ in range(LEARNERS)]
    try:
        yield statuses
        assert not any(task.done() for task in learners), "a request had no answer"
    finally:
        for task in learners:
            task.cancel()
        await asyncio.gather(*learners, return_exceptions=True)
        await client.aclose()


async def keys(found: Stage, *arguments: str, clock: Clock | None = None) -> str:
    command = [*kombo_bridge("keys", *arguments, "--config", str(found.deployment.path))]
    if clock:
        command = ["env", *(f"{name}={value}" for name, value in clock.env.items()), *command]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def ids(found: Stage, clock: Clock | None = None) -> dict[str, str]:
    """Header-signing keys and what they do."""
    listed: list[dict[str, Any]] = json.loads(await keys(found, "list", "--json", clock=clock))
    return {key["id"]: key["state"] for key in listed if key["for"] == "headers"}


async def published(found: Stage, wanted: int) -> None:
    """Until every worker shows so many keys: the kernel spreads fresh connections."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        agreed = 0
        while agreed < 20:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"{found.origin}/_bridge/jwks.json")
            agreed = agreed + 1 if len(answer.json()["keys"]) == wanted else 0
            await asyncio.sleep(0.05)


async def passes(clock: Clock, milliseconds: int) -> None:
    """Time goes by in steps, in each of which the workers sign anew what they keep."""
    until = clock.now() + timedelta(milliseconds=milliseconds)
    while clock.now() < until:
        clock.move(STEP)
        await asyncio.sleep(CACHE_SECONDS + 1)


async def test_published_waited_for_promoted_retired(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    async with launched(tmp_path, clock) as (found, platform, cookies):
        platform.judge = reader = SlowestReader(f"{found.internal}/jwks.json", found.origin, clock.now)
        [old] = await ids(found, clock)
        async with requests_without_a_pause(found, cookies) as statuses:
            await asyncio.sleep(1)
            await keys(found, "rotate", "headers", clock=clock)
            [new] = (await ids(found, clock)).keys() - {old}
            await published(found, 2)
            assert set(platform.signed_by) == {old}
            await passes(clock, READY_MS)
            assert set(platform.signed_by) == {old, new}
            await passes(clock, SPENT_MS)
            before = platform.signed_by[old]
            await keys(found, "retire", old, clock=clock)
            await published(found, 1)
            await passes(clock, 1)
            assert platform.signed_by[old] == before, "nothing is signed by it any more"
            assert await ids(found, clock) == {new: "signs"}
        assert (platform.refused, set(statuses)) == ([], {200})
        assert reader.asked >= 2


async def test_a_held_key_is_promoted_by_hand(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    async with launched(tmp_path, clock) as (found, platform, cookies):
        platform.judge = SlowestReader(f"{found.internal}/jwks.json", found.origin, clock.now)
        async with requests_without_a_pause(found, cookies) as statuses:
            await asyncio.sleep(1)
            await keys(found, "rotate", "headers", "--hold", clock=clock)
            await published(found, 2)
            await passes(clock, READY_MS)
            [old] = platform.signed_by
            [new] = (await ids(found, clock)).keys() - {old}
            await keys(found, "promote", new, clock=clock)
            await asyncio.sleep(CACHE_SECONDS + 1)  # in which every worker hears of it
            await passes(clock, AT_ONCE_MS)
            assert set(platform.signed_by) == {old, new}
        assert (platform.refused, set(statuses)) == ([], {200})


async def test_a_stolen_key_is_replaced_in_seconds(tmp_path: Path) -> None:
    """By the clock, and with the documented verification, which asks for a key that it does not know."""
    async with launched(tmp_path) as (found, platform, cookies):
        (folder := tmp_path / "python").mkdir()
        with verifying(LANGUAGES[0], folder, f"{found.internal}/jwks.json", found.origin) as verifier:
            turn = asyncio.Lock()

            async def judge(token: str) -> str:
                async with turn:
                    judged = await asyncio.to_thread(verifier.judge, [("X-Kombo-Assertion", token)])
                if "refused" in judged:
                    raise ValueError(judged["refused"])
                return str(jwt.get_unverified_header(token)["kid"])

            platform.judge = judge
            [stolen] = await ids(found)
            async with requests_without_a_pause(found, cookies) as statuses:
                await asyncio.sleep(1)
                await keys(found, "rotate", "headers", "--now")
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len(platform.signed_by) < 2:
                        await asyncio.sleep(0.1)
                await asyncio.sleep(CACHE_SECONDS + 1)
                await keys(found, "retire", stolen, "--now")
                await published(found, 1)
                before = platform.signed_by[stolen]
                await asyncio.sleep(CACHE_SECONDS + 1)
                assert platform.signed_by[stolen] == before
            assert (platform.refused, set(statuses)) == ([], {200})
