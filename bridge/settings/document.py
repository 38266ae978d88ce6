"""A settings file to plain values, with the line of each.

Only the part of YAML that can be read in one way: one document of mappings, lists and text. Every scalar stays the text
that was written, quoted or not, so that none of YAML 1.1's surprises (`no`, `12:30`, `1e3`, dates) can happen; what it
means is for the type of the setting to say. Anchors, aliases, tags and duplicate keys are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from bridge.errors import Problem, SettingsError
from bridge.printable import printable
from bridge.settings import slips
from bridge.settings.files import UnusableFileError, Watched, read_text, shown
from bridge.settings.variables import VariableError, expand, named_files

MAX_SIZE = 256 * 1024
MAX_DEPTH = 16
MAX_VALUES = 250_000
"""More than any catalogue needs: a file of nothing but commas must not become gigabytes."""

KeyPath = tuple[str | int, ...]

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class Place(NamedTuple):
    """Where a value stands. `written` is its text before variables are filled in; None for a list or a mapping."""

    line: int
    written: str | None


@dataclass(slots=True)
class Document:
    """One file as read. `values` holds mappings, lists and text, with variables filled in.

    `unfilled` are the paths of values whose variables could not be filled in, each with what is wrong. `word` is how
    messages call what a name in it stands for.
    """

    name: str
    folder: Path
    word: str = "setting"
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    unfilled: dict[KeyPath, str] = field(default_factory=dict)

    def nearest(self, path: KeyPath) -> KeyPath:
        """The longest part of a path that stands in the file; `()` is the file itself."""
        while path not in self.places and path:
            path = path[:-1]
        return path

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem at the line of a path, or of what would hold it."""
        place = self.places.get(self.nearest(path))
        return Problem(self.name, place.line if place else 1, printable(message))


def read_document(path: Path, environ: Mapping[str, str], files: Watched) -> Document:
    """Read a settings file; raises `SettingsError` where it is not the YAML that settings are written in.

    `files` takes up the files that its variables name.
    """
    document = Document(shown(path), path.absolute().parent)
    return _read(document, text_of(path, MAX_SIZE), _Filling(environ, files))


def read_data(path: Path, limit: int, word: str) -> Document:
    """As `read_document`, for a file that is no settings: of at most `limit` bytes, and nothing in it is a variable.

    What is in it goes to others, and whoever writes it must not be able to send the environment along.
    """
    return _read(Document(shown(path), path.absolute().parent, word), text_of(path, limit), None)


def text_of(path: Path, limit: int) -> str:
    """The text of a file of at most `limit` bytes; raises `SettingsError`."""
    try:
        return read_text(path, limit)
    except UnusableFileError as error:
        raise SettingsError(Problem(shown(path), 1, str(error))) from None


class _Filling(NamedTuple):
    """What variables are filled in from; `files` takes up the files that they name."""

    environ: Mapping[str, str]
    files: Watched


def _read(document: Document, text: str, filling: _Filling | None) -> Document:
    name = document.name
    reader = _Reader(document, filling, text.split("\n"))
    try:
        reader.read(yaml.parse(text, Loader=_Loader))
    except yaml.YAMLError as error:
        reader.problems.append(Problem(name, *_syntax(error, text)))
    if reader.problems:
        raise SettingsError(*reader.problems)
    return reader.document


