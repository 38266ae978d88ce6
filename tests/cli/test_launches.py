"""`kombo-bridge launches`: the list, one in full, and forgetting a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.cli import app
from bridge.cli.launches import MOST
from bridge.launches.history import PURPOSE
from bridge.launches.trail import step
from bridge.pages.references import vocabulary
from bridge.simulator import seed
from bridge.store import drifts, misses, refusals, rows, tables
from bridge.store import launches as launch_rows
from bridge.store.engine import Store, now_ms
from bridge.store.launches import Launch
from bridge.store.migrate import migrate
from bridge.store.refusals import Refused
from bridge.store.sealing import Seal
from tests.support.deployment import SECRET, Deployment
from tests.support.terminal import Said, Terminal

MINUTE = 60_000
HOSTILE = yaml.safe_load(Path(__file__).with_name("hostile_texts.yaml").read_text(encoding="utf-8"))
SPOKEN = yaml.safe_load(Path(__file__).with_name("spoken_references.yaml").read_text(encoding="utf-8"))
SEEN = {"NameID": ["E12345"], "mail": ["jane@acme.com", "jd@acme.com"]}
WAY = [step("asked", "passed", found="link"), step("answered", "passed", 900)]
CHECKED = step("verified", "passed", 12, checks={"read": "passed", "decryption": "not_needed", "replay": "passed"})
TRIED = [{"source": "NameID", "tier": "name_id", "result": "unmatched", "reason": "nobody has it"}]
GATE = step("gate", "failed", 3, code="not_enrolled", reason="no progression", course="safety")


def steps(*some: str) -> str:
    return f"[{', '.join((*WAY, *some))}]"


@dataclass
class Shell:
    """The command line over one deployment."""

    deployment: Deployment
    store: Store
    terminal: Terminal

    def __call__(self, *arguments: str) -> Said:
        return self.terminal.run(self.deployment.path, "launches", *arguments)

    def listed(self, *arguments: str) -> list[str]:
        """The references."""
        said = self("--json", *arguments)
        assert (said.code, said.err) == (0, "")
        return [each["reference"] for each in json.loads(said.out)["launches"]]

    def one(self, *arguments: str) -> dict[str, Any]:
        said = self(*arguments, "--json")
        assert (said.code, said.err) == (0, "")
        [found] = json.loads(said.out)["launches"]
        assert isinstance(found, dict)
        return found

    def write(self, work: Any) -> None:
        with self.store.engine.begin() as connection:
            work(connection)

    def has(self, reference: str, outcome: str = "forwarded", ago: int = 1, **more: Any) -> None:
        """A launch that began so many minutes ago."""
        began = now_ms() - ago * MINUTE
        known: dict[str, Any] = {
            "id": f"{reference}.{ago}",
            "reference": reference,
            "tenant": "acme",
            "integration_id": seed.ACME,
            "provider": "https://idp.acme.com",
            "found": "link",
            "began_at": began,
            "outcome": outcome,
            "steps": steps(CHECKED),
            "path": "/courses/safety",
            "finished_at": began + 1234,
            "tier": "name_id",
            "user_id": seed.JANE.id,
            "seen": Seal([SECRET], PURPOSE).close(json.dumps(SEEN).encode()),
        }
        self.write(partial(launch_rows.add, launch=Launch(**known | more)))

    def refused(self, reference: str, ago: int = 1, **more: Any) -> None:
        refused = Refused(reference, "acme", now_ms() - ago * MINUTE, "saml_rejected", 403, "why", "POST", "/my")
        refused = replace(refused, **more)
        self.write(partial(refusals.note, tenant=refused.tenant, refused=[refused], size=100))


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(capsys, monkeypatch)


def opened(folder: Path, url: str, terminal: Terminal) -> Iterator[Shell]:
    deployment = Deployment(folder, service={"state": url})
    deployment.write()
    with closing(Store(url)) as store:
        yield Shell(deployment, store, terminal)


@pytest.fixture
def shell(tmp_path: Path, url: str, terminal: Terminal) -> Iterator[Shell]:
    migrate(url)
    yield from opened(tmp_path, url, terminal)


@pytest.fixture
def either(tmp_path: Path, either_url: str, terminal: Terminal) -> Iterator[Shell]:
    """Over either kind of state."""
    yield from opened(tmp_path, either_url, terminal)


def test_before_the_first_start_there_is_nothing_and_nothing_is_made(tmp_path: Path, terminal: Terminal) -> None:
    deployment = Deployment(tmp_path)
    assert terminal.run(deployment.write(), "launches").out == "there were no launches yet\n"
    assert json.loads(terminal.run(deployment.path, "launches", "--json").out) == {"launches": []}
    assert terminal.run(deployment.path, "launches", "amber-falcon-river").code == 1
    assert not (tmp_path / "bridge.db").exists()


def test_the_list_has_launches_and_refusals_the_latest_first(shell: Shell) -> None:
    waited = steps(CHECKED, GATE, step("forwarded", "passed", 5, status=200))
    shell.has("amber-falcon-river", course="safety", steps=waited)
    shell.has("acorn-album-alley", "signed_in", ago=2, user_id=None, finished_at=None)
    shell.refused("almond-amber-acorn", ago=3, steps=steps())
    shell.refused("alley-album-acorn", ago=4, tenant="")
    told = shell().out.splitlines()
    assert told[0].split() == ["WHEN", "OUTCOME", "TENANT", "FOUND", "BY", "USER", "COURSE", "TOOK", "REFERENCE"]
    assert [" ".join(line.split()[1:]) for line in told[1:]] == [
        f"forwarded after not_enrolled acme link name_id {seed.JANE.id} safety 1.2s amber-falcon-river",
        "signed_in acme link name_id - - - acorn-album-alley",
        "saml_rejected acme link - - - - almond-amber-acorn",
        "saml_rejected - - - - - - alley-album-acorn",
    ]


def test_filters(either: Shell) -> None:
    either.has("a-a-a", ago=10)
    either.has("b-b-b", "signed_in", ago=100)
    either.has("c-c-c", "user_unmatched", ago=1000, tenant="globex")
    either.refused("d-d-d", ago=10_000)
    assert either.listed() == ["a-a-a", "b-b-b", "c-c-c", "d-d-d"]
    assert either.listed("--tenant", "globex") == ["c-c-c"]
    assert either.listed("--outcome", "signed_in") == ["b-b-b"]
    assert either.listed("--outcome", "failed") == ["c-c-c", "d-d-d"]
    assert either.listed("--outcome", "saml_rejected", "--tenant", "acme") == ["d-d-d"]
    assert either.listed("--since", "2h") == ["a-a-a", "b-b-b"]
    assert either.listed("--until", "2h") == ["c-c-c", "d-d-d"]
    assert either.listed("--since", "1d", "--until", "90m") == ["b-b-b", "c-c-c"]
    assert either.listed("--since", "2026-01-01T00:00+02:00", "--until", "2020-01-01") == []
    assert either.listed("--limit", "2") == ["a-a-a", "b-b-b"]
    assert "the latest 2" in either("--limit", "2").out
    assert either("--since", "1m").out == "there are no such launches\n"


WRONG = [
    ["--since", "yesterday"],
    ["--since", "2026-13-01"],
    ["--since", "99999999999d"],
    ["--since", ""],
    ["--until", "-1h"],
    ["--outcome", "refused"],
    ["--limit", "0"],
    ["--limit", str(MOST + 1)],
    ["--values"],
    ["amber-falcon-river", "--tenant", "acme"],
    ["forget", "--tenant", "acme"],
    ["forget", "--tenant", "acme", "--user", "u", "--remote-id", "r"],
    ["forget", "--user", "u"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage(shell: Shell, arguments: list[str]) -> None:
    said = shell(*arguments)
    assert (said.code, said.out) == (2, "")


def test_a_slug_that_is_nobodys(shell: Shell) -> None:
    assert "there is no tenant acmee" in shell("--tenant", "acmee").err
    assert shell("--tenant", "acme").out == "there are no such launches\n"
    shell.has("a-a-a", tenant="gone")
    assert shell.listed("--tenant", "gone") == ["a-a-a"]


@pytest.mark.parametrize("said", SPOKEN["same"])
def test_a_reference_however_it_is_typed(shell: Shell, said: str) -> None:
    shell.has("amber-falcon-river")
    assert shell.one(*said.split("|"))["reference"] == "amber-falcon-river"


@pytest.mark.parametrize(("said", "told"), SPOKEN["wrong"].items())
def test_a_reference_that_is_none_or_was_misheard(shell: Shell, said: str, told: str) -> None:
    shell.has("amber-falcon-river")
    answer = shell(*said.split("|"))
    assert (answer.code, answer.out) == (1, "")
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1


def test_no_reference_begins_like_a_command(shell: Shell) -> None:
    from typer.main import get_command

    group = get_command(app).commands["launches"]
    assert {"misses", "forget"} < set(group.commands)
    assert not set(group.commands) & set(vocabulary())


def test_help_names_the_reference_the_filters_and_the_other_commands(shell: Shell) -> None:
    for arguments in (["--help"], ["show", "--help"]):
        assert "[REFERENCE]" in shell(*arguments).out
    told = shell("--help").out
    for word in ("launches [OPTIONS] [REFERENCE]...", "--outcome", "--values", "misses", "forget"):
        assert word in told
    assert "show" not in shell("--since", "x").err.split("Error")[0]


def test_one_in_full(shell: Shell) -> None:
    identified = step("identified", "failed", 4, code="user_unmatched", reason="nobody", tried=TRIED)
    shell.has(
        "amber-falcon-river",
        "user_unmatched",
        user_id=None,
        steps=steps(CHECKED, identified),
        reason="nobody",
        http_status=403,
    )
    told = shell("amber-falcon-river").out
    for line in (
        "amber-falcon-river: user_unmatched",
        "tenant      acme (Acme Corporation)",
        "found by    link",
        "IdP         https://idp.acme.com",
        "took 1.2s",
        "answered    passed     900ms",
        "not needed   decryption",
        "identified  failed       4ms  code user_unmatched",
        "unmatched    NameID (name_id): nobody has it",
        "values seen (redacted; --values shows them):",
        "NameID: E1… (6 characters)",
        "mail: j…@acme.com, j…@acme.com",
        "kombo-bridge explain amber-falcon-river",
    ):
        assert line in told
    assert told.count("nobody\n") == 1, "a reason stands there once"
    assert "jane@" not in told + shell("amber-falcon-river", "--json").out
    open = shell("amber-falcon-river", "--values").out
    assert "mail: jane@acme.com, jd@acme.com" in open
    assert "NameID: E12345" in open


def test_one_that_waited_for_the_sync(shell: Shell) -> None:
    shell.has("amber-falcon-river", course="safety", steps=steps(GATE, step("forwarded", "passed", 5, status=200)))
    note = partial(misses.note, tenant="acme", integration_id=seed.ACME, user_id=seed.JANE.id, course="safety")
    shell.write(lambda connection: note(connection, reference="amber-falcon-river", moment=1))
    [miss] = shell.store.read_here(lambda connection: misses.recent(connection, "acme", 1))
    shell.write(lambda connection: misses.settle(connection, miss, "sync_delay", 200_000, 180_000))
    told = shell("amber-falcon-river").out
    assert "amber-falcon-river: forwarded, after not_enrolled" in told
    assert "no progression" in told
    assert "the sync was late, by 3m" in told
    assert "explain" not in told
    found = shell.one("amber-falcon-river")
    assert found["misses"] == [
        {"kind": "sync_delay", "times": 1, "first_at": "1970-01-01T00:00:00Z", "lag_seconds": 180}
    ]


def test_for_scripts(either: Shell) -> None:
    either.has("amber-falcon-river", course="safety", enrollment="ENROLLED", gate="fresh", http_status=200)
    found = either.one("amber-falcon-river", "--values")
    moments = {name: found.pop(name) for name in ("at", "finished_at")}
    assert all(moment.endswith("Z") for moment in moments.values())
    own = {
        "reference": "amber-falcon-river",
        "kind": "launch",
        "tenant": "acme",
        "outcome": "forwarded",
        "first_refused": None,
        "reason": None,
        "check": None,
        "took_ms": 1234,
        "found": "link",
        "provider": "https://idp.acme.com",
        "integration": seed.ACME,
        "match": "name_id",
        "user": seed.JANE.id,
        "course": "safety",
        "enrollment": "ENROLLED",
        "gate": "fresh",
        "http_status": 200,
        "method": None,
        "path": "/courses/safety",
        "steps": json.loads(steps(CHECKED)),
    }
    assert found == own | {"values": SEEN, "values_redacted": False, "misses": []}
    assert {**either.one(), **moments} == own | moments


def test_every_field_is_documented(shell: Shell) -> None:
    shell.has("amber-falcon-river")
    documented = (Path(__file__).parents[2] / "docs" / "launches.md").read_text(encoding="utf-8")
    for name in shell.one("amber-falcon-river"):
        assert f"`{name}`" in documented, name


def test_values_that_are_no_longer_there_are_said_to_be(shell: Shell) -> None:
    shell.has("amber-falcon-river", seen=None)
    assert "values seen: none are kept, or no longer" in shell("amber-falcon-river", "--values").out
    assert shell.one("amber-falcon-river", "--values")["values"] is None
    other = Seal(["another secret of the tests, long enough"], PURPOSE)
    shell.has("acorn-album-alley", seen=other.close(b"{}"))
    assert "sealed under another secret" in shell("acorn-album-alley", "--values").out
    shell.refused("almond-amber-acorn")
    assert "the answer was not verified" in shell("almond-amber-acorn", "--values").out


def test_a_reference_that_was_given_twice_shows_both(shell: Shell) -> None:
    shell.has("amber-falcon-river", ago=5)
    shell.refused("amber-falcon-river", ago=1)
    heads = [line for line in shell("amber-falcon-river").out.splitlines() if line.startswith("amber")]
    assert heads == ["amber-falcon-river: saml_rejected", "amber-falcon-river: forwarded"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_others_chose_moves_no_cursor(shell: Shell, text: str) -> None:
    hostile = steps(
        step("verified", "failed", 1, reason=text, found=[text], checks={text: text}),
        step("identified", "failed", 1, tried=[{"source": text, "tier": text, "result": text, "reason": text}]),
        step("gate", "failed", 1, course=text),
    )
    seen = Seal([SECRET], PURPOSE).close(json.dumps({text: [text]}).encode())
    shell.has("amber-falcon-river", "x", reason=text, course=text, user_id=text, path=text, steps=hostile, seen=seen)
    shell.refused("amber-falcon-river", reason=text, course=text, user_id=text, path=text, method=text[:16])
    for arguments in ([], ["amber-falcon-river"], ["amber-falcon-river", "--values"]):
        for more in ([], ["--json"]):
            said = shell(*arguments, *more).out
            assert said.replace("\n", "").isprintable()
    assert len(shell().out.splitlines()) == 3
    told = shell.listed()
    assert told == ["amber-falcon-river"] * 2


def test_forgetting_one_person(either: Shell) -> None:
    jane = {"integration_id": seed.ACME, "id": seed.JANE.id, "remote_id": "E12345", "changed_at": 1, "seen_at": 1}
    either.write(lambda connection: rows.upsert(connection, tables.users, [jane]))
    for ago in (1, 2, 3):
        either.has("a-a-a", ago=ago)
    either.has("b-b-b", user_id="other")
    either.has("c-c-c", tenant="globex")
    either.refused("d-d-d", user_id=seed.JANE.id)
    either.refused("e-e-e", user_id="other")
    note = partial(misses.note, tenant="acme", integration_id=seed.ACME, course="safety", reference="x-x-x", moment=1)
    either.write(lambda connection: note(connection, user_id=seed.JANE.id))
    either.write(lambda c: drifts.note(c, "acme", "address_changed", seed.JANE.id, "jane@acme.com", None, 1))
    assert "nobody with the remote id E9" in either("forget", "--tenant", "acme", "--remote-id", "E9").err
    said = either("forget", "--tenant", "acme", "--remote-id", "E12345")
    assert (said.code, said.out) == (0, "deleted: 3 launches, 1 refusals, 1 misses, 1 changes of address\n")
    assert sorted(either.listed()) == ["b-b-b", "c-c-c", "e-e-e"]
    said = either("forget", "--tenant", "acme", "--user", seed.JANE.id)
    assert said.out == "deleted: 0 launches, 0 refusals, 0 misses, 0 changes of address\n"
    assert "there is no tenant acmee" in either("forget", "--tenant", "acmee", "--user", seed.JANE.id).err


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_on_a_terminal_it_is_asked_first(shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str, left: int) -> None:
    import io

    class Typed(io.StringIO):
        def isatty(self) -> bool:
            return True

    hostile = f"{seed.JANE.id}\x1b]0;owned\x07"
    shell.has("a-a-a", user_id=hostile)
    monkeypatch.setattr("sys.stdin", Typed(answer))
    said = shell("forget", "--tenant", "acme", "--user", hostile)
    assert said.code == (1 if left else 0)
    assert not {"\x1b", "\x07"} & set(said.out + said.err)
    assert len(shell.listed()) == left
    shell.has("b-b-b", user_id=hostile)
    monkeypatch.setattr("sys.stdin", Typed(""))
    assert shell("forget", "--tenant", "acme", "--user", hostile, "--yes").code == 0
    assert shell.listed() == []
