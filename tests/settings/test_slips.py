"""What people are told of the mistakes that they make: file, line, and what to write instead. See slips.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.settings.slips import LONGEST, syntax

from .conftest import EXAMPLE_IDP, Folder

SLIPS = yaml.safe_load((Path(__file__).parent / "slips.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("slip", [pytest.param(slip, id=slip["name"]) for slip in SLIPS])
def test_a_slip_is_told_with_what_to_write(folder: Folder, slip: dict[str, Any]) -> None:
    tenants = folder.path / "tenants"
    (tenants / "page.html").write_text("<!DOCTYPE html>\n<html><title>Sign in</title></html>")
    (tenants / "sp.xml").write_text(EXAMPLE_IDP.read_text(encoding="utf-8").replace("IDPSSO", "SPSSO"))
    folder.tenant("acme", slip["text"])
    problems = folder.problems()
    for problem, says in zip(problems, slip["says"], strict=False):
        assert problem.startswith(f"tenants/acme.yaml:{says}"), problems
    assert len(problems) == len(slip["says"]), problems


def test_two_tenants_with_one_domain_are_told_of_each_other(folder: Folder) -> None:
    folder.tenant("acme", "email_domains: [acme.com]")
    folder.tenant("beta", "hosts: [b.example.com]\nemail_domains: [acme.com]")
    first, second = folder.problems()
    assert first.startswith("tenants/acme.yaml:1: the email domain acme.com is also in ")
    assert second.startswith("tenants/beta.yaml:2: the email domain acme.com is also in ")
    assert second.endswith("write it in one of the two files only")


def test_a_line_is_looked_at_no_further_than_people_write() -> None:
    assert syntax(["a" * LONGEST + "\t"], 0, "", "") is None
    assert syntax(["a" * (LONGEST - 1) + "\t"], 0, "", "") is not None
