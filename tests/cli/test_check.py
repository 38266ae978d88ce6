"""`kombo-bridge check`, as a user runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[2] / "config"
ENVIRON = {
    "BRIDGE_SECRET": "a-secret-of-thirty-two-bytes-or-more",
    "KOMBO_API_KEY": "the-api-key",
    "KOMBO_WEBHOOK_SECRET": "the-webhook-secret",
}


def run(*arguments: str, cwd: Path, environ: dict[str, str] = ENVIRON) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bridge", "check", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={"LANG": "C.UTF-8", **environ}, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(CONFIG, tmp_path / "config", ignore=shutil.ignore_patterns("var"))
    return tmp_path


def test_the_shipped_example_passes_with_its_three_variables(copy: Path) -> None:
    result = run("--config", "config/bridge.yaml", cwd=copy)
    assert (result.returncode, result.stderr) == (0, "")
    first, *notes = result.stdout.splitlines()
    assert first == (
        "acme: Acme Corporation; IdP https://idp.acme.com/saml2; identity by attribute lms_user_id, then email (mail);"
        " gate assigned; IdP certificate until 2046-01-01"
    )
    assert all(note.startswith("note: ") for note in notes)
    assert [path.name for path in (copy / "config").iterdir() if path.name == "var"] == []
    assert not any(value in result.stdout for value in ENVIRON.values())


def test_every_problem_is_a_line_with_file_and_line(copy: Path) -> None:
    tenants = copy / "config" / "tenants"
    (tenants / "beta.yaml").write_text("name: Beta\ngate: open\n")
    (tenants / "Gamma.yaml").write_text("")
    result = run(cwd=copy)
    assert result.returncode == 1
    assert result.stdout.startswith("acme: ")
    heads = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert heads == ["config/tenants/Gamma.yaml:1", *["config/tenants/beta.yaml:1"] * 3, "config/tenants/beta.yaml:2"]


def test_a_missing_variable_is_a_problem_and_no_traceback(copy: Path) -> None:
    result = run(cwd=copy, environ=ENVIRON | {"BRIDGE_SECRET": "short-secret"})
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "config/bridge.yaml:14: `secrets[1]`: write 32 bytes or more, such as the output of `openssl rand -base64 48`"
    ]
    result = run(cwd=copy, environ={})
    assert result.returncode == 1
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "config/bridge.yaml:14",
        "config/bridge.yaml:22",
        "config/bridge.yaml:23",
    ]
    assert result.stdout == ""


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = run("--config", "none.yaml", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == "none.yaml:1: there is no file none.yaml: put it there, or name another\n"


def test_what_is_not_carried_out_yet_is_noted(copy: Path) -> None:
    path = copy / "config" / "tenants" / "acme.yaml"
    text = path.read_text().replace("idp_initiated: false", "idp_initiated: true")
    path.write_text(text.replace("sign_requests: false", "sign_requests: true"))
    result = run(cwd=copy)
    assert result.returncode == 0
    noted = {line.split("`")[1] for line in result.stdout.splitlines() if line.startswith("note: ")}
    assert noted == {"completions", "kombo.webhook_secret", "saml.sign_requests", "saml.idp_initiated"}


def test_no_tenants_is_noted(copy: Path) -> None:
    (copy / "config" / "tenants" / "acme.yaml").unlink()
    result = run(cwd=copy)
    assert result.returncode == 0
    assert "there is no tenant file in config/tenants" in result.stdout


@pytest.mark.parametrize(("kind", "required"), [("service", "public_url"), ("tenant", "identity")])
def test_the_json_schemas(tmp_path: Path, kind: str, required: str) -> None:
    result = run("--schema", kind, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    schema = json.loads(result.stdout)
    assert required in schema["required"]
    assert all("description" in field or "$ref" in field for field in schema["properties"].values())


def test_wrong_usage(tmp_path: Path) -> None:
    assert run("--schema", "nothing", cwd=tmp_path).returncode == 2
