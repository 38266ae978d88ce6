import sys

import pytest

from bridge.front.routes import Completion, Match, RouteTable, fold
from bridge.settings.routes import CompletionRule, Route


def table(*routes: tuple[str, str], completions: tuple[tuple[str, str], ...] = ()) -> RouteTable:
    return RouteTable(
        [Route.model_validate({"path": path, "access": access}) for path, access in routes],
        [CompletionRule(method=method, path=path) for method, path in completions],
    )


@pytest.mark.parametrize(
    ("pattern", "met", "not_met"),
    [
        ("/", ["/"], ["//", "/x"]),
        ("/x", ["/x", "/x/"], ["/", "/x//", "/x/y", "/xy", "/X"]),
        ("/x/", ["/x", "/x/"], ["/x//", "/x/y"]),
        ("/x/**", ["/x", "/x/", "/x/y", "/x//", "/x/y/z/"], ["/", "/xy", "//x"]),
        ("/**", ["/", "//", "/x", "/x/y"], []),
        ("/x/{course}", ["/x/a", "/x/a/"], ["/x", "/x/", "/x//", "/x//a", "/x/a/b"]),
        ("/x/{course}/y/**", ["/x/a/y", "/x/a/y/z"], ["/x/a", "/x//y", "/x/a/z"]),
        ("/übung", ["/übung"], ["/Übung", "/%C3%BCbung"]),
    ],
)
def test_what_a_pattern_meets(pattern: str, met: list[str], not_met: list[str]) -> None:
    one = table((pattern, "public"))
    assert {path for path in met + not_met if one.match(path).access == "public"} == set(met)


def test_the_first_match_wins_and_nothing_is_a_learners() -> None:
    routes = table(("/a/b", "optional"), ("/a/**", "public"), ("/a/b/c", "optional"))
    assert [(routes.match(path).access, routes.match(path).route) for path in ("/a/b", "/a/b/c", "/b")] == [
        ("optional", 0),
        ("public", 1),
        ("learner", None),
    ]


def test_the_bridges_own_come_before_every_route() -> None:
    routes = table(("/**", "public"))
    assert {routes.match(path).access for path in ("/_bridge", "/_bridge/", "/_bridge/x")} == {"bridge"}
    assert routes.match("/_bridges").access == routes.match("/x/_bridge").access == "public"
    assert routes.match("/_BRIDGE/x").access == "public"
    assert routes.match("/_BRIDGE/x", ignore_case=True).access == "bridge"


def test_a_course_is_decoded_once_and_keeps_its_case() -> None:
    routes = table(("/c/{course}/**", "course"))
    assert routes.match("/c/a%2520b").course == "a%20b"
    assert routes.match("/c/a%20b", decoded=True).course == "a%20b"
    assert routes.match("/C/Ä", ignore_case=True).course == "Ä"


def test_a_course_is_named_on_course_routes_only() -> None:
    assert table(("/c/{course}", "learner")).match("/c/x").course is None


def test_completions_are_found_by_method_first_match_first() -> None:
    routes = table(
        ("/c/{course}/**", "course"),
        completions=(("POST", "/c/{course}/done"), ("PUT", "/{course}/x/**"), ("POST", "/c/{course}/**")),
    )
    match = routes.match("/c/x/done")
    assert match.completion(b"POST") == Completion(0, "POST", "x")
    assert match.completion(b"PUT") == Completion(1, "PUT", "c")
    assert match.completion(b"GET") is match.completion(b"post") is None
    assert routes.match("/c/y/z").completions == (Completion(2, "POST", "y"),)
    assert routes.match("/_bridge/x").completions == ()


def test_matches_differ_by_what_they_give_not_by_which_route() -> None:
    assert Match("public", route=0) == Match("public", route=1)
    assert Match("course", "x") != Match("course", "X")
    assert Match("course", course_parameter="id") != Match("course", course_parameter="v")
    assert Match("learner", completions=(Completion(0, "POST", "x"),)) != Match("learner")


def test_case_is_folded_as_loosely_as_any_server_does() -> None:
    for other in ("STATIC", "\u017ftatic", "STAT\u0130C", "stat\u0131c"):
        assert fold(other) == fold("static")
    assert fold("\u212aurs") == fold("kurs")
    assert fold("Ü") == fold("ü") != fold("u")


def test_folding_never_makes_or_eats_a_slash() -> None:
    every = (chr(point) for point in range(sys.maxunicode + 1) if chr(point) != "/")
    assert "/" not in fold("".join(every))
    assert fold("a/\u0307/b").count("/") == 2
