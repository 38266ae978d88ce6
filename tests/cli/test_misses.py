"""`kombo-bridge launches misses`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert

from bridge.simulator import seed
from bridge.store import tables
from bridge.store.engine import Store, now_ms
from bridge.store.migrate import migrate
from tests.support.deployment import Deployment
from tests.support.terminal import Terminal

MINUTE = 60_000
NOTHING = "nobody was refused a course for want of an enrollment\n"


class Shell:
    """The command line over one deployment."""

    def __init__(self, folder: Path, terminal: Terminal) -> None:
        self.deployment = Deployment(folder)
        self.path = self.deployment.write()
        self.state = f"sqlite:///{folder}/bridge.db"
        self._terminal = terminal

    def __call__(self, *arguments: str, code: int = 0) -> str:
        said = self._terminal.run(self.path, "launches", "misses", *arguments)
        assert said.code == code, said.err
        return said.out + said.err

    def has(self, *misses: dict[str, object]) -> None:
        migrate(self.state)
        with closing(Store(self.state)) as store, store.engine.begin() as connection:
            connection.execute(insert(tables.misses), [miss(number, **each) for number, each in enumerate(misses)])


def miss(number: int, minutes: int | None = None, kind: str = "open", tenant: str = "acme", **more: object) -> object:
    """One that was refused `number` hours ago; with a lag in minutes, a sync delay."""
    first, settled = now_ms() - number * 60 * MINUTE, kind != "open" or minutes is not None
    return {
        "id": str(number),
        "tenant": tenant,
        "integration_id": seed.ACME,
        "user_id": f"user-{number}",
        "course": "safety",
        "reference": f"amber-falcon-{number}",
        "first_at": first,
        "last_at": first,
        "times": number + 1,
        "kind": kind if minutes is None else "sync_delay",
        "settled_at": first + 1 if settled else None,
        "lag_ms": None if minutes is None else minutes * MINUTE,
    } | more


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tmp_path, Terminal(capsys, monkeypatch))


def test_where_nothing_was_ever_written_nothing_is_made(shell: Shell) -> None:
    assert shell() == NOTHING
    assert not Path(shell.state.removeprefix("sqlite:///")).exists()
    assert json.loads(shell("--json")) == {"misses": [], "sync_delay": []}


def test_what_became_of_each_and_how_long_it_took(shell: Shell) -> None:
    shell.has(
        {},
        *({"minutes": minutes} for minutes in (3, 5, 10, 20, 200)),
        {"kind": "unauthorized"},
        {"tenant": "globex", "minutes": 7},
    )
    told = shell()
    lines = told.splitlines()
    assert lines[0].split() == ["REFUSED", "TIMES", "BECAME", "LAG", "TENANT", "USER", "COURSE", "REFERENCE"]
    assert lines[1].split()[1:] == ["1", "open", "-", "acme", "user-0", "safety", "amber-falcon-0"]
    assert lines[2].split()[1:] == ["2", "sync", "delay", "3m", "acme", "user-1", "safety", "amber-falcon-1"]
    assert lines[7].split()[2:4] == ["unauthorized", "-"]
    assert lines[-2:] == [
        "acme: sync delays in 30 days: 5; half were over within 10m (p50), nine of ten within 3h (p90)",
        "globex: sync delays in 30 days: 1; half were over within 7m (p50), nine of ten within 7m (p90)",
    ]
    [own] = [line for line in shell("--tenant", "globex").splitlines() if "user-" in line]
    assert "globex" in own
    assert len([line for line in shell("--limit", "2").splitlines() if "user-" in line]) == 2


def test_for_scripts(shell: Shell) -> None:
    shell.has({"minutes": 90}, {})
    told = json.loads(shell("--json"))
    assert [each["kind"] for each in told["misses"]] == ["sync_delay", "open"]
    assert told["misses"][0]["lag_seconds"] == 5400
    assert told["misses"][0]["settled_at"].endswith("Z")
    assert told["misses"][1] | {"first_at": "", "last_at": ""} == {
        "tenant": "acme",
        "integration": seed.ACME,
        "user": "user-1",
        "course": "safety",
        "kind": "open",
        "lag_seconds": None,
        "times": 2,
        "first_at": "",
        "last_at": "",
        "settled_at": None,
        "reference": "amber-falcon-1",
    }
    assert told["sync_delay"] == [{"tenant": "acme", "count": 1, "p50_seconds": 5400, "p90_seconds": 5400}]


def test_a_tenant_that_is_none_is_said(shell: Shell) -> None:
    assert "there is no tenant nobody" in shell("--tenant", "nobody", code=1)


def test_what_others_chose_moves_no_cursor(shell: Shell) -> None:
    shell.has({"course": "safety\x1b[2J\nacme: of 1", "user_id": "u\u202e1"})
    assert "\x1b" not in shell()
    assert len(shell().splitlines()) == 2
