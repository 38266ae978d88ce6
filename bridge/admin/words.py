"""Numbers, moments and durations as the admin page writes them: short, in UTC, and alike everywhere."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup, escape

from bridge.figures import NOTHING, count, rate
from bridge.moments import length, moment
from bridge.printable import cut, printable

__all__ = ["clock", "coded", "count", "cut", "iso", "length_of", "ms", "rate"]

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


def ms(milliseconds: int | None) -> str:
    """How long a step took."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 10_000:
        return f"{count(milliseconds)} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 120_000 else length(milliseconds)
