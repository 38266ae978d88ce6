from __future__ import annotations

import asyncio
import gzip
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from bridge import errors
from bridge.kombo.transport import MAX_ANSWER

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = yaml.safe_load((HERE / "hostile.yaml").read_text())
ROWS: list[dict[str, Any]] = yaml.safe_load((HERE / "rows.yaml").read_text())
DEADLINE = 0.9
GOOD = {"id": "u1", "remote_id": "E1", "changed_at": "2025-09-01T06:00:00.000Z", "work_email": "secret@acme.com"}


async def all_users(client: Any) -> tuple[int, int]:
    pages = [page async for page in client.users()]
    return sum(map(len, pages)), sum(page.unreadable for page in pages)


def hold(expected: dict[str, Any], caught: pytest.ExceptionInfo[errors.KomboError]) -> None:
    assert isinstance(caught.value, getattr(errors, expected["raises"]))
    assert expected.get("says", "") in str(caught.value)
    assert str(caught.value).isprintable()
    if "code" in expected:
        assert isinstance(caught.value, errors.KomboRefused)
        assert caught.value.kombo_code == expected["code"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_a_look_up_against_hostile_answers(case: dict[str, Any], scripted: Any, connect: Any) -> None:
    expected = case["lookup"]
    async with scripted(*case["answers"]) as script:
        client = connect(script.url)
        started = time.monotonic()
        if "raises" in expected:
            with pytest.raises(errors.KomboError) as caught:
                await client.users_by_remote_id("E1", deadline=DEADLINE)
            hold(expected, caught)
            if "retry_after" in expected:
                assert caught.value.retry_after == expected["retry_after"]
        else:
            assert len(await client.users_by_remote_id("E1", deadline=DEADLINE)) == expected["rows"]
        assert time.monotonic() - started < DEADLINE + 0.5
    assert len(script.requests) == expected.get("tries", len(script.requests))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_a_list_against_hostile_answers(case: dict[str, Any], scripted: Any, connect: Any) -> None:
    expected = case["list"]
    async with scripted(*case["answers"]) as script:
        client = connect(script.url)
        if "raises" in expected:
            with pytest.raises(errors.KomboError) as caught:
                await all_users(client)
            hold(expected, caught)
        else:
            assert await all_users(client) == (expected["rows"], expected["unreadable"])


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case["name"])
async def test_one_odd_row(case: dict[str, Any], scripted: Any, connect: Any) -> None:
    row = {**GOOD, "id": "u2", **case.get("change", {})}
    if "stretch" in case:
        row[case["stretch"]] = "x" * row[case["stretch"]]
    row.pop(case.get("without", ""), None)
    results = f"[{json.dumps(GOOD)},{case.get('raw') or json.dumps(row)}]"
    body = f'{{"status":"success","data":{{"next":null,"results":{results}}}}}'
    async with scripted({"body": body}) as script:
        client = connect(script.url)
        with capture_logs() as logs:
            read = await all_users(client)
        if case["readable"]:
            assert read == (2, 0)
            assert len(await client.users_by_remote_id("E1", deadline=1)) == 2
            assert logs == []
        else:
            assert read == (1, 1)
            with pytest.raises(errors.KomboUnavailable, match="cannot be read"):
                await client.users_by_remote_id("E1", deadline=1)
            assert [(log["event"], log["count"]) for log in logs] == [("kombo_rows_skipped", 1)]
            assert "secret@acme.com" not in str(logs)


async def test_a_page_of_odd_rows_is_logged_once(scripted: Any, connect: Any) -> None:
    body = '{"status":"success","data":{"next":null,"results":[{},{},{},{}]}}'
    async with scripted({"body": body}) as script:
        with capture_logs() as logs:
            assert await all_users(connect(script.url)) == (0, 4)
    assert [log["count"] for log in logs] == [4]


async def test_an_ever_changing_cursor_ends(scripted: Any, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.kombo.client.MAX_PAGES", 30)
    pages = [{"body": f'{{"status":"success","data":{{"next":"c{n}","results":[]}}}}'} for n in range(40)]
    async with scripted(*pages) as script:
        with pytest.raises(errors.KomboUnavailable, match="30 pages"):
            await all_users(connect(script.url))
        assert len(script.requests) == 30


async def test_a_bomb_takes_no_more_memory_than_an_answer_may(scripted: Any, connect: Any) -> None:
    bomb = gzip.compress(bytes(96 * 1024 * 1024), compresslevel=1)
    async with scripted({"body": bomb, "headers": {"Content-Encoding": "gzip"}}) as script:
        tracemalloc.start()
        try:
            with pytest.raises(errors.KomboUnavailable, match="more than"):
                await connect(script.url).users_by_remote_id("E1", deadline=2)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 * MAX_ANSWER


async def test_nobody_listens(connect: Any, unused_tcp_port: int) -> None:
    with pytest.raises(errors.KomboUnavailable, match="no connection"):
        await connect(f"http://127.0.0.1:{unused_tcp_port}/v1").users_by_remote_id("E1", deadline=1)


async def test_a_deadline_leaves_the_pool_as_it_was(scripted: Any, connect: Any, http: Any) -> None:
    """More calls than the pool has connections, each cut by its deadline, and the next one still goes through."""
    ok = {"body": '{"status":"success","data":{"next":null,"results":[]}}'}
    async with scripted(*[{"body": "{", "drip": True}] * 120, ok) as script:
        client = connect(script.url)
        calls = [client.users_by_remote_id("E1", deadline=0.3) for _ in range(120)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, errors.KomboUnavailable)] == []
        script.answers = [ok]
        assert await client.users_by_remote_id("E1", deadline=1) == []
