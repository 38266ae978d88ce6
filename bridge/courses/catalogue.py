"""A catalogue: what the platform offers, in YAML or CSV, before any tenant comes into it.

Kombo publishes no longest text. The limits here are guesses, wide of what LMSs show, so that a slip (a whole page
pasted into a title) is found before anything is sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from bridge.courses.table import MAX_FILE, MAX_ROWS, read_table
from bridge.errors import Problem, SettingsError
from bridge.settings.document import Document, read_data
from bridge.settings.files import shown
from bridge.settings.frozen import Frozen
from bridge.settings.problems import in_order, validated
from bridge.settings.values import AtLeastOne
from bridge.settings.written import from_text

LONGEST_ORIGIN_ID = 512
LONGEST_TITLE = 500
LONGEST_DESCRIPTION = 8000
LONGEST_LINK = 2048
MOST_LANGUAGES = 50
LONGEST_DURATION = 60 * 24 * 365

_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
_DURATION = re.compile(r"(?=.)(?:(?P<hours>[0-9]{1,6})h)?(?:(?P<minutes>[0-9]{1,6})m)?|(?P<plain>[0-9]{1,6})")


def _origin_id(text: str) -> str:
    if not 0 < len(text) <= LONGEST_ORIGIN_ID or not text.isprintable() or text != text.strip():
        raise ValueError(
            f"write the platform's own id of the course: at most {LONGEST_ORIGIN_ID} characters on one line, no blank"
            " before or behind"
        )
    return text


def _title(text: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= LONGEST_TITLE or not _legible(text):
        raise ValueError(f"write some text on one line, at most {LONGEST_TITLE} characters")
    return text


def _description(text: str) -> str:
    text = text.strip().replace("\r\n", "\n")
    if not 0 < len(text) <= LONGEST_DESCRIPTION or not all(map(_legible, text.split("\n"))):
        raise ValueError(f"write some text, at most {LONGEST_DESCRIPTION} characters, none of them a control character")
    return text


def _link(text: str) -> str:
    if len(text) > LONGEST_LINK:
        raise ValueError(f"write at most {LONGEST_LINK} characters")
    return text


def _minutes(text: str) -> int:
    written = _DURATION.fullmatch(text)
    parts = {unit: int(number) for unit, number in written.groupdict().items() if number} if written else {}
    minutes = parts.get("hours", 0) * 60 + parts.get("minutes", 0) + parts.get("plain", 0)
    if not 0 < minutes <= LONGEST_DURATION:
        raise ValueError("write whole minutes, or hours and minutes: 45, 45m or 1h30m")
    return minutes


def _several(value: Any) -> Any:
    """In a cell there is no list: blanks, commas and semicolons separate. Counted before each is looked at."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[\s,;]+", value, maxsplit=MOST_LANGUAGES + 1) if part]
    if isinstance(value, list) and len(value) > MOST_LANGUAGES:
        raise ValueError(f"write at most {MOST_LANGUAGES} languages")
    return value


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("write languages such as en or de-DE")
    return text


def _legible(text: str) -> bool:
    """Not `str.isprintable`: titles hold no-break spaces, and emoji are joined by what cannot be seen."""
    return not any(unicodedata.category(char) in _UNSEEN for char in text)


OriginId = Annotated[str, AfterValidator(_origin_id)]


class Entry(Frozen):
    """One course."""

    origin_id: OriginId = Field(examples=["cybersecurity-101"])
    """The platform's own id, as it stands in the course's links."""
    title: Annotated[str, AfterValidator(_title)] = Field(examples=["Introduction to Cybersecurity"])
    """What learners see in their LMS."""
    path: Annotated[str, AfterValidator(_link)] | None = None
    """Where the course is on the platform, if not where the first route with `access: course` says."""
    url: Annotated[str, AfterValidator(_link)] | None = None
    """The same as a whole address, of which only path, query and fragment count."""
    description: Annotated[str, AfterValidator(_description)] | None = None
    thumbnail: Annotated[str, AfterValidator(_link)] | None = None
    """A picture: an https address, or a path that needs no login."""
    duration: Annotated[int, from_text(_minutes)] | None = None
    """In minutes: 45, 45m or 1h30m."""
    languages: Annotated[tuple[Annotated[str, AfterValidator(_language)], ...], BeforeValidator(_several)] = ()
    """Languages such as en or de-DE; an LMS that knows only one takes the first."""

    @field_validator("languages")
    @classmethod
    def _each_once(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(languages))


class CatalogueFile(Frozen):
    """`catalog.yaml`."""

    courses: Annotated[tuple[Entry, ...], AtLeastOne] = Field(examples=["[{origin_id: …, title: …}]"])
    """The courses."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The courses of a file, and where each stands in it."""

    entries: tuple[Entry, ...]
    document: Document

    def problem(self, index: int, field: str, message: str) -> Problem:
        """What is wrong with one course, at the line of that field or of the course."""
        return self.document.problem(("courses", index, field), f"`courses[{index + 1}].{field}`: {message}")


def read_catalogue(path: Path) -> Catalogue:
    """Read `*.yaml` or `*.csv`; raises `SettingsError` with every problem found."""
    match path.suffix.lower():
        case ".yaml" | ".yml":
            document = read_data(path, MAX_FILE, "key")
        case ".csv":
            document = read_table(path, "courses", tuple(Entry.model_fields), ("origin_id", "title"))
        case _:
            raise SettingsError(
                Problem(shown(path), 1, "the file's name says no format: write .yaml or .csv behind it")
            )
    courses = document.values.get("courses")
    if isinstance(courses, list) and len(courses) > MAX_ROWS:
        raise SettingsError(document.problem(("courses", MAX_ROWS), f"more than {MAX_ROWS} courses: split the file"))
    catalogue = Catalogue(validated(CatalogueFile, document).courses, document)
    if problems := list(_wrong_together(catalogue)):
        raise in_order(problems)
    return catalogue


def _wrong_together(catalogue: Catalogue) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, entry in enumerate(catalogue.entries):
        before = first.setdefault(entry.origin_id, index)
        if before != index:
            line = catalogue.document.places["courses", before, "origin_id"].line
            yield catalogue.problem(
                index, "origin_id", f"{entry.origin_id} is on line {line} already: keep one of them"
            )
        if entry.path is not None and entry.url is not None:
            yield catalogue.problem(index, "url", "there is a path as well: keep one of the two")
