"""The texts of the facts, filled in: pieces that every way of showing them writes by its own rules.

A text is taken apart before values are put in, so that nothing in a value can be a mark, a name in braces, or markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Literal, NamedTuple

from bridge.onboarding.facts import Language
from bridge.printable import printable

_MARKS = re.compile(r"\*(?P<label>[^*]+)\*|`(?P<code>[^`]+)`")
_PLACE = re.compile(r"\{\{|\}\}|\{(?P<name>[a-z_]+)\}")


class Piece(NamedTuple):
    """Part of a sentence: plain, the `label` of a field or menu, or `code` to be copied."""

    kind: Literal["plain", "label", "code"]
    text: str


Wording = tuple[Piece, ...]
Values = Mapping[str, str]


class UnwritableError(ValueError):
    """A value that a language has no way to write."""


def worded(text: str, values: Values) -> Wording:
    """The sentence with its places filled in."""
    pieces, at = [], 0
    for mark in _MARKS.finditer(text):
        pieces.append(Piece("plain", filled(text[at : mark.start()], values)))
        kind: Literal["label", "code"] = "label" if mark["label"] else "code"
        pieces.append(Piece(kind, filled(mark["label"] or mark["code"], values)))
        at = mark.end()
    pieces.append(Piece("plain", filled(text[at:], values)))
    return tuple(piece for piece in pieces if piece.text)


def plain(text: str) -> Wording:
    """A text from elsewhere, which has no marks."""
    return (Piece("plain", text),)


def filled(text: str, values: Values, write: Callable[[str], str] = printable) -> str:
    """The text with `{name}` replaced by that value as `write` makes it; `{{` and `}}` are literal braces."""
    return _PLACE.sub(lambda place: write(values[place["name"]]) if place["name"] else place[0][0], text)


def copied(language: Language, text: str, values: Values) -> str | None:
    """Lines to be copied, every value in them quoted by their language's rules; None where one has no such form."""
    try:
        return filled(text, values, lambda value: _QUOTES[language](printable(value)))
    except UnwritableError:
        return None


def _powershell(value: str) -> str:
    """A verbatim string, in which every kind of single quote that PowerShell knows is doubled."""
    return (
        "'"
        + re.sub("(['\N{LEFT SINGLE QUOTATION MARK}-\N{SINGLE HIGH-REVERSED-9 QUOTATION MARK}])", r"\1\1", value)
        + "'"
    )


def _claim_rule(value: str) -> str:
    """AD FS's claim rule language documents no escape."""
    if '"' in value or "\\" in value:
        raise UnwritableError
    return f'"{value}"'


_QUOTES: Mapping[Language, Callable[[str], str]] = {
    "powershell": _powershell,
    "claim rule": _claim_rule,
    "xml": lambda value: f'"{escape(value)}"',
}
