"""Every path of `paths.yaml` is decided as it says there."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.errors import Code, Refusal
from bridge.front.paths import PathDecider
from bridge.front.routes import Match, RouteTable
from bridge.settings.routes import CompletionRule, Route

TABLES = yaml.safe_load((Path(__file__).parent / "paths.yaml").read_text(encoding="utf-8"))


def decider(table: dict[str, Any]) -> PathDecider:
    routes = [Route.model_validate(route) for route in table["routes"]]
    return PathDecider(RouteTable(routes, [CompletionRule.model_validate(rule) for rule in table["completions"]]))


def in_short(match: Match) -> str:
    course = f"/{match.course}" if match.course is not None else ""
    parameter = f"?{match.course_parameter}" if match.course_parameter else ""
    return f"{match.access}{course}{parameter}" + "".join(f"+{met.rule}" for met in match.completions)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["table"])
def test_every_path_is_decided_as_listed(table: dict[str, Any]) -> None:
    decide = decider(table).decide_path
    wrong = []
    for case in table["paths"]:
        path = case["path"].encode() if "path" in case else case["bytes"].encode("latin-1")
        try:
            found = in_short(decide(path))
        except Refusal as refusal:
            assert refusal.code is Code.PATH_AMBIGUOUS
            found = "ambiguous"
        if found != case["expected"]:
            wrong.append(f"{path!r} is {found}, not {case['expected']}")
    assert not wrong, "\n".join(wrong)


def test_the_list_is_long_and_says_nothing_twice() -> None:
    for table in TABLES:
        paths = [case.get("path", case.get("bytes")) for case in table["paths"]]
        assert len(paths) == len(set(paths))
    assert sum(len(table["paths"]) for table in TABLES) >= 300
