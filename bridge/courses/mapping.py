"""The course map by hand: for courses that were pushed before the bridge came, where Kombo returns no origin id.

Where Kombo does (most LMSs), the sync brings the map by itself and nothing has to be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from sqlalchemy import Connection

from bridge.courses.catalogue import OriginId
from bridge.courses.table import read_table
from bridge.errors import Problem
from bridge.kombo.client import askable
from bridge.kombo.model import MAX_ID
from bridge.settings.frozen import Frozen
from bridge.settings.problems import in_order, validated
from bridge.settings.values import AtLeastOne
from bridge.store import courses, lookups


def _course_id(text: str) -> str:
    if not askable(text) or not text.isprintable() or text != text.strip():
        raise ValueError("write the id as Kombo has it: no comma, no blank before or behind, at most 512 characters")
    return text


def _remote_id(text: str) -> str:
    if len(text) > MAX_ID or "\0" in text:
        raise ValueError(f"write the id as the LMS has it: at most {MAX_ID} characters")
    return text


class Line(Frozen):
    """One course of the map."""

    origin_id: OriginId = Field(examples=["cybersecurity-101"])
    """The platform's own id of the course."""
    course_id: Annotated[str, AfterValidator(_course_id)] | None = None
    """Kombo's id of the course."""
    remote_id: Annotated[str, AfterValidator(_remote_id)] | None = None
    """The LMS's id of the course, where Kombo's is not at hand."""

    @model_validator(mode="after")
    def _names_one_course(self) -> Line:
        if (self.course_id is None) == (self.remote_id is None):
            raise ValueError("write either course_id, Kombo's id of the course, or remote_id, the LMS's own")
        return self


class MapFile(Frozen):
    """A course map."""

    lines: Annotated[tuple[Line, ...], AtLeastOne]


@dataclass(frozen=True, slots=True)
class Imported:
    """How many courses a file put on the map, and whether Kombo's own list was there to hold against it."""

    count: int
    compared: bool


class CourseMap:
    """A map as its file has it."""

    def __init__(self, path: Path) -> None:
        """Raises `SettingsError` with everything that is wrong with the file by itself."""
        self._document = read_table(path, "lines", tuple(Line.model_fields), ("origin_id",))
        self._lines = validated(MapFile, self._document).lines

    def take_over(self, connection: Connection, integration_id: str, *, replace: bool = False) -> Imported:
        """Write the map; with `replace`, what earlier imports wrote and this file does not is forgotten.

        Raises `SettingsError` with every line that contradicts another, Kombo or a push. An earlier import may be
        contradicted: that is how it is put right.
        """
        shown = _Shown(connection, integration_id, self._lines)
        problems: list[Problem] = []
        lines: dict[str, int] = {}
        for index, line in enumerate(self._lines):
            field = "course_id" if line.course_id else "remote_id"
            try:
                course_id = shown.course(line)
            except LookupError as error:
                problems.append(self._problem(index, field, str(error)))
                continue
            first = lines.setdefault(course_id, index)
            if first != index:
                place = self._document.places["lines", first]
                problems.append(self._problem(index, field, f"the course is on line {place.line} already: keep one"))
        named = {course_id: self._lines[index].origin_id for course_id, index in lines.items()}
        for course_id, claim in courses.claims(connection, integration_id, named).items():
            if claim.source != "import":
                problems.append(self._problem(lines[course_id], "origin_id", f"{claim}: write that, or leave it out"))
        if problems:
            raise in_order(problems)
        if replace:
            courses.forget_imports(connection, integration_id)
        courses.map_courses(connection, integration_id, named, "import")
        return Imported(len(named), shown.complete)

    def _problem(self, index: int, field: str, message: str) -> Problem:
        return self._document.problem(("lines", index, field), f"`{field}`: {message}")


class _Shown:
    """The courses that Kombo shows, of those that a map names. Before the first sync nobody can tell which it does."""

    def __init__(self, connection: Connection, integration_id: str, lines: Sequence[Line]) -> None:
        course_ids = [line.course_id for line in lines if line.course_id]
        remote_ids = [line.remote_id for line in lines if line.remote_id]
        self.complete = "courses" in lookups.synced(connection, integration_id)
        self._there = courses.existing(connection, integration_id, course_ids)
        self._by_remote_id = courses.by_remote_id(connection, integration_id, remote_ids)

    def course(self, line: Line) -> str:
        """The Kombo id of the line's course; raises `LookupError` with what to write instead."""
        if line.remote_id is None:
            if self.complete and line.course_id not in self._there:
                raise LookupError("Kombo shows no such course: `kombo-bridge courses list --all` has those it does")
            return line.course_id or ""
        found = self._by_remote_id.get(line.remote_id, [])
        if len(found) == 1:
            return found[0]
        if found:
            raise LookupError(f"{len(found)} courses have this id: write course_id instead")
        if not self.complete:
            raise LookupError("the courses have not been read yet: run `kombo-bridge sync`, or write course_id instead")
        raise LookupError("Kombo shows no such course: `kombo-bridge courses list --all` has those it does")
