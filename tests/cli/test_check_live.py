"""`kombo-bridge check --live`, as a user runs it, over a simulated Kombo."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bridge.simulator import seed
from bridge.store.engine import Store
from bridge.store.migrate import migrate
from tests.support.deployment import SECRET
from tests.support.rooms import Rooms
from tests.support.terminal import Said


async def check(rooms: Rooms, *arguments: str) -> Said:
    """With the files as they are now; nothing that it says has a key, a secret or a traceback in it."""
    command = [sys.executable, "-m", "bridge", "check", *arguments, "--config", str(rooms.deployment.path)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=rooms.deployment.folder
    )
    out, err = (part.decode() for part in await asyncio.wait_for(process.communicate(), 60))
    for secret in (seed.API_KEY, SECRET, "Traceback"):
        assert secret not in out + err
    return Said(process.returncode or 0, out, err)


async def test_a_deployment_where_all_is_good(rooms: Rooms) -> None:
    for tenant in rooms.deployment.load().tenants.values():
        await rooms.sync(tenant)
    done = await check(rooms, "--live")
    assert (done.code, done.err) == (0, "")
    heading, *rows, last = done.lines
    assert heading.split()[:3] == ["TENANT", "STATE", "KOMBO"]
    assert [row.split()[:4] for row in rows] == [
        [slug, "good", "ACTIVE", "8/8"] for slug in ("acme", "globex", "initech", "vandelay")
    ]
    assert last == "4 tenants; findings: 0 broken, 0 attention"


async def test_each_finding_is_a_line_and_one_that_is_broken_makes_the_exit_code_1(rooms: Rooms) -> None:
    deployment = rooms.deployment
    for tenant in deployment.load().tenants.values():
        await rooms.sync(tenant)
    deployment.tenants["globex"]["gate"] = "\x1b[2J"
    deployment.write()
    await rooms.control(f"integrations/{seed.ACME}", "PATCH", status="INVALID")
    done = await check(rooms, "--live")
    assert done.code == 1
    assert "\x1b" not in done.out
    *_, acme, globex, last = done.lines
    assert acme.startswith("acme: broken: Kombo says that the integration is INVALID. ")
    assert globex.startswith("globex: broken: Its file is not valid: nobody can sign in. ")
    assert "tenants/globex.yaml:1: `gate` is " in globex
    assert last == "4 tenants; findings: 2 broken, 0 attention"

    done = await check(rooms, "--live", "--tenant", "initech", "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert [each["tenant"] for each in told["tenants"]] == ["initech"]
    done = await check(rooms, "--live", "--tenant", "globex", "--json")
    assert done.code == 1
    [globex_told] = json.loads(done.out)["tenants"]
    assert globex_told["findings"][0]["line"] == 1
    assert globex_told["findings"][0]["file"].endswith("tenants/globex.yaml")


async def test_before_anything_has_run_there_is_no_state_and_none_is_made(rooms: Rooms, tmp_path: Path) -> None:
    rooms.deployment.service["state"] = "sqlite:///another.db"
    rooms.deployment.write()
    done = await check(rooms, "--live", "--tenant", "acme")
    assert done.code == 0
    assert "acme: attention: " in done.out
    assert done.lines[1].split()[-2:] == ["never", "0"]
    assert not (tmp_path / "another.db").exists()


async def test_a_state_that_cannot_be_read_is_a_finding_and_kombo_is_asked_all_the_same(
    rooms: Rooms, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/older.db"
    migrate(url)
    store = Store(url)
    await store.write(lambda connection: connection.exec_driver_sql("DROP TABLE launches"))
    store.close()
    rooms.deployment.service["state"] = "sqlite:///older.db"
    rooms.deployment.write()
    done = await check(rooms, "--live", "--tenant", "acme")
    assert done.code == 1
    assert "broken: The state cannot be looked into: " in done.out
    assert done.lines[1].split()[:3] == ["acme", "good", "ACTIVE"]


async def test_wrong_usage(rooms: Rooms) -> None:
    rooms.deployment.write()
    assert (await check(rooms, "--tenant", "acme")).code == 2
    assert (await check(rooms, "--json")).code == 2
    done = await check(rooms, "--live", "--tenant", "nobody")
    assert (done.code, done.err) == (1, "kombo-bridge: there is no tenant nobody: no file has that name\n")
