"""Which paths are let in alike, as patterns: for an engine that keeps the bridge's answers.

Most paths of a platform are asked about with the same answer, and one kept for each path would seldom be met again. So
plain paths, which have one reading only (`bridge.front.paths`), are put into classes: whoever is let in to one path of
a class is let in to all of them, with the same headers. What is not surely so stands in no class, and is asked about by
itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.digests import digest_of
from bridge.front.routes import Pattern
from bridge.settings.routes import CompletionRule, Route

CAPTURED: Final = "kombo_course"
"""The name of the group, in the pattern of a course route, that is the course."""

_CHARACTERS = r"A-Za-z0-9._~-"
_ANY = rf"[{_CHARACTERS}]+"
_LITERAL = re.compile(_ANY)
_SEGMENT = rf"(?!\.\.?(?:[/?]|$))[{_CHARACTERS}]++"
_LONGEST = 1000

PLAIN: Final = (
    rf"(?!.{{{_LONGEST + 1}}})/(?:{_SEGMENT}(?:/{_SEGMENT})*+/?)?"
    r"(?:\?[!$-~]*+)?$"
)
"""A target that has one reading: nothing escaped, no empty or dot segments, and no parameters within the path.

Behind the `?` anything printable may stand that is no `#` or quotation mark.
"""


@dataclass(frozen=True, slots=True)
class PathClass:
    """One line of an ordered list, of which the first that a plain path matches decides.

    `pattern` is in the syntax that PCRE and Python share, to be matched against the whole path, in any case where
    `ignore_case` says so. `name` is the class, without blanks and slashes; None stands for no class. On a course route,
    `of_course`, each course is a class of its own and the group `kombo_course` says which.
    """

    pattern: str
    name: str | None
    ignore_case: bool = False
    of_course: bool = False


def path_classes(
    routes: Sequence[Route], completions: Sequence[CompletionRule], former_acs: Iterable[str]
) -> tuple[PathClass, ...]:
    """For the routes and completion rules in force, and the paths that belong to the bridge beside its own.

    A path that meets a pattern only where case is ignored is in no class, since it may be refused. Nor is one that
    meets a completion rule, or needs the query to say which course it is.
    """
    return tuple(_lines(routes, completions, former_acs))


def classes_id(classes: Sequence[PathClass], tenant_parameter: str) -> str:
    """By which it is known whether an engine still goes by the routes in force."""
    return digest_of(repr((PLAIN, classes, tenant_parameter)))[:32]


def _lines(
    routes: Sequence[Route], completions: Sequence[CompletionRule], former_acs: Iterable[str]
) -> Iterator[PathClass]:
    for path in sorted(set(former_acs)):
        if plain := _literally(path.removeprefix("/").split("/")):
            yield PathClass(plain, None)
    for path in ("/_bridge/**", *(rule.path for rule in completions)):
        if anywhere := _written(path, fold=True):
            yield PathClass(anywhere, None, ignore_case=True)
    for route in routes:
        of_course = route.access == "course" and route.course_parameter is None
        if exactly := _written(route.path, segment=f"(?P<{CAPTURED}>[{_CHARACTERS}]+)" if of_course else _ANY):
            yield PathClass(exactly, None if route.course_parameter else route.access, of_course=of_course)
        if anywhere := _written(route.path, fold=True):
            yield PathClass(anywhere, None, ignore_case=True)
    yield PathClass(".*", "learner")


def _written(path: str, segment: str = _ANY, *, fold: bool = False) -> str | None:
    """The plain paths that meet a `path:` of the settings; None where none does. `segment` stands for `{course}`."""
    pattern = Pattern.parse(path)
    plain = _literally(pattern.folded if fold else pattern.literals, segment)
    return None if plain is None else plain + ("(?:/.*)?" if pattern.rest else "/?")


def _literally(segments: Sequence[str | None], segment: str = _ANY) -> str | None:
    if not all(literal is None or _LITERAL.fullmatch(literal) for literal in segments):
        return None
    return "".join("/" + (segment if literal is None else literal.replace(".", r"\.")) for literal in segments)
