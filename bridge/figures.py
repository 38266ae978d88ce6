"""Numbers as people read them."""

from __future__ import annotations

NOTHING = "\N{EN DASH}"


def count(number: int) -> str:
    """With a comma between thousands."""
    return f"{number:,}"


def rate(part: int, whole: int) -> str:
    """A share in percent, rounded so that it is 100 or 0 only where it is exactly that."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f} %" if percent not in (0, 100) else f"{percent:.0f} %"
