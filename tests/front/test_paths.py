import time

import pytest

from bridge.errors import Code, Refusal
from bridge.front.paths import PATH_BYTES, READINGS, REMEMBERED_BYTES, PathDecider, legible, readings
from bridge.front.routes import Match, RouteTable
from bridge.settings.routes import Route

TABLE = RouteTable(
    [Route(path="/static/**", access="public"), Route(path="/courses/{course}/**", access="course")],
    [],
)


class Counting(RouteTable):
    """Counts how often it is asked."""

    asked = 0

    def match(self, text: str, *, decoded: bool = False, ignore_case: bool = False) -> Match:
        self.asked += 1
        return super().match(text, decoded=decoded, ignore_case=ignore_case)


def test_the_readings_of_a_plain_path_are_the_path() -> None:
    assert [reading.text for reading in readings("/courses/x/lesson-1.2/a@b:c,d")] == ["/courses/x/lesson-1.2/a@b:c,d"]


def test_readings_are_combined_until_nothing_changes() -> None:
    found = {reading.text for reading in readings("/a%2F..;v//%2562")}
    assert {"/a/..;v//b", "/a/..//%62", "//%62", "/%62", "/b", "/a%2F..//%2562", "/a%2F.."} <= found


def test_decoding_ends_after_the_second_time() -> None:
    assert {reading.text for reading in readings("/%252561")} == {"/%252561", "/%2561", "/%61"}


def test_escapes_without_another_spelling_are_the_path_as_it_stands() -> None:
    assert legible("/übung/%C3%BC%20%5Bx%5D%7c".encode()) == "/übung/ü [x]|"
    assert legible(b"/%61%2F%25%3b%3F%23%2e") == "/%61%2F%25%3b%3F%23%2e"


def test_a_refusal_says_what_the_operator_needs() -> None:
    with pytest.raises(Refusal, match=r"public as it stands, but for course 'x' when read as '/courses/x'"):
        PathDecider(TABLE).decide_path(b"/static/../courses/x")
    with pytest.raises(Refusal, match=r"learner as it stands, but, ignoring case, for public"):
        PathDecider(TABLE).decide_path(b"/STATIC/x")


def test_a_path_above_8_kib_is_too_long() -> None:
    decide = PathDecider(TABLE).decide_path
    assert decide(b"/" + b"x" * (PATH_BYTES - 1)).access == "learner"
    with pytest.raises(Refusal) as refused:
        decide(b"/" + b"x" * PATH_BYTES)
    assert (refused.value.code, refused.value.status) == (Code.REQUEST_MALFORMED, 414)


def test_what_was_decided_is_remembered_refusals_too() -> None:
    table = Counting([], [])
    decide = PathDecider(table).decide_path
    assert decide(b"/x") == Match("learner")
    with pytest.raises(Refusal) as first:
        decide(b"/_BRIDGE")
    asked = table.asked
    assert decide(b"/x") == Match("learner")
    with pytest.raises(Refusal) as second:
        decide(b"/_BRIDGE")
    assert table.asked == asked
    assert first.value.reason == second.value.reason


def test_long_paths_are_not_remembered() -> None:
    table = Counting([], [])
    decide = PathDecider(table).decide_path
    path = b"/" + b"x" * REMEMBERED_BYTES
    decide(path)
    asked = table.asked
    decide(path)
    assert table.asked == 2 * asked


@pytest.mark.parametrize(
    "token",
    [
        "/./%2e;x//..%2f",
        "/.",
        "/..",
        "/",
        "%2525",
        "%2f",
        ";",
        "/;",
        "%u002f",
        "/x/..%2f//%2e;/a%u002f%253f%2523",
        "%C3%A4",
    ],
)
def test_work_is_bounded_whatever_the_path(token: str) -> None:
    path = "/files" + token * ((PATH_BYTES - 6) // len(token))
    begun = time.process_time()
    try:
        PathDecider(TABLE).decide_path(path.encode())
    except Refusal as refusal:
        assert refusal.code is Code.PATH_AMBIGUOUS
    assert time.process_time() - begun < 0.5


def test_too_many_readings_are_refused() -> None:
    with pytest.raises(Refusal, match="more readings"):
        for count, _ in enumerate(readings("/x/..%2f//%2e;/a%u002f%253f%2523" * 4)):
            assert count <= READINGS
