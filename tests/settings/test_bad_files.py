"""Every file under `bad/` is refused with exactly the problems that its `#!` lines foretell: line and message."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Folder

BAD = Path(__file__).parent / "bad"


def cases(kind: str) -> list[object]:
    return [pytest.param(path, id=path.stem) for path in sorted((BAD / kind).glob("*.yaml"))]


def check(path: Path, found: list[str], file: str) -> None:
    expected = [line[3:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#! ")]
    assert expected
    assert len(found) == len(expected), found
    for problem, fragment in zip(found, expected, strict=True):
        assert problem.startswith(f"{file}:{fragment}"), (problem, fragment)
        assert "hunter2" not in problem
        assert problem.isprintable()


@pytest.mark.parametrize("path", cases("service"))
def test_a_bad_service_file_is_refused_with_file_and_line(folder: Folder, path: Path) -> None:
    folder.service(path.read_text(encoding="utf-8"))
    check(path, folder.problems(), "bridge.yaml")


@pytest.mark.parametrize("path", cases("tenant"))
def test_a_bad_tenant_file_is_refused_with_file_and_line(folder: Folder, path: Path) -> None:
    folder.tenant("acme", path.read_text(encoding="utf-8"))
    check(path, folder.problems(), "tenants/acme.yaml")
    assert "acme" not in folder.load().tenants


def test_addresses_that_no_request_can_be_made_with_are_found_before_a_learner_comes(folder: Folder) -> None:
    folder.service("public_url: https://h")
    folder.tenant("acme")
    [problem] = folder.problems()
    assert problem.startswith("tenants/acme.yaml:4: `saml.metadata`: python3-saml cannot use the addresses")
