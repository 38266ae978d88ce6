"""Whoever is let in to one path of a class is let in to all of them: the patterns against the decision itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.errors import Refusal
from bridge.front import queries
from bridge.front.classes import CAPTURED, PLAIN, PathClass, classes_id, path_classes
from bridge.front.paths import PathDecider
from bridge.front.routes import RouteTable
from bridge.settings.routes import CompletionRule, Route

TABLES = yaml.safe_load((Path(__file__).parents[1] / "hostile" / "paths.yaml").read_text(encoding="utf-8"))
TARGETS = yaml.safe_load((Path(__file__).parents[1] / "real" / "engines" / "targets.yaml").read_text())


def class_of(classes: Sequence[PathClass], target: str) -> tuple[str, str | None] | None:
    """The class of a target, and the course where each is a class of its own. What nginx does, in Python."""
    if not re.match(PLAIN, target):
        return None
    for each in classes:
        if found := re.match(rf"{each.pattern}(?:\?|$)", target, re.IGNORECASE if each.ignore_case else 0):
            return each.name and (each.name, found[CAPTURED] if each.of_course else None)
    raise AssertionError(f"nothing is said of {target}")


def decision(decider: PathDecider, target: str, method: bytes = b"GET") -> tuple[str, str | None] | str:
    """Which access a target needs, and to which course; `refused` where it gets no further."""
    path, _, query = target.encode("utf-8", "surrogateescape").partition(b"?")
    try:
        match = decider.decide_path(path)
        return "refused" if match.completions else (match.access, queries.course(match, method, query))
    except Refusal:
        return "refused"


def routes(table: dict[str, Any]) -> list[Route]:
    return [Route(**route) for route in table["routes"]]


def rules(table: dict[str, Any]) -> list[CompletionRule]:
    return [CompletionRule(**rule) for rule in table.get("completions", ())]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["table"])
def test_a_class_says_what_is_decided(table: dict[str, Any]) -> None:
    decider = PathDecider(RouteTable(routes(table), rules(table)))
    classes = path_classes(routes(table), rules(table), ())
    targets = [case["path"] for case in table["paths"] if "path" in case] + TARGETS
    kept = 0
    for target in [*targets, *(f"{target}?x=1" for target in targets), *map(str.upper, targets)]:
        found = class_of(classes, target)
        assert found in (None, decision(decider, target), decision(decider, target, b"POST")), target
        kept += found is not None
    assert kept > 5


def test_the_ordinary_paths_of_a_platform_have_classes() -> None:
    [shipped, *_] = TABLES
    classes = path_classes(routes(shipped), rules(shipped), ["/saml/acs"])
    expected = {
        "/": ("optional", None),
        "/?a=b": ("optional", None),
        "/my": ("learner", None),
        "/my/": ("learner", None),
        "/courses": ("learner", None),
        "/saml/acs/": ("learner", None),
        "/static/app.1f2e.js?v=3": ("public", None),
        "/static/.well-known/x": ("public", None),
        "/courses/x": ("course", "x"),
        "/courses/x/": ("course", "x"),
        "/courses/X/lesson/1?y=/../z&w=%2e": ("course", "X"),
        "/courses/cybersecurity-101/finish/now": ("course", "cybersecurity-101"),
    }
    assert {target: class_of(classes, target) for target in expected} == expected


@pytest.mark.parametrize(
    "target",
    [
        "/saml/acs",
        "/courses/x/finish",
        "/courses/x/FINISH/",
        "/player",
        "/player?id=x",
        "/PLAYER?id=x",
        "/Static/x",
        "/COURSES/x",
        "/_bridge",
        "/_bridge/logout",
        "/_BRIDGE/x",
        "/a//b",
        "//a",
        "/a/.",
        "/a/..?x",
        "/a/../b",
        "/./a",
        "/a;b",
        "/a%62",
        "/ä",
        "/a b",
        "/a?b#c",
        '/a?"',
        "/a?b\x7f",
        "/a\x00",
        "*",
        "http://learn.example.com/a",
        f"/{'a' * 1000}",
    ],
)
def test_the_others_have_none(target: str) -> None:
    [shipped, *_] = TABLES
    assert class_of(path_classes(routes(shipped), rules(shipped), ["/saml/acs"]), target) is None


WORDS = st.sampled_from(
    [
        "a",
        "A",
        "b",
        "a.b",
        "aXb",
        "k",
        "\u212a",
        "ss",
        "\u00df",
        "\u017f",
        "s",
        "\u0130",
        "i",
        "\u0131",
        "I",
        "_bridge",
        "~",
    ]
)
SEGMENTS = st.one_of(WORDS, st.sampled_from(["{course}"]))
PATHS = st.builds(
    lambda parts, end: "/" + "/".join(parts) + (end if parts else end.removeprefix("/")),
    st.lists(SEGMENTS, max_size=3),
    st.sampled_from(["", "/", "/**"]),
)
ASKED = st.builds(
    lambda parts, end: "/" + "/".join(parts) + end,
    st.lists(st.one_of(WORDS, st.sampled_from(["", ".", "..", "...", "%61", "a;b", "x", "finish"])), max_size=4),
    st.sampled_from(["", "/", "?", "?a=/b/../c", "/?id=x", "?tenant=a", "?x#y"]),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Route], list[CompletionRule]]:
    """Routes and completion rules that the settings would let pass."""
    found: list[Route] = []
    for path, access in draw(st.lists(st.tuples(PATHS, st.sampled_from(["public", "optional", "learner", "course"])))):
        named = {} if "{course}" in path or access != "course" else {"course_parameter": "id"}
        try:
            found.append(Route(path=path, access=access, **named))
        except ValidationError:
            continue
    completions: list[CompletionRule] = []
    for path in draw(st.lists(PATHS, max_size=2)):
        try:
            completions.append(CompletionRule(method="POST", path=path))
        except ValidationError:
            continue
    return found, completions


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.lists(ASKED, min_size=1, max_size=12))
@example(([Route(path="/straße", access="public")], []), ["/strasse", "/STRASSE"])
@example(([Route(path="/\u212a/**", access="public")], []), ["/k/x", "/K/x"])
@example(([Route(path="/a.b", access="public")], []), ["/aXb", "/a.b"])
def test_whatever_the_routes(table: tuple[list[Route], list[CompletionRule]], targets: list[str]) -> None:
    decider, classes = PathDecider(RouteTable(*table)), path_classes(*table, ["/a/b"])
    for target in targets:
        found = class_of(classes, target)
        assert found is None or found == decision(decider, target) == decision(decider, target, b"POST"), target


def test_other_routes_are_another_id() -> None:
    [shipped, *_] = TABLES
    first = path_classes(routes(shipped), rules(shipped), ())
    ids = {
        classes_id(first, "tenant"),
        classes_id(first, "organisation"),
        classes_id(path_classes(routes(shipped)[1:], rules(shipped), ()), "tenant"),
        classes_id(path_classes(routes(shipped), (), ()), "tenant"),
        classes_id(path_classes(routes(shipped), rules(shipped), ["/acs"]), "tenant"),
    }
    assert len(ids) == 5
    assert classes_id(path_classes(routes(shipped), rules(shipped), ()), "tenant") in ids
