"""Each sample of the profile counts for one step, whoever of ours is innermost."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bench.forwarding.groups import LOOP, RULES, SENDING, TELLING, counted, step_of
from bench.forwarding.machine import ROOT

RELAY = str(ROOT / "bridge/proxy/relay.py")
RUNNER = "/usr/lib/python3/asyncio/runners.py"


def lines_with(path: str, text: str) -> int:
    return next(number for number, line in enumerate(Path(path).read_text().splitlines(), 1) if text in line)


def test_what_nobody_of_ours_called_is_the_loop() -> None:
    assert step_of([(RUNNER, "Runner.run", 1), (str(ROOT / "bridge/proxy/server.py"), "serve", 1)]) == LOOP


def test_a_write_is_sending_wherever_it_stands() -> None:
    line = lines_with(RELAY, "transport.write(")
    assert step_of([(RELAY, "Relay._pass_on", line), (RUNNER, "Runner.run", 1)]) == SENDING


def test_a_library_counts_for_whoever_called_it() -> None:
    log = str(ROOT / "bridge/proxy/requestlog.py")
    steps, places = counted(
        [{"count": 3, "frames": [("/usr/lib/python3/json/encoder.py", "encode", 1), (log, "RequestLog._line", 1)]}]
    )
    assert steps == {TELLING: 3}
    assert places == {"proxy/requestlog.py RequestLog._line": 3}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.step}: {rule.files}")
def test_every_rule_still_finds_something(rule) -> None:
    """A module or function that was renamed would silently count for another step."""
    found = [
        path
        for path in (ROOT / "bridge").rglob("*.py")
        if re.fullmatch(rule.files, str(path.relative_to(ROOT / "bridge")))
    ]
    assert found
    if rule.functions:
        names = {name for path in found for name in functions(path)}
        assert any(re.search(rule.functions, name) for name in names)
    if rule.lines:
        assert any(re.search(rule.lines, path.read_text()) for path in found)


def functions(path: Path) -> set[str]:
    """Qualified names, of methods and functions at the top."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else []
        names |= {node.name} if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else set()
        names |= {f"{node.name}.{each.name}" for each in inner if isinstance(each, ast.FunctionDef)}
    return names
