"""`kombo-bridge explain`, over a deployment on disk and no service."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.launches import history
from bridge.launches.launches import Launches
from bridge.store.sealing import Seal
from tests.explain.desk import Desk, desk_in
from tests.support.deployment import SECRET
from tests.support.terminal import Said, Terminal

PEOPLE = {
    "people": [{"id": "jane", "remote_id": "x-1", "work_email": "jane@acme.com"}],
    "courses": [{"id": "k", "remote_id": "c", "origin_id": "a course"}],
}
ELSEWHERE = "https://old.example.com/sp"


class Shell:
    def __init__(self, desk: Desk, terminal: Terminal) -> None:
        self.desk = desk
        self.terminal = terminal

    def __call__(self, *arguments: str) -> Said:
        return self.terminal.run(self.desk.deployment.path, "explain", *arguments)

    def saved(self, **said: object) -> str:
        """A response as XML in a file."""
        path = self.desk.folder / "response.xml"
        path.write_bytes(base64.b64decode(self.desk.response(**said)))
        return str(path)

    def refused(self, reference: str, refusal: Refusal) -> None:
        """The service refuses somebody, and remembers it."""
        launches = Launches(self.desk.store, Seal([SECRET], history.PURPOSE), lambda: self.desk.configuration)
        head = Head(b"GET", b"/courses/a", [], "127.0.0.1")
        launches.noted(head, refusal, reference, self.desk.tenant("acme"), "jane", "a course")
        asyncio.run(launches.write())


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    with desk_in(tmp_path) as desk:
        desk.load({"acme": {"identity": ["name_id"]}})
        asyncio.run(desk.fill(desk.tenant("acme").integration_id, PEOPLE))
        yield Shell(desk, Terminal(capsys, monkeypatch))


class TestFiles:
    def test_one_that_passes(self, shell: Shell) -> None:
        said = shell("--tenant", "acme", shell.saved())
        assert (said.code, said.err) == (0, "")
        assert "Match: Kombo user jane, by name_id" in said.out
        assert said.out.endswith("\nNothing needs fixing.\n")
        assert all(len(line) <= 80 for line in said.out.splitlines())

    def test_one_that_does_not(self, shell: Shell) -> None:
        said = shell("--tenant", "acme", shell.saved(audience=ELSEWHERE))
        assert (said.code, said.err) == (1, "")
        assert "  failed       audience\n" in said.out
        assert "  not reached  attributes\n" in said.out
        assert "To fix it (at the customer's IdP):" in said.out
        assert f"      saml:\n        sp_entity_id: {ELSEWHERE}\n" in said.out

    def test_values_are_shown_to_who_asks(self, shell: Shell) -> None:
        file = shell.saved(name_id="somebody-else", attributes={"mail": "else@acme.com"})
        for more in ((), ("--json",)):
            said = shell("--tenant", "acme", file, *more)
            assert (said.code, "somebody-else" in said.out, "else@acme.com" in said.out) == (1, False, False)
            said = shell("--tenant", "acme", file, "--values", *more)
            assert (said.code, "somebody-else" in said.out, "else@acme.com" in said.out) == (1, True, True)

    def test_for_scripts(self, shell: Shell) -> None:
        said = shell("--tenant", "acme", shell.saved(audience=ELSEWHERE), "--json", "--course", "a course")
        told = json.loads(said.out)
        assert (said.code, told["passes"], told["verified"], told["outcome"]) == (1, False, False, "saml_rejected")
        assert {each["step"]: each["standing"] for each in told["checks"]}["audience"] == "failed"
        assert told["change"]["yaml"] == f"saml:\n  sp_entity_id: {ELSEWHERE}"
        assert told["course"]["outcome"] == "not_enrolled"

    def test_nothing_is_written(self, shell: Shell) -> None:
        def digests() -> dict[str, str]:
            files = (path for path in shell.desk.folder.rglob("*") if path.is_file())
            return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}

        file = shell.saved(name_id="nobody")
        shell("--tenant", "acme", file)
        before = digests()
        assert shell("--tenant", "acme", file, "--course", "a course").code == 1
        assert digests() == before

    def test_no_state_yet(self, shell: Shell, tmp_path: Path) -> None:
        shell.desk.deployment.service["state"] = "sqlite:///nowhere/bridge.db"
        shell.desk.load({})
        said = shell("--tenant", "acme", shell.saved())
        assert (said.code, said.err) == (1, "")
        assert "kombo-bridge sync --tenant acme" in " ".join(said.out.split())
        assert not (tmp_path / "nowhere").exists()

    def test_a_state_of_another_version_is_left_as_it_is(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "old.db").touch()
        shell.desk.deployment.service["state"] = "sqlite:///old.db"
        shell.desk.load({})
        said = shell("--tenant", "acme", shell.saved())
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
        assert "a state of an older version becomes readable by `kombo-bridge serve`" in said.err


class TestReferences:
    def test_as_people_say_it(self, shell: Shell) -> None:
        shell.refused("amber-falcon-river", Refusal(Code.NOT_ENROLLED, "no progression of jane opens it"))
        for said in (
            ["amber-falcon-river"],
            ["AMBER Falcon River"],
            ["Amber", "FALCON", "river"],
            ["amber_falcon river"],
        ):
            answer = shell(*said)
            assert (answer.code, answer.err) == (1, ""), said
            assert answer.out.startswith("acme: amber-falcon-river, a refusal of ")
            assert "To fix it (in the customer's LMS or HR system):" in answer.out

    def test_one_that_two_were_given(self, shell: Shell) -> None:
        """The latest is explained, and it is said that there is another."""
        for reason in ("the first", "the second"):
            shell.refused("amber-falcon-river", Refusal(Code.NOT_ENROLLED, reason))
        said = shell("amber-falcon-river")
        assert "2 have this reference" in said.out

    def test_one_that_nobody_was_given(self, shell: Shell) -> None:
        said = shell("amber-falcon-river")
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
        assert "nothing is known of amber-falcon-river" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "Missing argument"),
        (["-"], 2, "--tenant SLUG"),
        (["--tenant", "acme", "a", "b"], 2, "one file at a time"),
        (["--tenant", "nobody", "{file}"], 1, "there is no tenant nobody"),
        (["--tenant", "acme", "/no/such/file"], 1, "there is no file"),
        (["a" * 300], 1, "a reference is three words"),
        (["--tenant", "acme", "a" * 2000], 1, "give it by standard input"),
        (["two words"], 1, "a reference is three words"),
        (["\x1b[2J"], 1, "a reference is three words"),
    ],
)
def test_what_cannot_be_done(shell: Shell, arguments: list[str], code: int, text: str) -> None:
    file = shell.saved()
    said = shell(*(argument.replace("{file}", file) for argument in arguments))
    assert (said.code, said.out) == (code, "")
    assert text in " ".join(said.err.split())
    assert "\x1b" not in said.err
