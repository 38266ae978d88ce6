"""Whatever the accent is, everything can be read (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import itertools

import pytest

from bridge.pages.colours import DARK, LIGHT, SHAPE, TEXT, Scheme, contrast, mixed, palette

from .test_contrast import PAGES, colours

STEPS = ("00", "33", "66", "99", "cc", "ff")
ACCENTS = [f"#{''.join(parts)}" for parts in itertools.product(STEPS, repeat=3)] + ["#777777", "#767676", "#1b2028"]


@pytest.mark.parametrize("exactly", [True, False])
@pytest.mark.parametrize(("scheme", "name"), [(LIGHT, "light"), (DARK, "dark")])
def test_any_accent_can_be_read(scheme: Scheme, name: str, exactly: bool) -> None:
    own = colours(PAGES, name)
    for accent in ACCENTS:
        made = palette(accent, scheme, exactly=exactly)
        for ground in (scheme.card, scheme.paper, made["tint"]):
            for text in (made["accent"], made["accent-hover"], own["ink"], own["soft"]):
                assert contrast(text, ground) >= TEXT, (accent, text, ground)
        assert contrast(made["on-fill"], made["fill"]) >= TEXT, accent
        assert contrast(made["on-fill"], made["fill-hover"]) >= TEXT, accent
        assert contrast(made["edge"], scheme.card) >= SHAPE, accent
        assert made["fill-hover"] != made["fill"], accent
        assert not exactly or made["fill"] == accent, "a button has the brand's own colour"


@pytest.mark.parametrize(("scheme", "name"), [(LIGHT, "light"), (DARK, "dark")])
def test_the_grounds_are_those_of_the_style_sheet(scheme: Scheme, name: str) -> None:
    own = colours(PAGES, name)
    assert contrast(scheme.card, own["card"].replace("#fff", "#ffffff")) == 1
    assert scheme.paper == own["paper"]


def test_contrast_and_mixing_by_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert mixed("#000000", "#ffffff", 0.5) == "#808080"


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    assert palette("#0b3d91", LIGHT)["accent"] == "#0b3d91"
    assert palette("#ffcc00", LIGHT)["accent"] != "#ffcc00"
    assert palette("#ffcc00", LIGHT)["on-fill"] == "#000000"
