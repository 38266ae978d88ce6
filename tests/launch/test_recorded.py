"""What the service says of its requests: lines in its log, and numbers that all workers share."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.simulator import seed
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="workers are found in /proc"),
]


async def until(check: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.1)


def workers(stage: Stage) -> set[int]:
    pid = stage.bridge.process.pid
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return {child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


async def numbers(stage: Stage) -> dict[str, float]:
    """By name and labels; each asked of a worker that the kernel picks anew."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{stage.internal}/metrics")).text
    return {
        " ".join([sample.name.removeprefix("kombo_bridge_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def counted(stage: Stage, name: str, number: float) -> None:
    """Wait until several askings in a row, whoever answers them, give this number and never a greater one."""
    deadline = time.monotonic() + 20
    alike = 0
    while alike < 8:
        found = (await numbers(stage))[name]
        assert found <= number
        alike = alike + 1 if found == number else 0
        assert time.monotonic() < deadline, f"{name} is {found}"


async def visit(stage: Stage, times: int) -> None:
    """So many requests for public pages, each on a connection of its own, so that all workers have some."""
    for _ in range(times):
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{stage.origin}/static/x?token=secret")).status_code == 200


async def test_workers_count_together(tmp_path: Path) -> None:
    (folder := tmp_path / "temporary").mkdir()
    routes = [{"path": "/static/**", "access": "public"}, {"path": "/**", "access": "learner"}]
    environment = {"TMPDIR": str(folder)}
    async with open_stage(tmp_path, "--workers", "2", env=environment, routes=routes) as stage:
        await until(lambda: len(workers(stage)) == 2)
        await visit(stage, 40)
        name = "requests_total 2xx public"
        await counted(stage, name, 40)
        killed = workers(stage).pop()
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in workers(stage) and len(workers(stage)) == 2)
        await until(lambda: [line["event"] for line in stage.logged()].count("Application startup complete.") >= 3)
        await counted(stage, name, 40)
        await visit(stage, 10)
        await counted(stage, name, 50)
        await counted(stage, "client_connections", 0)
        [kept] = folder.iterdir()
        assert kept.stat().st_mode & 0o777 == 0o700
    assert not list(folder.iterdir())
    assert not [line for line in stage.logged() if line["event"] == "request_ended"], "they were public"


async def test_a_learners_requests_are_logged(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my?secret=1")
        refused = await browser.get("/courses/nothing-of-ours?secret=1")
        assert refused.status_code == 404
        lines: list[dict[str, object]] = []

        def said() -> bool:
            lines[:] = [line for line in stage.logged() if line["event"] == "request_ended"]
            return len(lines) >= 4

        await until(said)
    asked, posted, opened, missed = lines
    assert (asked["whose"], asked["path"], asked["status"]) == ("bridge", "/my", 303)
    assert (posted["method"], posted["whose"], posted["status"]) == ("POST", "bridge", 303)
    assert (opened["whose"], opened["tenant"], opened["user"]) == ("learner", "acme", seed.JANE.id)
    assert (missed["whose"], missed["code"]) == ("bridge", "course_unknown")
    assert "secret" not in "".join(re.findall(r'.*"event":"request_ended".*', stage.bridge.text()))
