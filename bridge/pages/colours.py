"""Colours that can be read (WCAG 2.2, 1.4.3 and 1.4.11), made from whatever colour a brand has.

No accent is refused: an operator does not choose a customer's colour, and which shade of it can be read on which ground
is arithmetic. The button keeps the accent itself, with white or black on it; one of the two can be read on any colour.
Links, icons and outlines take the nearest shade that can be read on every ground of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TEXT, SHAPE = 4.5, 3.0
_BLACK, _WHITE = "#000000", "#ffffff"


@dataclass(frozen=True, slots=True)
class Scheme:
    """The grounds of `style.css` in one scheme, and how much of the accent tints its tinted one."""

    card: str
    paper: str
    tinted: float


LIGHT = Scheme("#ffffff", "#f5f4f0", 0.08)
DARK = Scheme("#1b2028", "#12151b", 0.14)


def palette(accent: str, scheme: Scheme, *, exactly: bool = True) -> dict[str, str]:
    """The custom properties of `style.css` that follow from an accent, as `#rrggbb`.

    Unless `exactly`, the button too takes the shade that can be read: the accent was meant for the other scheme.
    """
    tint = mixed(scheme.card, accent, scheme.tinted)
    shade = legible(accent, (scheme.card, scheme.paper, tint))
    fill = accent if exactly else shade
    on_fill = _WHITE if contrast(fill, _WHITE) >= TEXT else _BLACK
    return {
        "accent": shade,
        "accent-hover": mixed(shade, _far_from(scheme.card), 0.25),
        "tint": tint,
        "fill": fill,
        "fill-hover": _hover(fill, on_fill),
        "on-fill": on_fill,
        "edge": fill if contrast(fill, scheme.card) >= SHAPE else shade,
    }


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def legible(colour: str, grounds: Sequence[str]) -> str:
    """The nearest shade of a colour that can be read as text on every one of the grounds, which are much alike."""
    far = _far_from(grounds[0])
    shades = (mixed(colour, far, step / 50) for step in range(51))
    return next(shade for shade in shades if all(contrast(shade, ground) >= TEXT for ground in grounds))


def mixed(one: str, other: str, share: float) -> str:
    """So much of `other` in `one`; 0 is `one`, 1 is `other`."""
    parts = (round(a + (b - a) * share) for a, b in zip(_parts(one), _parts(other), strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)


def _hover(fill: str, on_fill: str) -> str:
    """A shade beside the button's that can be seen to be another, and be read."""
    away = _BLACK if on_fill == _WHITE else _WHITE
    shades = (mixed(fill, away, 0.2), mixed(fill, on_fill, 0.2))
    seen = (shade for shade in shades if contrast(shade, fill) > 1.05 and contrast(shade, on_fill) >= TEXT)
    return next(seen, fill)


def _far_from(ground: str) -> str:
    return max((_BLACK, _WHITE), key=lambda end: contrast(end, ground))


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    parts = [part / 255 for part in _parts(colour)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
