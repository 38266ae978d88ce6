"""docs/events.md has every event of the code with its level and its members, and no other; names follow one pattern."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOGS = ("log", "_log")
IRREGULAR = {
    "cut",
    "forgotten",
    "held",
    "heard",
    "kept",
    "made",
    "read",
    "sent",
    "swept",
    "taken",
    "told",
    "written",
    "given",
}
PARTICLES = {"in", "up"}
BY_HAND = {"log_lines_dropped", "request_ended"}
"""Written without structlog, each line of which costs too much there or comes too late."""


@dataclass
class Event:
    """As it is written down, or logged: its levels, the members that each line has, and those that some have."""

    levels: set[str] = field(default_factory=set)
    always: set[str] = field(default_factory=set)
    sometimes: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Call:
    where: str
    level: str
    name: ast.expr
    always: frozenset[str]
    sometimes: frozenset[str]


def calls(source: str, where: str) -> Iterator[Call]:
    """Each call of a log in a module. `**facts` is looked up in the function that it stands in."""
    for function in (
        each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ):
        dictionaries = {
            target.id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in own(function):
            if isinstance(node, ast.Call) and (level := logs(node.func)):
                always, sometimes = set[str](), set[str]()
                for keyword in node.keywords:
                    if keyword.arg == "exc_info":
                        always.add("exception")
                    elif keyword.arg:
                        always.add(keyword.arg)
                    else:
                        more, some = keys(keyword.value, dictionaries)
                        always |= more
                        sometimes |= some
                if level == "exception":
                    always.add("exception")
                yield Call(
                    f"{where}:{node.lineno}", LEVELS[level], node.args[0], frozenset(always), frozenset(sometimes)
                )


def own(function: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function and not in one within it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from own(child)


def logs(function: ast.expr) -> str | None:
    """The level, where it is a method of a log."""
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return None
    of = function.value
    name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else None
    return function.attr if name in LOGS else None


def keys(node: ast.expr, known: dict[str, ast.expr]) -> tuple[set[str], set[str]]:
    """What a dictionary always has, and what it has sometimes."""
    if isinstance(node, ast.Name) and node.id in known:
        return keys(known[node.id], known)
    if isinstance(node, ast.IfExp):
        parts = [keys(node.body, known), keys(node.orelse, known)]
        always = parts[0][0] & parts[1][0]
        return always, set().union(*(one | other for one, other in parts)) - always
    assert isinstance(node, ast.Dict), f"`**{ast.unparse(node)}` of a log's line: write its members where it is called"
    always, sometimes = set[str](), set[str]()
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            more, some = keys(value, known)
            always, sometimes = always | more, sometimes | some
        else:
            assert isinstance(key, ast.Constant)
            always.add(key.value)
    return always, sometimes


def in_code() -> dict[str, Event]:
    found: dict[str, Event] = {}
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        for call in calls(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))):
            assert isinstance(call.name, ast.Constant), f"{call.where}: write the event's name where it is logged"
            event = found.get(call.name.value)
            if event is None:
                found[call.name.value] = Event({call.level}, set(call.always), set(call.sometimes))
            else:
                both = event.always & call.always
                event.sometimes |= call.sometimes | (event.always ^ call.always)
                event.always = both
                event.levels.add(call.level)
    return found


def in_docs() -> dict[str, Event]:
    """The rows of every table: event, level, when, members, what to do. What is not always there ends in `?`."""
    found: dict[str, Event] = {}
    for row in re.findall(r"(?m)^\| `([a-z_]+)` \| ([a-z, ]+) \| [^|]+ \| ([^|]*) \| [^|]+ \|$", TEXT):
        assert row[0] not in found, f"{row[0]} stands there twice"
        members = set(re.findall(r"`([a-z_]+\??)`", row[2]))
        sometimes = {name.rstrip("?") for name in members if name.endswith("?")}
        found[row[0]] = Event(set(row[1].split(", ")), members - {f"{name}?" for name in sometimes}, sometimes)
    return found


CODE, DOCS = in_code(), in_docs()


def test_every_event_is_documented_and_no_other() -> None:
    assert len(CODE) > 60
    assert CODE.keys() | BY_HAND == DOCS.keys()


@pytest.mark.parametrize("name", CODE)
def test_an_event_has_the_levels_and_members_that_are_documented(name: str) -> None:
    assert CODE[name] == DOCS.get(name)


@pytest.mark.parametrize("name", [*CODE, *sorted(BY_HAND)])
def test_a_name_says_what_of_whom_has_happened(name: str) -> None:
    """Nouns, perhaps `not`, and the past of a verb."""
    *nouns, verb = name.split("_")
    if verb in PARTICLES:
        *nouns, verb = nouns
    assert nouns
    assert verb.endswith("ed") or verb in IRREGULAR
    assert all(word.isalpha() for word in nouns)


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_what_is_written_by_hand_is_written_somewhere(name: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "bridge").rglob("*.py")]
    assert any(re.search(rf'"event": ?"{name}"', source) for source in sources)


def test_what_other_pages_call_an_event_is_one() -> None:
    """Each name that a page gives as one of the log's."""
    said = r"(?:logged as|the log says|event|logs) `([a-z_]+)`"
    for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        assert set(re.findall(said, path.read_text(encoding="utf-8"))) <= DOCS.keys(), path.name


CASES = {
    'log.info("a_made", tenant=1, **facts)': ({"tenant", "b"}, set()),
    'log.exception("a_made", tenant=1)': ({"tenant", "exception"}, set()),
    'log.info("a_made", **maybe)': (set(), {"c"}),
    'self._log.info("a_made", **{**facts, "d": 1})': ({"b", "d"}, set()),
}


@pytest.mark.parametrize("line", CASES)
def test_the_members_are_found(line: str) -> None:
    source = f"def f():\n    facts = {{'b': 1}}\n    maybe = {{'c': 1}} if facts else {{}}\n    {line}\n"
    [call] = calls(source, "here")
    assert (call.always, call.sometimes) == CASES[line]


@pytest.mark.parametrize("line", ['log.info("a", **facts())', 'log.info("a", **elsewhere)'])
def test_what_cannot_be_read_is_said(line: str) -> None:
    with pytest.raises(AssertionError, match="write its members"):
        list(calls(f"def f():\n    {line}\n", "here"))
