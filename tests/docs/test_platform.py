"""docs/platform.md and docs/keys.md say what the code does, and their commands work as they stand there."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from bridge.cli.headers import Made
from bridge.cli.signing import keys as commands
from bridge.keys.rollover import AT_ONCE_MS, READY_MS, SPENT_MS, State
from bridge.simulator import seed
from bridge.stamp.assertion import LEEWAY_SECONDS, LIFETIME_SECONDS, Signer
from bridge.stamp.headers import NAMES
from bridge.stamp.identity import Access, Learner
from bridge.stamp.keys import JWKS_SECONDS, KeyRing, SigningKey
from tests.support.processes import free_port, kombo_bridge, started
from tests.support.verifiers import LANGUAGES, SNIPPETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "platform.md").read_text(encoding="utf-8")
KEYS = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
DEVELOPING = PAGE.partition("\n## Developing without an IdP\n")[2]


def test_every_snippet_stands_in_the_page_as_it_was_tested() -> None:
    assert runpy.run_path(str(SNIPPETS / "include.py"))["included"](PAGE) == PAGE, "run python docs/verify/include.py"
    for language in LANGUAGES:
        assert f"<!-- docs/verify/{language.name}/{language.snippet} -->" in PAGE


def first_cells(section: str) -> set[str]:
    """What the first column of a section's first table names."""
    body = PAGE.partition(f"# {section}\n")[2].partition("\n#")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")][2:]
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])}


def test_every_header_and_every_claim_is_explained() -> None:
    learner = Learner("acme", "workday:x", "name_id", 1, user_id="u", remote_id="r", email="e", name="n")
    ring = KeyRing((SigningKey.generate(),))
    token = Signer(lambda: ring, issuer="i", audience="a").sign(learner, Access("c", "ENROLLED", "fresh", "p"), 1)
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    assert set(NAMES) <= first_cells("What arrives")
    assert first_cells("The token") == set(claims)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (PAGE, f"`iat`, `exp` | signed at; {LIFETIME_SECONDS} s later"),
        (PAGE, f"verification below allows {LEEWAY_SECONDS} s more"),
        (PAGE, f"Keep them for {JWKS_SECONDS} s"),
        (PAGE, {6: "six minutes before"}[READY_MS // 60_000]),
        (KEYS, f"keep the JWKS for {JWKS_SECONDS} s: six minutes later"),
        (KEYS, {150: "two and a half minutes later"}[SPENT_MS // 1000]),
        (KEYS, f"signs {AT_ONCE_MS // 1000} s later, when every node"),
        (KEYS, f"signs with it {AT_ONCE_MS // 1000} s later"),
        *((KEYS, f"`{state}`") for state in State if state is not State.DECRYPTS),
        *((PAGE, f"`{enrollment}`") for enrollment in Made),
    ],
)
def test_the_numbers_and_words_are_those_of_the_code(page: str, said: str) -> None:
    assert said in " ".join(page.split())


def test_the_commands_of_a_rotation_exist() -> None:
    named = set(re.findall(r"keys\s+(\w+)", KEYS.partition("\n## ")[2])) - {"for", "in"}
    known = {command.name or command.callback.__name__ for command in commands.registered_commands if command.callback}
    assert {"rotate", "wait", "promote", "retire", "list"} <= named & known


def test_developing_without_an_idp(tmp_path: Path) -> None:
    """The two blocks of the page, one after the other, on free ports; on the platform's nobody listens."""
    [written] = re.findall(r"```yaml\n# dev/bridge.yaml\n(.*?)```", DEVELOPING, re.S)
    [script] = re.findall(r"```sh\n(kombo-bridge simulate.*?)```", DEVELOPING, re.S)
    lines = [line.split("   #")[0] for line in script.replace("\\\n", "").splitlines() if line and line[0] != "#"]
    simulate, *rest = (shlex.split(line.removesuffix(" &"))[1:] for line in lines)
    *before, last = rest
    assert yaml.safe_load(written)["kombo"]["api_key"] == seed.API_KEY
    assert last[last.index("--user") + 1] == seed.JANE.remote_id
    port, platform = str(free_port()), str(free_port())

    def there(text: str) -> str:
        return text.replace("7001", port).replace("9000", platform)

    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "bridge.yaml").write_text(there(written))
    (tmp_path / "config").symlink_to(ROOT / "config")

    def run(words: list[str]) -> subprocess.CompletedProcess[str]:
        command = kombo_bridge(*map(there, words[: words.index(">")] if ">" in words else words))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    with started(kombo_bridge(*map(there, simulate)), tmp_path / "kombo.log") as kombo:
        kombo.wait_for_port(int(port))
        for words in before:
            done = run(words)
            assert done.returncode == 0, done.stderr
        assert list(json.loads(done.stdout)) == ["keys"], "the JWKS was the last of them"
    sent = run(last)
    assert (sent.returncode, sent.stdout) == (1, "")
    assert f"http://127.0.0.1:{platform}/courses/cybersecurity-101 gave no answer" in sent.stderr
    printed = run(last[: last.index("--send")])
    assert "X-Kombo-Enrollment: ENROLLED" in printed.stdout.splitlines()
