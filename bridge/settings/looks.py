"""What `pages:` says, made ready for pages: every file that it names is read here, when the settings are."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from bridge.errors import Problem
from bridge.pages.images import LARGEST_LOGO, data_uri, suits_the_dark
from bridge.pages.look import Logo, Look, Override
from bridge.pages.overrides import faults
from bridge.pages.press import STYLE, own_templates
from bridge.printable import printable
from bridge.settings.appearance import Appearance
from bridge.settings.document import Document
from bridge.settings.files import Watched, read_bytes, read_text, shown

LARGEST_TEMPLATE = 64 * 1024
MOST_TEMPLATES = 50


def look_of(pages: Appearance, document: Document, files: Watched) -> tuple[Look, list[Problem]]:
    """The look that a settings file asks for, and everything that is wrong with it.

    `files` takes up the logo, the folder of templates and each template.
    """
    logo: Logo | None = None
    templates: tuple[Override, ...] = ()
    problems: list[Problem] = []
    if pages.logo:
        try:
            logo = _logo(pages.logo, files)
        except ValueError as error:
            problems.append(document.problem(("pages", "logo"), f"`pages.logo`: {error}"))
    if pages.templates:
        try:
            templates = _templates(pages.templates, files)
        except ValueError as error:
            problems.append(document.problem(("pages", "templates"), f"`pages.templates`: {error}"))
    problems += [Problem(*fault) for fault in faults(templates)]
    return Look(pages.name, logo, pages.accent, pages.accent_dark, pages.support, templates), problems


def _logo(path: Path, files: Watched) -> Logo:
    """Raises `ValueError`."""
    files.add(path)
    image = read_bytes(path, LARGEST_LOGO)
    try:
        return Logo(data_uri(image), plate=not suits_the_dark(image))
    except ValueError as error:
        raise ValueError(f"{shown(path)}: {error}") from None


def _templates(folder: Path, files: Watched) -> tuple[Override, ...]:
    """What a folder overrides: `*.html` and `style.css`; anything else in it is nobody's concern here.

    Raises `ValueError`.
    """
    files.add(folder)
    try:
        found = sorted(file for file in folder.iterdir() if file.suffix == ".html" or file.name == STYLE)
    except OSError as error:
        message = f"{shown(folder)} cannot be read as a folder ({error.strerror}): make it, or name another"
        raise ValueError(message) from None
    chosen = [file for file in found if not file.name.startswith(".")]
    if len(chosen) > MOST_TEMPLATES:
        raise ValueError(f"{shown(folder)} has more than {MOST_TEMPLATES} templates: keep fewer")
    _check_names(chosen)
    _check_places(folder, chosen)
    return tuple(Override(file.name, shown(file), _text(file, files)) for file in chosen)


def _check_names(found: list[Path]) -> None:
    known = sorted(own_templates() | {STYLE})
    for file in found:
        if file.name not in known and not file.name.startswith("_"):
            near = get_close_matches(file.name, known, n=1)
            advice = f"write {near[0]}?" if near else f"those are {', '.join(known)}."
            named = printable(shown(file))
            raise ValueError(f"{named} has the name of no template: {advice} A part of your own begins with `_`")
        if not file.name.isprintable():
            raise ValueError(f"{printable(shown(file))} has a name that cannot be printed: name it otherwise")


def _check_places(folder: Path, found: list[Path]) -> None:
    """Whoever may fill a folder of templates, which everybody gets to read, shall not thereby read other files."""
    inside = os.path.realpath(folder)
    for file in found:
        if os.path.commonpath([inside, os.path.realpath(file)]) != inside:
            raise ValueError(f"{shown(file)} leads out of its folder: put the file itself there")


def _text(file: Path, files: Watched) -> str:
    files.add(file)
    return read_text(file, LARGEST_TEMPLATE)
