"""Numbers, moments and durations as the admin page writes them: short, in UTC, and alike everywhere."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup, escape

from bridge.moments import length, moment
from bridge.printable import printable

__all__ = ["clock", "coded", "count", "cut", "iso", "length_of", "ms", "rate"]

NOTHING = "\N{EN DASH}"
iso = moment
length_of = length


def clock(milliseconds: int) -> str:
    """A moment of the store, in UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def coded(sentence: str) -> Markup:
    """A sentence of ours with what stands between backticks as code."""
    parts = sentence.split("`") if sentence.count("`") % 2 == 0 else [sentence]
    return Markup().join(
        Markup("<code>{}</code>").format(printable(part)) if index % 2 else escape(printable(part))
        for index, part in enumerate(parts)
    )


def count(number: int) -> str:
    """With a comma between thousands."""
    return f"{number:,}"


def ms(milliseconds: int | None) -> str:
    """How long a step took."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 10_000:
        return f"{count(milliseconds)} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 120_000 else length(milliseconds)


def rate(part: int, whole: int) -> str:
    """A share in percent, rounded so that it is 100 or 0 only where it is exactly that."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f} %" if percent not in (0, 100) else f"{percent:.0f} %"


def cut(text: str, longest: int) -> str:
    """The beginning of a text that might fill a page."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
