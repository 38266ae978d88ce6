"""No target from outside leads a learner away from this origin, or into the bridge's own pages."""

import json
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import Code, Refusal
from bridge.front.targets import TARGET_BYTES, next_target, relay_target

ORIGIN = "https://learn.example.com"
LINES = (Path(__file__).parent / "redirects.txt").read_text(encoding="utf-8").splitlines()
HOSTILE = [json.loads(line) if line.startswith('"') else line for line in LINES if line and not line.startswith("# ")]
HOSTILE.append("/" + "x" * TARGET_BYTES)

TOKENS = [
    "/",
    "/",
    "\\",
    "..",
    ".",
    "%2f",
    "%5c",
    "%2e",
    "%09",
    "%20",
    "%252f",
    ";",
    "?",
    "#",
    "@",
    ":",
    "x",
    "\t",
    " ",
]
TOKENS += ["https:", "evil.example", "_bridge", "learn.example.com", "&", "%u002f", "\u3000", "[", "]", "*", "=", "%"]


def lands_at(location: str) -> str:
    """The origin and path at which a browser arrives (WHATWG URL, 4.4, for a special scheme)."""
    text = re.sub("[\t\n\r]", "", location.strip("".join(map(chr, range(0x21)))))
    head, mark, tail = re.match(r"([^?#]*)([?#]?)(.*)", text, re.DOTALL).groups()
    text = head.replace("\\", "/")
    if scheme := re.match("([a-z][a-z0-9+.-]*):(.*)", text, re.IGNORECASE):
        return f"{scheme[1].lower()}:{scheme[2]}"
    if text.startswith("//"):
        return "https://" + text.lstrip("/").partition("/")[0].rpartition("@")[2]
    return urljoin(ORIGIN + "/", text + mark + tail)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:60])
def test_hostile_targets(value: str) -> None:
    for fragment in (False, True):
        with pytest.raises(Refusal) as refused:
            next_target(value, fragment=fragment)
        assert refused.value.code is Code.PATH_AMBIGUOUS
        assert relay_target(value, ORIGIN, fragment=fragment) == "/"


def test_the_list_is_long_and_says_nothing_twice() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 250


@settings(max_examples=1500, derandomize=True, database=None, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=8).map("".join))
def test_what_passes_stays_on_this_origin(value: str) -> None:
    targets = []
    for fragment in (False, True):
        targets += [relay_target(text, ORIGIN, fragment=fragment) for text in (value, ORIGIN + value)]
        try:
            targets.append(next_target(value, fragment=fragment))
        except Refusal as refusal:
            assert refusal.code is Code.PATH_AMBIGUOUS
    for target in targets:
        assert re.fullmatch(r"/[!-~]*", target)
        assert not re.match(r"/[/\\]", target)
        where = urlsplit(lands_at(target))
        assert (where.scheme, where.netloc) == ("https", "learn.example.com")
        assert not where.path.startswith("//")
        assert where.path.rstrip("/").lower() != "/_bridge"
        assert not where.path.lower().startswith("/_bridge/")


def test_the_browser_of_these_tests_knows_the_tricks() -> None:
    for trick in ("//evil.example", "/\\evil.example", "/\t/evil.example", " //evil.example", "https://evil.example"):
        assert "evil.example" in urlsplit(lands_at(trick)).netloc
    assert lands_at("/courses/../x?y") == f"{ORIGIN}/x?y"
