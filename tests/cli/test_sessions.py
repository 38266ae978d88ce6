"""`kombo-bridge sessions`: who is signed in, and ending that."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import sessions as module
from bridge.simulator import seed
from bridge.store import rows, sessions, tables
from bridge.store.engine import Store, now_ms
from bridge.store.sessions import SessionRow
from tests.support.deployment import Deployment
from tests.support.stage import stage
from tests.support.terminal import Said, Terminal

MINUTE = 60_000
SECRET_WORDS = ("digest", "name_id_", "a-subject", "a-name-digest", "an-index")


@dataclass
class Shell:
    """The command line over one deployment."""

    deployment: Deployment
    store: Store
    terminal: Terminal

    def __call__(self, *arguments: str) -> Said:
        said = self.terminal.run(self.deployment.path, "sessions", *arguments)
        for word in SECRET_WORDS:
            assert word not in said.out + said.err
        return said

    def listed(self, *arguments: str) -> list[str | None]:
        """The users."""
        said = self("list", "--json", *arguments)
        assert (said.code, said.err) == (0, "")
        return [each["user"] for each in json.loads(said.out)["sessions"]]

    def has(self, user: str | None, used: int = 1, **more: Any) -> None:
        """A session that was used so many minutes ago."""
        known: dict[str, Any] = {
            "digest": f"digest {user} {used}",
            "tenant": "acme",
            "integration_id": seed.ACME,
            "provider": "idp",
            "user_id": user,
            "subject": "a-subject",
            "tier": "email",
            "auth_time": 1,
            "created_at": now_ms() - 60 * MINUTE,
            "used_at": now_ms() - used * MINUTE,
            "ends_at": now_ms() + 600 * MINUTE,
            "name_id": "name_id_",
            "name_digest": "a-name-digest",
            "session_index": "an-index",
        }
        with self.store.engine.begin() as connection:
            sessions.add(connection, SessionRow(**known | more))


@pytest.fixture
def shell(
    tmp_path: Path, either_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    deployment = Deployment(tmp_path, service={"state": either_url})
    deployment.tenants["globex"]["session"] = {"lifetime": "30d"}
    deployment.write()
    with closing(Store(either_url)) as store:
        yield Shell(deployment, store, Terminal(capsys, monkeypatch))


def test_who_is_signed_in(shell: Shell) -> None:
    assert shell("list").out == "nobody is signed in\n"
    shell.has("jane", used=3, launch="amber-falcon-river.0123")
    shell.has("hugo", used=2)
    shell.has(None, used=1, tenant="globex")
    shell.has("too long unused", used=121)
    shell.has("of a tenant without that limit", used=500, tenant="globex")
    shell.has("over", ends_at=now_ms() - 1)
    shell.has("of a tenant that is gone", used=9, tenant="gone")
    assert shell.listed() == [None, "hugo", "jane", "of a tenant that is gone", "of a tenant without that limit"]
    assert shell.listed("--tenant", "acme") == ["hugo", "jane"]
    assert shell.listed("--user", "jane", "--tenant", "acme") == ["jane"]
    lines = shell("list").out.splitlines()
    assert lines[0].split() == ["SIGNED", "IN", "LAST", "USED", "ENDS", "TENANT", "USER", "BY", "LAUNCH"]
    assert lines[1].split()[3:] == ["globex", "matched", "nobody", "email", "-"]
    assert lines[3].split()[3:] == ["acme", "jane", "email", "amber-falcon-river"]
    assert "the 2 that were used last" in shell("list", "--limit", "2").out
    assert json.loads(shell("list", "--limit", "2", "--json").out)["more"] is True


def test_for_scripts(shell: Shell) -> None:
    shell.has("jane")
    told = json.loads(shell("list", "--json").out)
    [session] = told["sessions"]
    moments = [session.pop(name) for name in ("signed_in_at", "used_at", "ends_at")]
    assert moments == sorted(moments)
    own = {"tenant": "acme", "integration": seed.ACME, "user": "jane", "match": "email", "launch": None}
    assert (session, told["more"]) == (own, False)


def test_what_others_chose_moves_no_cursor(shell: Shell) -> None:
    shell.has("u\x1b[2J\nacme")
    assert "\x1b" not in shell("list").out
    assert len(shell("list").out.splitlines()) == 2


def test_one_persons_end_and_a_whole_tenants(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    jane = {"integration_id": seed.ACME, "id": "jane", "remote_id": "E12345", "changed_at": 1, "seen_at": 1}
    with shell.store.engine.begin() as connection:
        rows.upsert(connection, tables.users, [jane])
    for used in (1, 2, 3, 4, 5):
        shell.has("jane", used)
        shell.has("hugo", used)
    shell.has("jane", 6, tenant="globex")
    assert (
        "5 sessions are ended, everywhere within 5 seconds"
        in shell("revoke", "--tenant", "acme", "--remote-id", "E12345").out
    )
    assert shell.listed() == ["hugo"] * 5 + ["jane"]
    assert shell("revoke", "--tenant", "acme", "--user", "jane").out.startswith("0 sessions are ended")
    assert shell("revoke", "--tenant", "acme").out.startswith("5 sessions are ended")
    assert shell.listed() == ["jane"]
    for wrong in (("--user", "jane"), ("--tenant", "acme", "--user", "a", "--remote-id", "b")):
        assert shell("revoke", *wrong).code == 2
    assert "there is no tenant acmee" in shell("revoke", "--tenant", "acmee").err
    assert "nobody with the remote id" in shell("revoke", "--tenant", "acme", "--remote-id", "E9").err
    assert shell.listed() == ["jane"]


def test_before_the_first_start_there_is_nothing_and_looking_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Deployment(tmp_path).write()
    assert Terminal(capsys, monkeypatch).run(path, "sessions", "list").out == "nobody is signed in\n"
    assert not (tmp_path / "bridge.db").exists()


async def test_who_is_revoked_is_out_of_the_running_service(tmp_path: Path) -> None:
    async with stage(tmp_path, "--workers", "2") as found, found.browser() as jane, found.browser() as carlos:
        for browser, person in ((jane, seed.JANE), (carlos, seed.CARLOS)):
            assert (await browser.launch("acme", person, "/my")).status_code == 200
        command = partial(asyncio.create_subprocess_exec, sys.executable, "-m", "bridge", "sessions", "revoke")
        arguments = ("--tenant", "acme", "--user", seed.JANE.id, "--config", str(found.deployment.path))
        process = await command(*arguments, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        assert said.startswith(b"1 session is ended")
        async with asyncio.timeout(30):
            while (await jane.get("/my")).status_code != 303:
                await asyncio.sleep(0.2)
        assert (await carlos.get("/my")).status_code == 200
