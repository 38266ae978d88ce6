"""docs/forwarding.md has every setting with its default, and every status that forwarding refuses with."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bridge.errors import Code
from bridge.settings.forwarding import Forwarding

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "forwarding.md").read_text(encoding="utf-8")


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its heading."""
    body = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_setting_is_documented_and_no_other() -> None:
    assert [row[0] for row in rows("Settings")] == [f"`{name}`" for name in Forwarding.model_fields]


@pytest.mark.parametrize("name", Forwarding.model_fields)
def test_a_setting_has_the_default_that_it_has(name: str) -> None:
    default = Forwarding.model_fields[name].default
    [said] = [row[1] for row in rows("Settings") if row[0] == f"`{name}`"]
    if default is None:
        assert said.startswith("the ")
    else:
        assert getattr(Forwarding.model_validate({name: said}), name) == default


@pytest.mark.parametrize("name", Forwarding.model_fields)
def test_the_example_says_the_same(name: str) -> None:
    example = (ROOT / "config" / "bridge.yaml").read_text(encoding="utf-8")
    [line] = re.findall(rf"(?m)^  (?:# )?{name}: (\S+)", example.partition("\nforwarding:\n")[2].partition("\n\n")[0])
    [said] = [row[1] for row in rows("Settings") if row[0] == f"`{name}`"]
    assert line == said or said.startswith("the ")


def raised() -> set[int]:
    """The statuses with which `bridge.proxy` refuses, as they are written there."""
    found = set()
    for path in (ROOT / "bridge" / "proxy").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Refusal", "_malformed"):
                values = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "status")]
                found |= {each.value for each in values if isinstance(each, ast.Constant) and type(each.value) is int}
                codes = [each.attr for each in node.args if isinstance(each, ast.Attribute) and each.attr.isupper()]
                found |= {Code[code].status for code in codes}
    return found


def test_every_status_is_documented() -> None:
    documented = {int(row[0]) for row in rows("Requests")}
    assert len(raised()) > 6
    assert raised() <= documented
    assert documented - raised() == {421}  # the front's
