"""The templates beside this file: one an engine, in which every value is written by that engine's own rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(write: Callable[[Any], str]) -> Environment:
    """`write` makes of a value what may stand in the engine's language, so that none can be more than a value."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=write,
        autoescape=False,  # noqa: S701  # no HTML; `write` sees every value
    )
