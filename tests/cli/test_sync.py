"""`kombo-bridge sync`, over a simulated Kombo, while a service may run beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.directory.turns import lease_of
from bridge.kombo.client import KomboClient
from bridge.kombo.pauses import Patience
from bridge.simulator import seed
from bridge.store import leases, lookups
from bridge.store.engine import Store
from bridge.store.migrate import migrate
from tests.support.rooms import Rooms, rooms
from tests.support.terminal import Said, Terminal


@dataclass
class Shell:
    """The command line over one deployment; the simulator answers in the loop of the test meanwhile."""

    rooms: Rooms
    terminal: Terminal

    async def __call__(self, *arguments: str) -> Said:
        return await asyncio.to_thread(self.terminal.run, self.rooms.deployment.write(), "sync", *arguments)

    async def json(self, *arguments: str) -> tuple[int, Any]:
        said = await self(*arguments, "--json")
        return said.code, json.loads(said.out)

    @property
    def users(self) -> dict[str, Any]:
        return self.rooms.world.integrations[seed.ACME].users.lms

    def patch(self, id: str, **changes: Any) -> None:
        integration = self.rooms.world.integrations[seed.ACME]
        integration.patch(integration.users, id, **changes)


@pytest.fixture
async def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shell]:
    monkeypatch.setattr("bridge.cli.sync.LOOK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("bridge.logs.configure", lambda: None)
    monkeypatch.setattr("bridge.cli.sync.KomboClient", partial(KomboClient, patience=Patience(attempts=1)))
    with capture_logs():
        async with rooms(tmp_path) as found:
            found.deployment.tenants = {"acme": found.deployment.tenants["acme"]}
            yield Shell(found, Terminal(capsys, monkeypatch))


async def test_first_everything_then_what_changed(shell: Shell) -> None:
    first = await shell("--tenant", "acme")
    assert first.code == 0
    assert [line.split()[0] for line in first.out.splitlines()] == ["acme:"] * 3
    assert " users" in first.out and " courses" in first.out and " progressions" in first.out
    shell.patch(seed.JANE.id, last_name="Roe")
    second = await shell()
    assert second.out.splitlines() == [
        "acme: 1 changed users",
        "acme: 0 changed courses",
        "acme: 0 changed progressions",
    ]
    assert (await shell("--full")).out == first.out


async def test_one_array_for_scripts(shell: Shell) -> None:
    code, [told] = await shell.json()
    assert code == 0
    assert (told["tenant"], told["failures"], told["held"]) == ("acme", [], 0)
    assert [(done["model"], done["mode"]) for done in told["passes"]] == [
        ("users", "full"),
        ("courses", "full"),
        ("progressions", "full"),
    ]


async def test_what_is_held_is_said_with_the_command_that_takes_it(shell: Shell) -> None:
    await shell()
    active = [user.id for user in shell.users.values() if user.status == "ACTIVE" and user.work_email]
    for id in active:
        shell.patch(id, work_email=None)
    held = await shell()
    assert held.code == 1
    assert f"held: {len(active)} of " in held.err
    assert "kombo-bridge sync --tenant acme --confirm" in held.err
    code, [told] = await shell.json()
    assert (code, told["held"]) == (1, len(active)), "as often as one looks"
    assert await email(shell) is not None
    taken = await shell("--tenant", "acme", "--confirm")
    assert taken.code == 0
    assert f"acme: {len(active)} people were held; this reading takes them" in taken.out
    assert await email(shell) is None
    for id in active:
        shell.patch(id, status="INACTIVE")
    assert (await shell()).code == 1, "the fuse is back"


async def test_nothing_is_confirmed_where_nothing_is_held(shell: Shell) -> None:
    await shell()
    said = await shell("--tenant", "acme", "--confirm")
    assert said.code == 0
    assert "acme: nothing is held" in said.out


async def email(shell: Shell) -> str | None:
    found = await shell.rooms.store.read(lambda c: lookups.person(c, seed.ACME, seed.JANE.id))
    assert found
    return found.email


async def test_to_confirm_names_a_tenant(shell: Shell) -> None:
    said = await shell("--confirm")
    assert said.code == 2
    assert "--tenant" in said.err


async def test_an_unknown_tenant(shell: Shell) -> None:
    said = await shell("--tenant", "nobody")
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("kombo-bridge: there is no tenant nobody")


async def test_one_model_refused(shell: Shell) -> None:
    fault = {"kind": "error", "code": "INTEGRATION.MODEL_NOT_AVAILABLE", "path": "/v1/lms/courses", "count": None}
    await shell.rooms.http.post(f"{shell.rooms.origin}/_control/faults", json=fault)
    said = await shell()
    assert said.code == 1
    assert "acme: GET /lms/courses: Kombo refused: 409 INTEGRATION.MODEL_NOT_AVAILABLE" in said.err
    assert " users" in said.out and " progressions" in said.out


async def test_a_kombo_that_is_away(shell: Shell) -> None:
    shell.rooms.deployment.kombo_url = "http://127.0.0.1:9/v1"
    code, [told] = await shell.json()
    assert code == 1
    assert "no connection" in told["failures"][0]


@pytest.fixture
def busy(shell: Shell) -> Iterator[Store]:
    """A service reads the integration just now."""
    url = f"sqlite:///{shell.rooms.deployment.folder}/bridge.db"
    migrate(url)
    store = Store(url)
    yield store
    store.close()


async def take(store: Store) -> None:
    name = lease_of(seed.ACME)
    assert await store.write(partial(leases.take, name=name, holder="a service", milliseconds=60_000))


async def test_it_waits_for_a_service_that_reads_just_now(shell: Shell, busy: Store) -> None:
    await take(busy)
    running = asyncio.ensure_future(shell())
    await asyncio.sleep(0.5)
    assert not running.done()
    await busy.write(partial(leases.release, name=lease_of(seed.ACME), holder="a service"))
    said = await running
    assert said.code == 0
    assert "acme: a service reads this integration just now; waiting" in said.err


async def test_it_says_who_does_not_come_to_an_end(shell: Shell, busy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.cli.sync.PATIENCE_SECONDS", 0.2)
    await take(busy)
    said = await shell()
    assert said.code == 1
    assert "acme: a service still reads this integration" in said.err


async def test_a_long_pass_says_now_and_then_where_it_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.cli.sync.SAY_EVERY_SECONDS", 0)
    monkeypatch.setattr("bridge.kombo.client.PAGE_SIZE", 10)
    said = await shell()
    assert "acme: 10 users so far" in said.err
    assert "acme: 20 courses so far" in said.err
