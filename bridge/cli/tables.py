"""Tables for people: drawn on a terminal, aligned lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.printable import printable


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """On standard output. Cells may come from outside: nothing in them is markup, or moves a terminal's cursor."""
    lines = [headings, *([printable(cell) for cell in row] for row in rows)]
    if sys.stdout.isatty():
        table = Table()
        for heading in headings:
            table.add_column(heading, overflow="fold")  # cut, an id or a link could not be copied
        for line in lines[1:]:
            table.add_row(*map(Text, line))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
