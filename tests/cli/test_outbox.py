"""`kombo-bridge outbox`: what waits and what gave up, and sending it again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bridge.simulator import seed
from bridge.store import outbox as rows
from bridge.store import tables
from bridge.store.engine import Store, now_ms
from tests.support.deployment import Deployment
from tests.support.terminal import Said, Terminal

HOUR = 3600 * 1000


@dataclass
class Shell:
    """The command line over one deployment."""

    deployment: Deployment
    url: str
    terminal: Terminal

    def __call__(self, *arguments: str) -> Said:
        return self.terminal.run(self.deployment.path, "outbox", *arguments)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        said = self("--json", *arguments)
        assert (said.code, said.err) == (0, "")
        found = json.loads(said.out)
        assert isinstance(found, list)
        return found

    def add(self, course: str, **values: Any) -> str:
        """An entry in whatever state."""
        known = {
            "tenant": "acme",
            "integration_id": seed.ACME,
            "kind": "complete",
            "user_id": seed.JANE.id,
            "source": "api",
        }
        with closing(Store(self.url)) as store:
            id = asyncio.run(
                store.write(lambda c: rows.add(c, f"{course} {values}"[:64], now_ms() - HOUR, course=course, **known))
            )
            change = tables.outbox.update().where(tables.outbox.c.id == id)
            if values:
                asyncio.run(store.write(lambda c: c.execute(change.values(**values))))
        return id

    def row(self, id: str) -> Any:
        with closing(Store(self.url)) as store:
            return store.read_here(lambda c: c.execute(select(tables.outbox).where(tables.outbox.c.id == id)).one())


@pytest.fixture
def fresh(
    tmp_path: Path, either_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    deployment = Deployment(tmp_path, service={"state": either_url})
    deployment.write()
    yield Shell(deployment, either_url, Terminal(capsys, monkeypatch))


DEAD = {"state": "dead", "settled_at": 1, "attempts": 3, "code": "REMOTE.INPUT_INVALID", "message": "no such thing"}


def test_nothing_to_show(fresh: Shell) -> None:
    assert fresh().out == "nothing waits, and nothing gave up\n"
    assert fresh("--all").out == "there are no writes yet\n"
    assert fresh.listed() == []


def test_looking_before_the_first_start_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = Deployment(tmp_path)
    deployment.write()
    shell = Shell(deployment, f"sqlite:///{tmp_path}/bridge.db", Terminal(capsys, monkeypatch))
    assert shell.listed() == []
    assert not (tmp_path / "bridge.db").exists()


def test_the_list(fresh: Shell) -> None:
    waiting = fresh.add("waiting", not_before=now_ms() + 5 * 60_000)
    dead = fresh.add("dead", **DEAD)
    done = fresh.add("done", state="done", settled_at=now_ms())
    unknown = fresh.add("unknown", sending="complete", sent_at=now_ms())
    lines = fresh().out.splitlines()
    assert lines[0].split() == ["ID", "STATE", "AGE", "KIND", "TENANT", "USER", "COURSE", "TRIES", "NEXT", "TRY", "WHY"]
    assert [line.split()[0] for line in lines[1:]] == [waiting, dead, unknown]
    assert "60m" in lines[1]
    assert "in 4m" in lines[1] or "in 5m" in lines[1]
    assert "REMOTE.INPUT_INVALID: no such thing" in lines[2]
    assert "outcome is unknown" in lines[3]
    assert [each["id"] for each in fresh.listed("--all")] == [waiting, dead, done, unknown]
    shown = fresh.listed()[1]
    assert (shown["state"], shown["attempts"], shown["code"]) == ("dead", 3, "REMOTE.INPUT_INVALID")
    assert shown["age_seconds"] >= 3600
    assert fresh.listed("--tenant", "globex") == []


def test_more_than_one_batch(fresh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK", 3)
    monkeypatch.setattr(rows.listed, "__kwdefaults__", rows.listed.__kwdefaults__ | {"limit": 3})
    ids = [fresh.add(f"course {number}", **DEAD) for number in range(8)]
    assert [each["id"] for each in fresh.listed()] == ids
    assert [line.split()[0] for line in fresh().out.splitlines()[1:]] == ids
    assert fresh("retry", "--all-dead").out.startswith("8 writes are sent again")
    assert {fresh.row(id).state for id in ids} == {"waiting"}


def test_what_kombo_says_cannot_steer_a_terminal(fresh: Shell) -> None:
    fresh.add("c\x1b[2J", **DEAD | {"message": "\x1b]0;owned\x07\n" + "x" * 5000})
    said = fresh().out
    assert "\x1b" not in said
    assert len(said.splitlines()) == 2
    assert len(said) < 1000


def test_an_integration_that_no_tenant_has(fresh: Shell) -> None:
    fresh.add("course", integration_id="workday:gone")
    (shown,) = fresh.listed()
    assert shown["held_up"] == "no tenant that is served has the integration workday:gone"
    assert shown["next_try_at"] is None
    assert "no tenant that is served has the integration" in fresh().out


def test_retry_of_one(fresh: Shell) -> None:
    dead, other = fresh.add("dead", **DEAD | {"sending": "complete", "sent_at": 5}), fresh.add("other", **DEAD)
    assert fresh("retry", dead).code == 0
    row = fresh.row(dead)
    assert (row.state, row.attempts, row.not_before, row.settled_at) == ("waiting", 0, 0, None)
    assert row.sending == "complete", "looked up before it is sent"
    assert fresh.row(other).state == "dead"


def test_retry_of_one_that_waits_is_now(fresh: Shell) -> None:
    id = fresh.add("waiting", not_before=now_ms() + HOUR, attempts=4)
    assert "due now" in fresh("retry", id).out
    assert fresh.row(id).not_before == 0


def test_retry_of_one_that_had_nothing_to_write(fresh: Shell) -> None:
    """Where the connector does not say when somebody was enrolled, only the operator knows that there is more now."""
    id = fresh.add("idle", state="done", settled_at=1, code=rows.ALREADY, progression_id="P")
    assert "looked up again" in fresh("retry", id).out
    row = fresh.row(id)
    assert (row.state, row.settled_at, row.code, row.progression_id) == ("waiting", None, None, None)


def test_two_at_once_retry_a_write_once(fresh: Shell) -> None:
    """The other one has sent it again meanwhile, and it is done, or under way."""
    for state in ("done", "waiting"):
        id = fresh.add(state, state=state, attempts=2)
        number = fresh.row(id).number
        with closing(Store(fresh.url)) as store:
            asyncio.run(store.write(partial(rows.revive, number=number)))
        assert (fresh.row(id).state, fresh.row(id).attempts) == (state, 2)


def test_retry_of_all_of_one_tenant(fresh: Shell) -> None:
    ours, theirs = fresh.add("a", **DEAD), fresh.add("b", **DEAD | {"tenant": "globex"})
    assert "1 write is" in fresh("retry", "--all-dead", "--tenant", "globex").out
    assert (fresh.row(ours).state, fresh.row(theirs).state) == ("dead", "waiting")


def test_what_cannot_be_retried(fresh: Shell) -> None:
    done = fresh.add("done", state="done", settled_at=now_ms())
    said = fresh("retry", done)
    assert (said.code, fresh.row(done).state) == (1, "done")
    assert "twice" in said.err
    assert fresh("retry", "0123456789abcdef").code == 1
    for wrong in ((), (done, "--all-dead"), (done, "--tenant", "acme")):
        assert fresh("retry", *wrong).code == 2


def test_a_slug_that_is_nobodys(fresh: Shell) -> None:
    """Or a typing error would read as "nothing gave up"."""
    for arguments in ((), ("retry", "--all-dead")):
        said = fresh(*arguments, "--tenant", "acmee")
        assert (said.code, said.out) == (1, "")
        assert "there is no tenant acmee" in said.err
        assert fresh(*arguments, "--tenant", "acme").code == 0
    fresh.add("left", **DEAD | {"tenant": "gone"})
    assert "left" in fresh("--tenant", "gone").out
