"""Kombo's webhooks against the running bridge: whose signature counts for what, and what rubbish leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from sqlalchemy import create_engine, text

from bridge.kombo.webhooks import signature
from bridge.simulator import seed
from tests.support.contents import contents, settled
from tests.support.deployment import Deployment
from tests.support.sockets import exchange
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = yaml.safe_load((HERE / "webhooks.yaml").read_text())
VECTOR = (HERE.parent / "kombo" / "webhook-vector.json").read_bytes()
VECTOR_SIGNATURE = "gFhBqhiVCV4Csgt1KL8v0PY3DfIWmBkfJhM_EzwOkyc"
SECRETS = {"service": "test-webhook-secret", "globex": "secret-of-globex", "another": "secret-of-nobody"}
INTEGRATIONS = {"acme": seed.ACME, "globex": seed.GLOBEX, "nobody": "moodle:of-nobody-at-all"}
PATH = "/_bridge/webhooks/kombo"

numbers = itertools.count(1)


def with_secrets(deployment: Deployment) -> None:
    """Reads so seldom that what is read in a test was wanted by it."""
    kombo = {"webhook_secret": SECRETS["service"], "sync_every": "12h"}
    deployment.service["kombo"] = {"api_url": deployment.kombo_url, "api_key": seed.API_KEY, **kombo}
    deployment.tenants["globex"]["kombo"]["webhook_secret"] = SECRETS["globex"]
    deployment.tenants["initech"]["hosts"] = [f"localhost:{deployment.public_url.rpartition(':')[2]}"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("stage"), prepare=with_secrets) as found:
        yield found


def body_of(integration: str, type_: str = "data-changed", **data: object) -> bytes:
    """As Kombo writes them: indented by two blanks."""
    said = {"integration_id": integration, "changed_models": [{"name": "lms_users"}], **data}
    return json.dumps({"id": f"id-{next(numbers)}", "type": type_, "data": said}, indent=2).encode()


async def send(origin: str, body: bytes, secret: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=origin) as client:
        signed = {"X-Kombo-Signature": signature(secret, body).decode(), **headers}
        return await client.post(PATH, content=body, headers=signed)


def heard(stage: Stage) -> list[dict[str, Any]]:
    """What the log says of verified webhooks."""
    return [line for line in stage.logged() if line["event"] == "webhook_received"]


async def answer_to(stage: Stage, case: dict[str, Any]) -> httpx.Response:
    raw = case.get("raw")
    body = body_of(INTEGRATIONS[case["of"]]) if raw is None else raw.replace("…", "x" * case.get("times", 0)).encode()
    headers = {
        name: value.replace("{port}", stage.origin.rpartition(":")[2])
        for name, value in case.get("headers", {}).items()
    }
    made = signature(SECRETS[case["secret"]], body).decode() if "secret" in case else case.get("signature")
    if made is not None:
        headers["X-Kombo-Signature"] = case.get("prepend", "") + made + case.get("append", "")
    async with httpx.AsyncClient(base_url=stage.origin) as client:
        url = PATH + case.get("path", "") + case.get("query", "")
        content = body + b" " if case.get("changed") else body
        return await client.request(case.get("method", "POST"), url, content=content, headers=headers)


@pytest.mark.parametrize("case", [case for case in CASES if case["status"] == 200], ids=lambda case: case["case"])
async def test_who_is_heard_about_whom(stage: Stage, case: dict[str, Any]) -> None:
    forwarded = len(stage.received)
    answer = await answer_to(stage, case)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    assert "set-cookie" not in answer.headers
    assert len(stage.received) == forwarded, "nothing of it reaches the platform"
    line = heard(stage)[-1]
    assert (line["outcome"], line["integration"]) == (case["outcome"], INTEGRATIONS[case["of"]])


async def test_rubbish_is_refused_and_writes_nothing(stage: Stage) -> None:
    before, forwarded, count = await settled(stage.deployment.folder), len(stage.received), len(heard(stage))
    for case in CASES:
        if case["status"] != 200:
            answer = await answer_to(stage, case)
            assert answer.status_code == case["status"], (case["case"], answer.text)
            assert "set-cookie" not in answer.headers, case["case"]
            assert contents(stage.deployment.folder) == before, case["case"]
    assert (len(stage.received), len(heard(stage))) == (forwarded, count)


async def test_the_vector_is_heard(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.origin) as client:
        answer = await client.post(PATH, content=VECTOR, headers={"X-Kombo-Signature": VECTOR_SIGNATURE})
        assert (answer.status_code, answer.content) == (200, b"")
        refused = await client.post(PATH, content=VECTOR + b"\n", headers={"X-Kombo-Signature": VECTOR_SIGNATURE})
        assert refused.status_code == 401


async def test_two_signatures_are_none(stage: Stage) -> None:
    body = body_of(seed.ACME)
    line = b"X-Kombo-Signature: " + signature(SECRETS["service"], body) + b"\r\n"
    host = stage.origin.partition("://")[2].encode()
    head = b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n"
    for lines, status in ((line, b"200"), (line * 2, b"401")):
        request = head + lines + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        assert (await exchange(stage.origin, request)).startswith(b"HTTP/1.1 " + status)


async def test_a_body_in_pieces_is_one_body(stage: Stage) -> None:
    body = body_of(seed.ACME)

    async def pieces() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])

    async with httpx.AsyncClient(base_url=stage.origin) as client:
        signed = {"X-Kombo-Signature": signature(SECRETS["service"], body).decode()}
        assert (await client.post(PATH, content=pieces(), headers=signed)).status_code == 200


async def test_what_is_refused_says_little_and_repeats_nothing(stage: Stage) -> None:
    body = b'{"id": "a secret of the sender", "type": "data-changed"}'
    answer = await send(stage.origin, body, SECRETS["another"])
    assert answer.headers["content-type"].startswith("application/problem+json")
    refusal = stage.refusal()
    assert (refusal["status"], refusal["path"]) == (401, PATH)
    assert "secret of the sender" not in stage.bridge.text()
    assert not any(secret in stage.bridge.text() for secret in SECRETS.values())


async def test_the_same_one_again_is_answered_alike_and_does_nothing(stage: Stage) -> None:
    body = body_of(seed.ACME)
    for _ in range(3):
        assert (await send(stage.origin, body, SECRETS["service"])).status_code == 200
    assert [line["outcome"] for line in heard(stage)[-3:]] == ["taken", "seen before", "seen before"]


async def test_what_has_changed_is_read_at_once(stage: Stage) -> None:
    async with stage.browser() as browser:
        assert (await browser.sign_in("acme", seed.HUGO)).status_code == 303
    await settled(stage.deployment.folder)
    since = len(stage.world.requests)
    await send(stage.origin, body_of(seed.ACME), SECRETS["service"])
    await until_asked(stage, since, "/lms/users")
    asked = {(each.path, each.integration) for each in list(stage.world.requests)[since:]}
    assert ("/v1/lms/users", seed.ACME) in asked
    assert not any(integration not in (None, seed.ACME) for _, integration in asked)


async def until_asked(stage: Stage, since: int, path: str) -> None:
    await until(lambda: any(each.path.endswith(path) for each in list(stage.world.requests)[since:]))


async def test_what_cannot_be_written_is_not_acknowledged(tmp_path: Path) -> None:
    async with open_stage(tmp_path, prepare=with_secrets) as stage:
        body = body_of(seed.ACME)
        engine = create_engine(f"sqlite:///{stage.deployment.folder}/bridge.db")
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE used RENAME TO away"))
        assert (await send(stage.origin, body, SECRETS["service"])).status_code == 503
        assert (await send(stage.origin, body, SECRETS["another"])).status_code == 401
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO used"))
        engine.dispose()
        assert (await send(stage.origin, body, SECRETS["service"])).status_code == 200
        assert [line["outcome"] for line in heard(stage)] == ["taken"]


async def test_two_workers_share_what_was_heard(tmp_path: Path) -> None:
    async with open_stage(tmp_path, "--workers", "2", prepare=with_secrets) as stage:
        since = len(stage.world.requests)
        body = body_of(seed.ACME)
        answers = await asyncio.gather(*(send(stage.origin, body, SECRETS["service"]) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert sorted(line["outcome"] for line in heard(stage)) == ["seen before"] * 19 + ["taken"]
        await until_asked(stage, since, "/lms/users")


async def test_a_kombo_that_sends_them_itself(stage: Stage) -> None:
    """Each twice, and those of a sync backwards."""
    await settled(stage.deployment.folder)
    count, acme = len(heard(stage)), {"integration": seed.ACME}
    told = {"url": stage.origin + PATH, "secret": SECRETS["service"], "duplicates": 1, "reorder": True}
    await stage.control("webhooks", "PATCH", **told)
    await stage.control("users", **acme, remote_id="W-new", first_name="New", last_name="Comer")
    await stage.control("sync", **acme)
    await until(lambda: {"data-changed", "sync-finished"} <= {line["type"] for line in heard(stage)[count:]})
    for status in ("INVALID", "ACTIVE"):
        await stage.control(f"integrations/{seed.ACME}", "PATCH", status=status)
        await until(partial(in_state, stage, status))
    await until(lambda: len(heard(stage)) == count + len(stage.world.webhooks.sent))
    await stage.control("webhooks", "PATCH", on=False)
    assert [state["level"] for state in states(stage)[-2:]] == ["warning", "info"]
    assert {sent.status for sent in stage.world.webhooks.sent} == {200}
    outcomes = [line["outcome"] for line in heard(stage)[count:]]
    assert outcomes.count("taken") == outcomes.count("seen before") >= 4


def in_state(stage: Stage, status: str) -> bool:
    return bool(states(stage)[-1]["state"] == status)


def states(stage: Stage) -> list[dict[str, Any]]:
    """What the log says of Acme's integration."""
    return [
        line for line in stage.logged() if line["event"] == "integration_state_changed" and line["tenant"] == "acme"
    ]


async def until(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.1)


async def test_without_a_secret_there_is_no_such_url(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        before = await settled(stage.deployment.folder)
        for secret in SECRETS.values():
            answer = await send(stage.origin, body_of(seed.ACME), secret)
            assert (answer.status_code, answer.text) == (404, "Not Found")
        assert contents(stage.deployment.folder) == before
