"""docs/troubleshooting.md has a section for each refusal; what it says of files, commands and their output is so."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bridge.cli import app
from bridge.cli.commands import register
from bridge.cli.defaulting import DEFAULT, Defaulting
from bridge.errors import Code
from bridge.pages.texts import catalogues
from bridge.simulator import seed
from tests.docs.test_events import DOCS as EVENTS
from tests.support.deployment import Deployment
from tests.support.stage import stage as open_stage

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODES = TEXT.partition("\n## Refusals, by code\n")[2]
SECTIONS = dict(re.findall(r"(?ms)^### `([a-z_]+)`\n(.*?)(?=^### |\Z)", CODES))


def block(language: str, after: str = "") -> str:
    """The first fenced block of a language, of those after a text."""
    found = re.search(rf"(?ms)^```{language}\n(.*?)^```$", TEXT.partition(after)[2] if after else TEXT)
    assert found
    return found[1]


BROKEN = block("yaml", "<!-- The tests check this file")
SAID = block("console", BROKEN)
FIX = block("text", "<!-- The tests make this launch")


def test_every_code_has_a_section_and_no_other() -> None:
    assert list(SECTIONS) == [str(code) for code in Code], "in the order of the contract"
    assert len(re.findall(r"(?m)^### ", CODES)) == len(SECTIONS)


@pytest.mark.parametrize("code", Code)
def test_a_section_begins_with_what_the_learner_reads(code: Code) -> None:
    title = catalogues()["en"](f"refusals.{code}.title")
    first = SECTIONS[code].strip().splitlines()[0]
    assert re.fullmatch(rf"\*{re.escape(title)}\* · {code.status}(, [0-9]{{3}})*", first)


@pytest.mark.parametrize("code", Code)
def test_a_section_has_causes_with_their_change_and_says_whom_to_call(code: Code) -> None:
    section = SECTIONS[code]
    assert "| usual cause | change |" in section or "Causes and changes are those of" in section
    assert re.search(r"(?m)^Whom to call: \S", section)


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9_ -]", "", each.lower()).replace(" ", "-") for each in re.findall(r"(?m)^#+ (.*)$", TEXT)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (ROOT / "docs" / target).exists(), target


def test_checks_and_events_are_called_what_they_are_called() -> None:
    checks = re.findall(r"(?m)^\| ((?:`[a-z0-9_]+`(?:, )?)+) \|", SECTIONS["saml_rejected"])
    known = set(re.findall(r"`([a-z0-9_]+)`", (ROOT / "docs" / "saml.md").read_text(encoding="utf-8")))
    assert len(checks) > 8
    assert {each for cell in checks for each in re.findall(r"`([a-z0-9_]+)`", cell)} <= known
    said = re.findall(r"`([a-z_]+)` in the log|log's `([a-z_]+)` says|says\s`(settings_applied)`", TEXT)
    names = {name for found in said for name in found if name}
    assert len(names) > 8
    assert names - {"reason"} <= EVENTS.keys()


def commands() -> Iterator[tuple[str, ...]]:
    """Every command line of this page and of the README, without comments and prompts."""
    for text in (TEXT, README):
        spans = re.findall(r"`(kombo-bridge [^`]+)`", text)
        lines = re.findall(r"(?m)^(?:\$ )?(kombo-bridge .*)$", text)
        yield from (tuple(line.partition(" #")[0].split()) for line in (*spans, *lines))


@pytest.mark.parametrize("line", sorted(set(commands())), ids=" ".join)
def test_a_command_exists_with_its_options(line: tuple[str, ...]) -> None:
    register()
    command: Any = typer.main.get_command(app)
    words = list(line[1:])
    while words and words[0] in getattr(command, "commands", ()):
        command = command.commands[words.pop(0)]
    if isinstance(command, Defaulting):
        command = command.commands[DEFAULT]
    assert getattr(command, "invoke_without_command", True) or not hasattr(command, "commands"), "no such command"
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options
    plain = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    assert plain or not words or words[0].startswith("--"), "it takes no such word"


def test_what_check_says_of_the_file_is_what_stands_there(tmp_path: Path) -> None:
    broken(tmp_path)
    done = run(tmp_path, "check", "--config", "config/bridge.yaml")
    command, said = SAID.split("\n", 1)
    assert command == "$ kombo-bridge check --config config/bridge.yaml"
    assert (done.returncode, done.stderr) == (1, said)


def broken(folder: Path) -> None:
    """The shipped example, and beside its tenant the one that does not work."""
    config = folder / "config"
    (config / "tenants").mkdir(parents=True)
    for name in ("bridge.yaml", "tenants/acme.yaml", "tenants/acme-idp.xml"):
        (config / name).write_bytes((ROOT / "config" / name).read_bytes())
    (config / "tenants" / "globex.yaml").write_text(BROKEN)
    (config / "tenants" / "globex-idp.xml").write_bytes((ROOT / "config" / "tenants" / "acme-idp.xml").read_bytes())


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    secrets = {"BRIDGE_SECRET": "x" * 40, "KOMBO_API_KEY": "key", "KOMBO_WEBHOOK_SECRET": "secret"}
    command = [sys.executable, "-m", "bridge", *arguments]
    environment = {**os.environ, **secrets, "COLUMNS": "80"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def corrected(text: str) -> str:
    """The file with each line as `check` says."""
    for wrong, right in (
        ("integration:", "integration_id:"),
        ("clock_skew: 10m", "clock_skew: 5m"),
        ("attribut:", "attribute:"),
        ("enrol\n", "nothing\n"),
    ):
        assert text.count(wrong) == 1
        text = text.replace(wrong, right)
    return text


async def test_what_explain_says_of_the_launch_is_what_stands_there(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()

    def prepare(deployment: Deployment) -> None:
        deployment.tenants = {"globex": deployment.tenants["globex"]}
        write = deployment.write

        def written() -> Path:
            path = write()
            (folder / "tenants" / "globex.yaml").write_text(corrected(BROKEN))
            return path

        deployment.write = written  # the file is to stand as the page has it

    async with open_stage(folder, prepare=prepare) as stage:
        attributes: dict[str, Any] = {"employeeNumber": ["0777-G"], "lms_user_id": [seed.RITA.remote_id]}
        async with stage.browser() as browser:
            answer = await browser.sign_in("globex", seed.RITA, "/my", name_id="opaque", attributes=attributes)
            assert answer.status_code == 403
        reference = stage.refusal()["reference"]
        done = await explained(tmp_path, reference)
    assert "To fix it" in done.stdout, done.stdout + done.stderr
    assert done.stdout[done.stdout.index("To fix it") :].strip() == FIX.strip()


async def explained(folder: Path, reference: str) -> subprocess.CompletedProcess[str]:
    """What `explain` says, once the launch has been written down."""
    for _ in range(20):
        done = run(folder, "explain", reference, "--config", "config/bridge.yaml")
        if "To fix it" in done.stdout:
            break
        await asyncio.sleep(0.2)
    return done
