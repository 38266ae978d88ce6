"""Text from elsewhere, fit for a line of a log or a terminal, or for a sentence."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with U+FFFD for whatever could start a new line or a terminal's control sequence."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def capitalized(text: str) -> str:
    """With a capital, as the beginning of a sentence: reasons and warnings have none."""
    return text[:1].upper() + text[1:]


def cut(text: str, longest: int) -> str:
    """The beginning of a text that might fill a page or a table."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
