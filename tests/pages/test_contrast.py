"""Colours against WCAG 2.2, 1.4.3 and 1.4.11, in the light and the dark scheme."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bridge.demo
import bridge.pages

PAGES = Path(bridge.pages.__file__).with_name("style.css")
DEMO = Path(bridge.demo.__file__).with_name("demo.css")
PLATFORM = Path(bridge.demo.__file__).with_name("static") / "platform.css"

TEXT, SHAPE = 4.5, 3.0
PAIRS = {
    PAGES: [
        *(("ink", ground, TEXT) for ground in ("paper", "card", "tint")),
        *(("soft", ground, TEXT) for ground in ("paper", "card", "tint")),
        *(("accent", ground, TEXT) for ground in ("card", "tint")),
        ("on-accent", "accent", TEXT),
        ("on-accent", "accent-hover", TEXT),
        ("warn", "card", TEXT),
        ("field", "card", SHAPE),
    ],
    DEMO: [
        *((company, ground, TEXT) for company in ("acme", "globex", "initech") for ground in ("card", "paper")),
        ("good", "good-tint", TEXT),
        ("warn", "bad-tint", TEXT),
    ],
    PLATFORM: [
        *((text, ground, TEXT) for text in ("ink", "soft", "accent") for ground in ("paper", "card")),
        ("accent", "tint", TEXT),
        ("ink", "tint", TEXT),
        ("ink", "mark", TEXT),
        ("ink", "bad-tint", TEXT),
        ("bad", "bad-tint", TEXT),
        ("on-accent", "accent", TEXT),
        ("on-accent", "accent-hover", TEXT),
    ],
}


def colours(file: Path, scheme: str) -> dict[str, str]:
    """The custom properties of a style sheet; the demo's builds on the pages'."""
    light, dark = re.findall(r":root \{(.*?)\}", file.read_text("utf-8"), re.DOTALL)
    block = light if scheme == "light" else light + dark
    inherited = colours(PAGES, scheme) if file == DEMO else {}
    return inherited | dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", block))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("file", PAIRS, ids=lambda file: file.name)
def test_everything_can_be_read(file: Path, scheme: str) -> None:
    known = colours(file, scheme)
    poor = {}
    for front, ground, least in PAIRS[file]:
        darker, lighter = sorted((luminance(known[front]), luminance(known[ground])))
        ratio = (lighter + 0.05) / (darker + 0.05)
        if ratio < least:
            poor[front, ground] = round(ratio, 2)
    assert poor == {}
