"""`kombo-bridge headers`: an example is what the service would send, or a refusal that it would give."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette

from bridge.simulator import seed
from bridge.simulator.serving import running
from bridge.stamp.headers import NAMES
from tests.support.deployment import Deployment
from tests.support.processes import kombo_bridge, started
from tests.support.stage import platform, stage
from tests.support.terminal import Said, Terminal

JANE, COURSE = seed.JANE.remote_id, "cybersecurity-101"


@contextmanager
def simulated(folder: Path) -> Iterator[str]:
    """The base URL of a simulated Kombo, as a platform's developer would start it."""
    with started(kombo_bridge("simulate", "kombo", "--json"), folder / "kombo.log") as process:
        process.wait_for_text("\n")
        yield json.loads(process.text().splitlines()[0])["base_url"]


def run(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = kombo_bridge(*arguments, "--config", deployment.path)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def developer(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """As docs/platform.md has it: no IdP, no service; Kombo is simulated, and gone after one sync."""
    folder = tmp_path_factory.mktemp("developer")
    with simulated(folder) as kombo:
        deployment = Deployment(folder, kombo, service={"headers": {"X-Remote-User": "sub"}})
        deployment.tenants["acme"]["gate"] = {"default": "assigned", "library": ["anti-*"]}
        deployment.tenants["globex"] |= {"gate": "library", "unmatched": "pass", "share": ["name"]}
        deployment.write()
        for command in (["sync"], ["keys", "rotate", "headers"]):
            done = run(deployment, *command)
            assert done.returncode == 0, done.stderr
    return deployment


@dataclass
class Shell:
    deployment: Deployment
    terminal: Terminal

    def __call__(self, *arguments: str) -> Said:
        return self.terminal.run(self.deployment.path, "headers", *arguments)

    def lines(self, *arguments: str) -> dict[str, str]:
        said = self(*arguments, "--json")
        assert (said.code, said.err.count("\n")) == (0, 2 if "--enrollment" in arguments else 1), said.err
        return dict(json.loads(said.out))

    def claims(self, lines: dict[str, str]) -> dict[str, Any]:
        """Of the assertion, verified with what `keys jwks` prints."""
        token = lines["X-Kombo-Assertion"]
        keys = json.loads(self.terminal.run(self.deployment.path, "keys", "jwks").out)["keys"]
        [key] = [jwt.PyJWK(key) for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"]]
        return dict(jwt.decode(token, key, ["ES256"], audience="content-platform", issuer="http://127.0.0.1:8080"))


@pytest.fixture
def shell(developer: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(developer, Terminal(capsys, monkeypatch))


def test_a_learner_on_a_course_route(shell: Shell) -> None:
    lines = shell.lines("--tenant", "acme", "--user", JANE, "--course", COURSE)
    claims = shell.claims(lines)
    assert list(lines) == [*NAMES, "X-Remote-User"]
    assert (lines["X-Kombo-Tenant"], lines["X-Kombo-Remote-Id"]) == ("acme", JANE)
    assert (lines["X-Kombo-Course"], lines["X-Kombo-Enrollment"]) == (COURSE, "ENROLLED")
    assert lines["X-Remote-User"] == claims["sub"] == f"acme:{seed.JANE.id}"
    assert (claims["gate"], claims["progression"]) == ("fresh", lines["X-Kombo-Progression"])
    assert claims["match"] == "name_id"


def test_a_learner_elsewhere(shell: Shell) -> None:
    lines = shell.lines("--tenant", "acme", "--user", JANE)
    assert lines["X-Kombo-User"] == seed.JANE.id
    assert lines["X-Kombo-Course"] == lines["X-Kombo-Enrollment"] == ""
    assert "gate" not in shell.claims(lines)


def test_what_the_tenant_does_not_share_is_not_said(shell: Shell) -> None:
    lines = shell.lines("--tenant", "globex", "--user", seed.RITA.remote_id)
    assert (lines["X-Kombo-Name"], lines["X-Kombo-Email"]) == (seed.RITA.name, "")
    claims = shell.claims(lines)
    assert "email" not in claims
    assert claims["match"] == "attribute"


def test_somebody_unmatched_whom_the_tenant_lets_pass(shell: Shell) -> None:
    lines = shell.lines("--tenant", "globex", "--user", "nobody-of-theirs", "--course", COURSE)
    assert lines["X-Kombo-User"] == lines["X-Kombo-Remote-Id"] == ""
    assert lines["X-Remote-User"].startswith("globex:unmatched:")
    assert lines["X-Kombo-Enrollment"] == "LIBRARY"


def test_nobody(shell: Shell) -> None:
    lines = shell.lines()
    assert {name for name, value in lines.items() if value} == {"X-Kombo-Assertion"}
    assert set(shell.claims(lines)) == {"iss", "aud", "iat", "exp"}


def test_an_enrollment_that_nobody_has_looked_up(shell: Shell) -> None:
    arguments = ("--tenant", "acme", "--user", seed.HUGO.remote_id, "--course", "my/own course")
    assert "course_unknown: " in shell(*arguments).err
    lines = shell.lines(*arguments, "--enrollment", "COMPLETED")
    assert (lines["X-Kombo-Course"], lines["X-Kombo-Enrollment"]) == ("my/own course", "COMPLETED")
    assert "an example: nobody has looked up" in shell(*arguments, "--enrollment", "LIBRARY").err


@pytest.mark.parametrize(
    ("user", "course", "code"),
    [
        ("nobody-of-theirs", None, "user_unmatched"),
        ("\x1b[2Jnobody", None, "user_unmatched"),
        (seed.MARTIN.remote_id, None, "user_inactive"),
        (seed.OLGA.remote_id, None, "user_unmatched"),
        (seed.HUGO.remote_id, COURSE, "not_enrolled"),
        (JANE, "no-such-course", "course_unknown"),
        (JANE, "data-privacy-basics", "not_enrolled"),
    ],
)
def test_a_refusal_is_the_services(shell: Shell, user: str, course: str | None, code: str) -> None:
    said = shell("--tenant", "acme", "--user", user, *(["--course", course] if course else []))
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith(f"kombo-bridge: {code}: ")
    assert "\x1b" not in said.err


def test_a_library_course_is_open_to_all(shell: Shell) -> None:
    lines = shell.lines("--tenant", "acme", "--user", seed.HUGO.remote_id, "--course", "anti-bribery")
    assert lines["X-Kombo-Enrollment"] == "LIBRARY"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--tenant", "acme"], 2, "they go together"),
        (["--user", JANE], 2, "they go together"),
        (["--tenant", "globex", "--user", " "], 2, "nobody has an empty id"),
        (["--course", COURSE], 2, "a course is entered by a learner"),
        (["--tenant", "acme", "--user", JANE, "--enrollment", "ENROLLED"], 2, "of which course?"),
        (["--tenant", "acme", "--user", JANE, "--course", COURSE, "--enrollment", "DROPPED"], 2, "Invalid value"),
        (["--curl", "--json"], 2, "one of them"),
        (["--tenant", "no\x1bone", "--user", "x"], 1, "there is no tenant no\ufffdone"),
        (["--send", "http://127.0.0.1:1/"], 1, "http://127.0.0.1:1/ gave no answer: "),
        (["--send", "/courses/x"], 1, "gave no answer: "),
        (["--send", f"http://{'a' * 64}.example/"], 1, "gave no answer: "),
        (["--send", "http://xn--a-ecp.example/"], 1, "gave no answer: "),
    ],
)
def test_what_cannot_be_done(shell: Shell, arguments: list[str], code: int, said: str) -> None:
    answer = shell(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_before_anything_has_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(Deployment(tmp_path), Terminal(capsys, monkeypatch))
    shell.deployment.write()
    assert "there are no header-signing keys yet" in shell().err
    assert not (tmp_path / "bridge.db").exists()


async def test_sent_to_a_platform(shell: Shell) -> None:
    received: list[dict[str, Any]] = []
    async with running(platform(received)) as origin:
        sent = f"{origin}/courses/{COURSE}?a=b"
        said = await asyncio.to_thread(shell, "--tenant", "acme", "--user", JANE, "--course", COURSE, "--send", sent)
    assert said.code == 0
    assert said.out.startswith("200 OK\n")
    [told] = received
    assert told["target"] == f"/courses/{COURSE}?a=b"
    headers = dict(told["headers"])
    assert headers["x-kombo-remote-id"] == JANE
    assert headers["x-kombo-tenant"] == "acme"


async def test_what_the_platform_refuses_is_a_failure(shell: Shell) -> None:
    async with running(Starlette()) as origin:
        said = await asyncio.to_thread(shell, "--send", f"{origin}/nothing")
    assert said.code == 1
    assert said.out.startswith("404 Not Found\n")


def test_a_command_line_for_curl(shell: Shell) -> None:
    said = shell("--tenant", "globex", "--user", seed.SLASH.remote_id, "--curl")
    words = shlex.split(said.out.replace("\\\n", ""))
    assert words[:2] == ["curl", "http://127.0.0.1:9/"]
    assert "X-Kombo-Course;" in words
    assert f"X-Kombo-Remote-Id: {seed.SLASH.remote_id}" in words


async def test_it_is_what_the_service_sends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(tmp_path) as found, found.browser() as browser:
        answer = await browser.launch("acme", seed.JANE, f"/courses/{COURSE}")
        shell = Shell(found.deployment, Terminal(capsys, monkeypatch))
        made = await asyncio.to_thread(shell.lines, "--tenant", "acme", "--user", JANE, "--course", COURSE)
    names = {name.lower(): name for name in made}
    sent = {names[name]: value for name, value in answer.json()["headers"] if name in names}
    assert list(sent) == list(made)
    tokens = [lines.pop("X-Kombo-Assertion") for lines in (sent, made)]
    assert sent == made
    first, second = (jwt.decode(token, options={"verify_signature": False}) for token in tokens)
    moments = ("iat", "exp", "auth_time")
    assert all(abs(first.pop(name) - second.pop(name)) < 600 for name in moments)
    assert first == second
    assert jwt.get_unverified_header(tokens[0]) == jwt.get_unverified_header(tokens[1])
