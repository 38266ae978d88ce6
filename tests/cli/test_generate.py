"""`kombo-bridge generate`, as an operator runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.generate.engines import ENGINES
from tests.support.deployment import Deployment


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bridge", "generate", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    found = Deployment(tmp_path, public_url="https://learn.example.com", service={"headers": {"X-Remote-User": "sub"}})
    found.write()
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_prints_a_configuration_and_nothing_else(engine: str, deployment: Deployment) -> None:
    result = run(engine, "--config", deployment.path, "--listen", "127.0.0.1:7070", cwd=deployment.folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("#")
    assert result.stdout.endswith("\n")
    for said in ("7070", "8080", "8081", "x-kombo-"):
        assert said in result.stdout.lower()
    assert not list(deployment.folder.glob("*.db"))


def test_files_are_named_from_where_the_command_runs(deployment: Deployment) -> None:
    result = run(
        "nginx",
        *("--config", deployment.path, "--certificate", "c.pem", "--key", "keys/k.pem", "--cache", "answers"),
        cwd=deployment.folder,
    )
    assert result.returncode == 0
    assert "listen 0.0.0.0:443 ssl" in result.stdout
    for name in ("c.pem", "keys/k.pem", "answers"):
        assert f" {deployment.folder / name}" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("apache",),
        ("NGINX",),
        ("nginx", "caddy"),
        ("nginx", "--listen", "80"),
        ("nginx", "--listen", "example.com:99999"),
        ("nginx", "--certificate", "c.pem"),
        ("nginx", "--key", "k.pem"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], deployment: Deployment) -> None:
    result = run(*arguments, *(("--config", deployment.path) if arguments else ()), cwd=deployment.folder)
    assert (result.returncode, result.stdout) == (2, "")


def test_problems_of_the_settings_are_said_as_check_says_them(deployment: Deployment) -> None:
    path = deployment.folder / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("gate: assigned", "gate: open"))
    result = run("nginx", "--config", deployment.path, cwd=deployment.folder)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("tenants/acme.yaml:1: `gate` ")


def test_what_cannot_be_written_is_one_line(deployment: Deployment) -> None:
    result = run("nginx", "--config", deployment.path, "--listen", "127.0.0.1:8080", cwd=deployment.folder)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("kombo-bridge: the bridge itself listens on 127.0.0.1:8080")
    result = run("nginx", "--config", deployment.path, "--cache", 'a"b', cwd=deployment.folder)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
