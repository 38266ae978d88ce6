"""To which step of forwarding a sample belongs."""

from __future__ import annotations

import linecache
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from bench.forwarding.machine import ROOT

Frame = tuple[str, str, int]
"""File, function and line."""

LOOP = "waiting and receiving: event loop and kernel"


@dataclass(frozen=True)
class Rule:
    """Samples of a step are in these files, in functions and lines that match; anything, where nothing is said."""

    step: str
    files: str
    functions: str = ""
    lines: str = ""

    def holds(self, file: str, function: str, line: str) -> bool:
        return bool(
            re.fullmatch(self.files, file) and re.search(self.functions, function) and re.search(self.lines, line)
        )


SENDING = "sending: event loop and kernel"
PARSING = "parsing the request: llhttp"
READING = "reading the request"
DECIDING = "deciding: session, gate, identity"
HEAD = "the head for the platform"
ANSWER = "the platform's answer"
TELLING = "log and metrics"
CARRYING = "carrying out, deadlines, connections"
BACKGROUND = "everything else of the bridge"

RULES = (
    Rule(TELLING, r"(proxy/(recorder|requestlog)|tallies|lines|logs|metrics/.*)\.py"),
    Rule(SENDING, r"proxy/.*", lines=r"\.write(lines)?\("),
    Rule(PARSING, r"proxy/.*", lines=r"\.feed_data\("),
    Rule(READING, r"(proxy/(reader|request)|exchange)\.py"),
    Rule(DECIDING, r"(front|session|gate|identity|stamp|store)/.*"),
    Rule(ANSWER, r"proxy/(response|caching|framing)\.py"),
    Rule(ANSWER, r"proxy/(headers|names|cookies)\.py", functions=r"(?i)response|answer|sets_own|_length|_chunked"),
    Rule(HEAD, r"proxy/(headers|names|cookies|forwarded)\.py"),
    Rule(ANSWER, r"proxy/upstream\.py", functions=r"\.data_received$"),
    Rule(ANSWER, r"proxy/relay\.py", functions=r"\.(platform_sent|_read_head|_inform|_begin|_pass_on|_finish)$"),
    Rule(CARRYING, r"proxy/.*"),
    Rule(BACKGROUND, r".*"),
)
"""The first that holds decides."""
STEPS = (LOOP, SENDING, PARSING, READING, DECIDING, HEAD, ANSWER, CARRYING, TELLING, BACKGROUND)


def own(file: str) -> str | None:
    """The path of a file below the bridge's package; None for anybody else's."""
    path = Path(file)
    return str(path.relative_to(ROOT / "bridge")) if path.is_relative_to(ROOT / "bridge") else None


def step_of(frames: Iterable[Frame]) -> str:
    """What is nobody's of ours counts for whoever of ours called it; what nobody of ours called is the loop's."""
    for path, function, number in frames:
        file = own(path)
        if file and not file.startswith(("cli/", "proxy/server.py", "__main__", "app.py", "serving.py")):
            line = linecache.getline(path, number)
            return next(rule.step for rule in RULES if rule.holds(file, function, line))
    return LOOP


def place_of(frames: Sequence[Frame]) -> str | None:
    """The innermost function of ours; None where there is none."""
    for path, function, _ in frames:
        file = own(path)
        if file and step_of([(path, function, 0)]) != LOOP:
            return f"{file} {function}"
    return None


class Taken(TypedDict):
    """A stack, the innermost frame first, and in how many samples it was found."""

    count: int
    frames: list[Frame]


def counted(samples: Iterable[Taken]) -> tuple[Counter[str], Counter[str]]:
    """Samples by step, and by the innermost function of ours."""
    steps: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for sample in samples:
        frames, count = sample["frames"], sample["count"]
        steps[step_of(frames)] += count
        if place := place_of(frames):
            places[place] += count
    return steps, places
