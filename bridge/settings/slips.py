"""What most likely went wrong on a line that is not YAML, or not what was meant: the slips that people make.

Nothing of the line is quoted: it may hold a secret.
"""

from __future__ import annotations

import re

LONGEST = 400

_NO_BLANK = re.compile(r"\s*[A-Za-z_]+:[^\s/:].*")
_KEY = re.compile(r"\s*(?:- )?[A-Za-z_]+:\s")
_SPECIAL = re.compile(r"(?:[:,-]\s+|[,\[{]\s*)(?P<first>[%@`*&!|>])")
_WITHIN = re.compile(r"[:,\[{-]\s*'[^']*'\w")
_COLON = re.compile(r":\s+[^\"'{\[#,]*:\s")
_LIKE_BLANKS = re.compile(r"[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]")


def syntax(lines: list[str], index: int, problem: str, context: str) -> str | None:
    """What to write on the line at `index`, where the parser complains of it; None where nothing is likely."""
    line, before = _at(lines, index), _at(lines, index - 1)
    if "\t" in line:
        return "a tab stands here: indent with blanks"
    if found := looks_like_blank(line) or no_blank(line) or no_blank(before):
        return found
    if "quoted scalar" in context:
        return _quoted(problem)
    if "expected" in problem and re.search(r"[{,]\s*[^{}]*\$\{", line):
        return 'a variable between { and } belongs in quotes: "${NAME}"'
    if " #" in _opened(before):
        return "a # behind a blank begins a comment: put the value in quotes"
    if first := _SPECIAL.search(line):
        return f"a value that begins with {first['first']} belongs in quotes"
    if _WITHIN.search(line):
        return "a ' within single quotes is written twice; or put the value in double quotes"
    if _COLON.search(line):
        return "a value with a colon and a blank in it belongs in quotes"
    if "mapping values" in problem and _KEY.match(line):
        return "indent this line as far as those that it belongs with; the line above it has its value already"
    return None


def looks_like_blank(line: str) -> str | None:
    return "a character stands here that only looks like a blank: write a blank" if _LIKE_BLANKS.search(line) else None


def no_blank(line: str) -> str | None:
    return "write a blank behind the colon: `key: value`" if _NO_BLANK.fullmatch(line) else None


def no_value(lines: list[str], index: int) -> str:
    """What to do about a key without a value."""
    behind = _at(lines, index).partition(":")[2]
    if "#" in behind and re.match(r"\s*#[0-9A-Fa-f]", behind):
        return "what stands behind # is a comment: put the value in quotes"
    indent = _indent(_at(lines, index))
    if _KEY.match(_at(lines, index + 1)) and _indent(_at(lines, index + 1)) == indent and not behind.strip():
        return "write one, indent the lines below it, or remove the line"
    return "write one, or remove the line"


def _quoted(problem: str) -> str:
    if "escape" in problem:
        return r"between double quotes a \ is the beginning of an escape: write the value in single quotes"
    return "a quote that begins here does not end: write both, and a ' within single quotes twice"


def _opened(line: str) -> str:
    """A line that opens a { or [ which it does not close before a comment."""
    code = line.partition(" #")[0]
    return line if code.count("{") > code.count("}") or code.count("[") > code.count("]") else ""


def _at(lines: list[str], index: int) -> str:
    """A line, as far as it is worth a look: whoever fills one with commas must not choose how long that takes."""
    return lines[index][:LONGEST] if 0 <= index < len(lines) else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
