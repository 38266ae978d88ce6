"""`${NAME}` and `${file:PATH}` in string values; `$${` is a literal `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bridge.settings.files import UnusableFileError, read_text

MAX_FILE = 64 * 1024

_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class VariableError(ValueError):
    """A variable that cannot be filled in. The message names it and never says a value."""


def expand(text: str, environ: Mapping[str, str], folder: Path) -> str:
    """The text with its variables filled in; raises `VariableError`.

    Done once and after parsing: what a variable holds can be neither YAML nor a variable.
    """
    return _VARIABLE.sub(lambda match: _value(match, environ, folder), text)


def named_files(text: str, folder: Path) -> frozenset[Path]:
    """The files that a text names, whether or not they can be read."""
    names = (match["name"] or "" for match in _VARIABLE.finditer(text))
    return frozenset(folder / name.removeprefix("file:") for name in names if name.startswith("file:"))


def _value(match: re.Match[str], environ: Mapping[str, str], folder: Path) -> str:
    if match[0] == "$${":
        return "${"
    name = match["name"] or ""
    if name.startswith("file:"):
        return _content(folder / name.removeprefix("file:"), match[0])
    if not _NAME.fullmatch(name):
        raise VariableError(f"`{match[0]}` is no variable: write ${{NAME}}, ${{file:PATH}}, or $${{ for a literal ${{")
    return _variable(environ, name)


def _variable(environ: Mapping[str, str], name: str) -> str:
    if name not in environ:
        raise VariableError(f"the environment variable {name} is not set: set it, or write ${{file:PATH}} instead")
    value = environ[name]
    if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
        raise VariableError(f"the environment variable {name} is not UTF-8: set it to text")
    return value


def _content(path: Path, written: str) -> str:
    try:
        text = read_text(path, MAX_FILE)
    except UnusableFileError as error:
        raise VariableError(f"`{written}`: {error}") from None
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
