"""The routes of `bridge.yaml`: from a path, under one reading of it, to what it asks for.

A table answers for exactly the reading that it is given. Whether every plausible reading has the same answer is the
question of `bridge.front.paths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from bridge.settings.routes import Access, CompletionRule, Route

COURSE = "{course}"
REST = "**"


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion rule that a path meets: its place in the settings, and what its own `{course}` caught."""

    rule: int
    method: str
    course: str | None


@dataclass(frozen=True, slots=True)
class Match:
    """What a path asks for. Two matches are equal where access, course and completions are, whichever route said so.

    `bridge` is the access of `/_bridge` and all below it, which is never forwarded. `course` is set on course routes
    whose path names it; on those whose query does, `course_parameter` says how. `route` is the route's place in the
    settings.
    """

    access: Access | Literal["bridge"]
    course: str | None = None
    course_parameter: str | None = None
    completions: tuple[Completion, ...] = ()
    route: int | None = field(default=None, compare=False)

    def completion(self, method: bytes) -> Completion | None:
        """The first completion rule for this method; methods compare with case (RFC 9110, 9.1)."""
        name = method.decode("latin-1")
        return next((met for met in self.completions if met.method == name), None)

    def __str__(self) -> str:
        rules = "".join(f", completion {met.rule}: {met.course!r}" for met in self.completions)
        named = f" {self.course!r}" if self.course is not None else ""
        return f"{self.access}{named}{rules}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One `path:` of the settings, which have seen to it that it makes sense. None among `literals` is `{course}`."""

    literals: tuple[str | None, ...]
    folded: tuple[str | None, ...]
    rest: bool

    @classmethod
    def parse(cls, path: str) -> Pattern:
        parts = path.removesuffix("/").split("/")[1:]
        rest = parts[-1:] == [REST]
        literals = tuple(None if part == COURSE else part for part in (parts[:-1] if rest else parts))
        return cls(literals, tuple(None if literal is None else fold(literal) for literal in literals), rest)

    def meets(self, segments: Sequence[str], names: Sequence[str], *, ignore_case: bool) -> bool:
        """Whether the segments fit; `names` are the same segments, folded if case is to be ignored."""
        wanted = self.folded if ignore_case else self.literals
        if len(segments) < len(wanted) or (len(segments) > len(wanted) and not self.rest):
            return False
        for literal, segment, name in zip(wanted, segments, names, strict=False):
            if literal is None:
                if not segment:
                    return False
            elif literal != name:
                return False
        return True

    def caught(self, segments: Sequence[str]) -> str | None:
        """The segment that stands where the pattern says `{course}`."""
        return segments[self.literals.index(None)] if None in self.literals else None


class RouteTable:
    """Routes and completion rules, compiled."""

    def __init__(self, routes: Sequence[Route], completions: Sequence[CompletionRule]) -> None:
        self._routes = [(Pattern.parse(route.path), route, place) for place, route in enumerate(routes)]
        self._completions = [(Pattern.parse(rule.path), rule.method, place) for place, rule in enumerate(completions)]
        self._bridge = Pattern.parse("/_bridge/**")

    def match(self, text: str, *, decoded: bool = False, ignore_case: bool = False) -> Match:
        """The first route that the text meets, learner where none does.

        A pattern is met with or without one trailing slash. `decoded` says that the text is a percent-decoded path,
        whose course is to be taken as it stands; otherwise the course is decoded once. A course keeps its case always.
        """
        segments = text[1:].split("/")
        if segments[-1] == "":
            segments.pop()
        names = fold(text[1:]).split("/") if ignore_case else segments
        if self._bridge.meets(segments, names, ignore_case=ignore_case):
            return Match("bridge")

        def course(pattern: Pattern) -> str | None:
            caught = pattern.caught(segments)
            return caught if decoded or caught is None else unquote(caught)

        completions = tuple(
            Completion(place, method, course(pattern))
            for pattern, method, place in self._completions
            if pattern.meets(segments, names, ignore_case=ignore_case)
        )
        for pattern, route, place in self._routes:
            if pattern.meets(segments, names, ignore_case=ignore_case):
                if route.access != "course":
                    return Match(route.access, completions=completions, route=place)
                return Match("course", course(pattern), route.course_parameter, completions, place)
        return Match("learner", completions=completions)


def fold(text: str) -> str:
    """The text without its case, the way the loosest comparison in use would have it.

    Beyond Unicode's case folding: what upper-casing first makes equal (dotless i), and the dot of a lower-cased capital
    dotted I, which Java and .NET drop.
    """
    return text.lower() if text.isascii() else text.upper().casefold().replace("\u0307", "")