def _syntax(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """The line of a syntax error and what is wrong; of the file's text, the parser quotes one character at most."""
    if isinstance(error, yaml.MarkedYAMLError):
        context = error.context or ""
        began = error.context_mark if "quoted scalar" in context else None  # where it does not end says nothing
        mark = began or error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if likely := slips.syntax(text.split("\n"), line - 1, error.problem or "", context):
            return line, f"this is not YAML: {likely}"
        return line, f"this is not YAML ({error.problem}): mind indentation (blanks, no tabs), colons and quotes"
    position = getattr(error, "position", 0)
    return text.count("\n", 0, position) + 1, "a character here cannot stand in YAML: remove it"


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


class _Reader:
    """Events of the YAML parser to a document. The parser keeps no recursion, and the depth here has a limit."""

    def __init__(self, document: Document, filling: _Filling | None, lines: list[str]) -> None:
        self.document = document
        self.filling = filling
        self.lines = lines
        self.problems: list[Problem] = []
        self.count = 0

    def read(self, events: Iterator[yaml.Event]) -> None:
        starts = (event for event in events if isinstance(event, yaml.DocumentStartEvent))
        if not next(starts, None):
            self.problems.append(Problem(self.document.name, 1, f"the file is empty: write its {self.document.word}s"))
            return
        root = next(events)
        if not isinstance(root, yaml.MappingStartEvent):
            likely = slips.looks_like_blank(self.lines[0]) or slips.no_blank(self.lines[0])
            self._wrong(root, f"the file is no mapping: {likely or 'write `key: value` lines'}")
            return
        self.document.values = self._value(root, events, (), 1)
        if second := next(starts, None):
            self._wrong(second, "a second document begins here: remove the line `---` and what belongs to it")

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath, line: int) -> Any:
        """One node. Anything refused is noted and read on, except what would nest too deep."""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._wrong(event, "anchors and aliases (& and *) are not used here: write the value out, or quote it")
        elif getattr(event, "tag", None):
            self._wrong(event, "tags (!) are not used here: write the value alone, or quote it")
        self.count += 1
        if len(path) > MAX_DEPTH:
            self._end(event, f"nested deeper than {MAX_DEPTH} levels: no {self.document.word} is")
        if self.count > MAX_VALUES:
            self._end(event, f"more than {MAX_VALUES} values: split the file")
        self.document.places[path] = Place(line, None)
        match event:
            case yaml.MappingStartEvent():
                return self._mapping(events, path)
            case yaml.SequenceStartEvent():
                return self._list(events, path)
            case yaml.ScalarEvent():
                return self._scalar(event, path, line)
            case _:
                return ""

    def _mapping(self, events: Iterator[yaml.Event], path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
                self._wrong(
                    event, "a key is plain text: write `key: value`, and put a value that begins with { in quotes"
                )
                self._value(event, events, (*path, "?"), line)
                self._value(next(events), events, (*path, "?"), line)
                continue
            key = event.value
            first = self.document.places.get((*path, key))
            value = self._value(next(events), events, (*path, key), line)
            if key in values and first:
                self._wrong(event, f"`{dotted((*path, key))}` is given twice, first on line {first.line}: keep one")
            values[key] = value
        return values

    def _list(self, events: Iterator[yaml.Event], path: KeyPath) -> list[Any]:
        values: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            values.append(self._value(event, events, (*path, len(values)), _line(event)))
        return values

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath, line: int) -> str:
        written: str = event.value
        self.document.places[path] = Place(line, written)
        if event.implicit[0] and written in _NULLS:
            self._wrong(event, f"`{dotted(path)}` has no value: {slips.no_value(self.lines, line - 1)}")
        return written if self.filling is None else self._filled(written, path, self.filling)

    def _filled(self, written: str, path: KeyPath, filling: _Filling) -> str:
        folder = self.document.folder
        for file in named_files(written, folder):
            filling.files.add(file)
        try:
            return expand(written, filling.environ, folder)
        except VariableError as error:
            self.document.unfilled[path] = str(error)
            return written

    def _end(self, event: yaml.Event, message: str) -> NoReturn:
        raise SettingsError(*self.problems, Problem(self.document.name, _line(event), message))

    def _wrong(self, event: yaml.Event, message: str) -> None:
        self.problems.append(Problem(self.document.name, _line(event), printable(message)))


def dotted(path: KeyPath) -> str:
    """A path as messages say it: `routes[2].access`, counting from 1 as people do."""
    return "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
