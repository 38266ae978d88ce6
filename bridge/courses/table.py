"""CSV, read as the settings' loader reads YAML: values with their lines, for the same types to judge.

RFC 4180, in UTF-8 with or without a byte order mark, the first line naming the columns. The separator is a comma, a
semicolon (what Excel writes where the comma is the decimal sign) or a tab: whichever the first line has most of. Empty
cells say nothing, rows of nothing but empty cells are left out, and every other row has as many cells as the first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

from bridge.errors import Problem, SettingsError
from bridge.printable import printable
from bridge.settings.document import Document, Place, text_of
from bridge.settings.files import shown

SEPARATORS = ",;\t"
MOST_CELLS = 100
"""In a first line that somebody means."""

MAX_FILE = 4 * 1024 * 1024
MAX_ROWS = 10_000
"""Of a catalogue or a map, whichever way it is written."""


def read_table(path: Path, rows: str, columns: Collection[str], needed: Collection[str]) -> Document:
    """The file as a list of mappings under the key `rows`; raises `SettingsError`.

    `columns` are those that may be there and `needed` those that must.
    """
    document = Document(shown(path), path.absolute().parent, "column", places={(rows,): Place(1, None)})
    records = _records(document.name, text_of(path, MAX_FILE))
    _, header = next(records, (1, []))
    if problems := [Problem(document.name, 1, message) for message in _wrong_with(header, columns, needed)]:
        raise SettingsError(*problems)
    found: list[dict[str, str]] = []
    odd: list[Problem] = []
    for line, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if len(found) == MAX_ROWS:
            raise SettingsError(Problem(document.name, line, f"more than {MAX_ROWS} rows: split the file"))
        if len(cells) != len(header):
            odd.append(Problem(document.name, line, _other_length(cells, header)))
        filled = {name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()}
        document.places[rows, len(found)] = Place(line, None)
        document.places |= {(rows, len(found), name): Place(line, cell) for name, cell in filled.items()}
        found.append(filled)
    if odd:
        raise SettingsError(*odd)
    document.values = {rows: found}
    return document


def _records(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line that each begins on: a quoted cell may hold line breaks."""
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=first.count), strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        message = f'this is not CSV ({error}): put a cell with a separator, a quote or a line break in "quotes"'
        raise SettingsError(Problem(name, line, printable(message))) from None


def _wrong_with(header: list[str], columns: Collection[str], needed: Collection[str]) -> Iterator[str]:
    if not any(header):
        yield f"the first line is empty: write the names of the columns, of {', '.join(columns)}"
        return
    if len(header) > MOST_CELLS:
        yield f"the first line has {len(header)} cells: write the names of the columns, of {', '.join(columns)}"
        return
    for name in dict.fromkeys(header):
        if name not in columns:
            near = get_close_matches(name.strip().lower(), columns, n=1, cutoff=0.5)
            advice = f"write `{near[0]}`?" if near else f"what may stand here is {', '.join(columns)}"
            yield printable(f"`{name[:80]}` is no column: {advice}")
        elif header.count(name) > 1:
            yield f"the column `{name}` is there twice: keep one"
    for name in needed:
        if name not in header:
            yield f"the column `{name}` is missing: add it"


def _other_length(cells: list[str], header: list[str]) -> str:
    return (
        f"this row has {len(cells)} cells and the first line {len(header)}: add or remove some, and put a cell with a"
        ' separator in "quotes"'
    )
