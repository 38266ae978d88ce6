"""Completions that are reported while the process is killed again and again: each is at Kombo once, none is lost."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from bridge.directory.sync import Sync
from bridge.kombo.client import KomboClient
from bridge.kombo.transport import http_client
from bridge.simulator import seed
from bridge.store.engine import Store
from tests.outbox.conftest import candidates
from tests.support.deployment import Deployment
from tests.support.processes import kombo_bridge, started

pytestmark = pytest.mark.long

ENROLLED, FRESH = 10, 50
SECONDS = 90


@pytest.mark.parametrize(
    ("either_url", "lag"), [("sqlite", False), ("sqlite", True), ("postgresql", False)], indirect=["either_url"]
)
async def test_killed_again_and_again(tmp_path: Path, either_url: str, lag: bool) -> None:
    world = seed.seeded().integrations[seed.ACME]
    wanted = [*candidates(world, enrolled=True)[:ENROLLED], *candidates(world, enrolled=False)[:FRESH]]
    reports = [(person.id, course) for person, course in wanted]
    (tmp_path / "work.json").write_text(json.dumps(reports))
    with started(kombo_bridge("simulate", "kombo", "--json"), tmp_path / "kombo.log") as kombo:
        kombo.wait_for_text("base_url")
        base_url = json.loads(next(line for line in kombo.text().splitlines() if "base_url" in line))["base_url"]
        control = f"{base_url.removesuffix('/v1')}/_control"
        deployment = Deployment(tmp_path, kombo_url=base_url)
        tenant = deployment.tenant("acme")
        store = Store(either_url)
        async with http_client() as http:
            client = KomboClient(http, tenant.kombo, tenant.integration_id)
            await Sync(store, client, seed.ACME).run()
            await http.patch(f"{control}/world", json={"action_delay": 0.05})
            await http.patch(f"{control}/integrations/{seed.ACME}", json={"lag": lag})
            command = [sys.executable, "-m", "tests.outbox.killed", deployment.path, either_url, tmp_path / "work.json"]
            with started(command, tmp_path / "killed.log", cwd=Path(__file__).parents[2]) as process:
                await asyncio.wait_for(asyncio.to_thread(process.process.wait), SECONDS)
                assert process.process.returncode == 0, process.text()
            completed = Counter(one["progression"] for one in (await http.get(f"{control}/completions")).json())
            await http.post(f"{control}/sync", json={})
            found: Counter[tuple[str, str]] = Counter()
            for user_id, course in reports:
                rows = await client.progressions_of(user_id, seed.course_id(seed.ACME, course), deadline=10)
                found[user_id, course] = len(rows)
                assert {row.status for row in rows} == {"COMPLETED"}, (user_id, course)
                assert {completed[row.id] >= 1 for row in rows} == {True}
        store.close()
        assert set(found.values()) == {1}
        if not lag:
            assert set(completed.values()) == {1}
        assert len(completed) == len(reports)
