from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
import yaml

import bridge.pages
from bridge.errors import Code
from bridge.pages.texts import catalogues, choose

ROOM = Path(bridge.pages.__file__).parent
ACCEPTED = yaml.safe_load(Path(__file__).with_name("cases").joinpath("accept_language.yaml").read_text("utf-8"))
LANGUAGES = sorted(catalogues())
ENGLISH = catalogues()["en"].texts


def braces(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize(("header", "language"), ACCEPTED)
def test_the_browser_says_which_language(header: str | None, language: str) -> None:
    assert choose(header).language == language


@pytest.mark.parametrize(
    "header", ["de-" * 200_000, "de," * 200_000, "fr;q=0." + "1" * 200_000, "x" * 1_000_000, "-" * 999]
)
def test_a_huge_header_costs_nothing(header: str) -> None:
    assert choose(header).language in LANGUAGES


def test_only_so_much_of_the_header_is_read() -> None:
    assert choose("sv," * 31 + "de").language == "de"
    assert choose("sv," * 32 + "de").language == "en"
    assert choose("x" * 1000 + ",de").language == "en"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_complete(language: str) -> None:
    texts = catalogues()[language].texts
    assert set(texts) == set(ENGLISH)
    assert all(text == text.strip() and text for text in texts.values())
    assert texts["direction"] in ("ltr", "rtl")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_fills_in_what_the_english_one_does(language: str) -> None:
    texts = catalogues()[language].texts
    assert {key: braces(text) for key, text in texts.items()} == {key: braces(text) for key, text in ENGLISH.items()}


def test_every_refusal_says_whom_to_tell_and_nobody_else() -> None:
    told = {code: braces(ENGLISH[f"refusals.{code}.tell"]) - {"service"} for code in Code}
    assert all(whom in ({"it"}, {"training"}, {"support"}) for whom in told.values()), told


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_in_its_own_language(language: str) -> None:
    """A text that was left in English is one that was forgotten; a few short ones may be the same."""
    texts = catalogues()[language].texts
    same = {key for key, text in texts.items() if text == ENGLISH[key] and len(re.sub(r"{.*?}", "", text)) > 12}
    assert language == "en" or same == set()


def test_every_code_has_its_texts_and_no_text_lies_unused() -> None:
    parts = {"title", "happened", "advice", "action", "tell"}
    codes = {str(code) for code in Code} | {"post_expired"}
    sources = "".join(file.read_text("utf-8") for file in [*ROOM.glob("templates/*.html"), *ROOM.glob("*.py")])
    said = {f"refusals.{code}.{part}" for code in codes for part in parts}
    said |= {key for key in re.findall(r'"([a-z_]+(?:\.[a-z_]+)*)"', sources) if key in ENGLISH}
    said |= {f"look_again.{unit}" for unit in ("seconds", "minutes")}
    said |= {
        f"switch.{person}{part}" for person in ("", "person_") for part in re.findall(r'person ~ "([a-z]+)"', sources)
    }
    said |= {f"onward.{purpose}_{part}" for purpose in ("login", "logout") for part in ("title", "happened")}
    said |= {f"logged_out.{part}" for part in re.findall(r'"(happened[a-z_]*)"', sources)}
    assert set(ENGLISH) == said


def test_no_text_carries_markup() -> None:
    found = {
        (name, key) for name in LANGUAGES for key, text in catalogues()[name].texts.items() if re.search(r"[<>&]", text)
    }
    assert found == set()
