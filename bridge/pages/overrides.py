"""What is wrong with templates of a deployment's own, found before a learner meets it."""

from __future__ import annotations

import html
import re
import time
import traceback
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from jinja2 import TemplateSyntaxError

from bridge.pages.look import Look, Override
from bridge.pages.pages import Pages
from bridge.pages.press import STYLE
from bridge.pages.samples import Sample, samples
from bridge.printable import cut, printable

TRIAL_SECONDS = 5
"""How long making every page once may take; it usually takes a tenth of one."""

_LONGEST_REASON = 300
_IN_STYLE_SHEET = f"the page's policy leaves it without effect: write it into {STYLE} in the same folder"
_BARRED = [
    (r"<script\b(?!>\s*\{\{\s*script\s*\}\})", "no script runs but the bridge's own: remove it"),
    (r"<[^<>]*\son[a-z]+\s*=", "no script runs but the bridge's own: remove the attribute that begins with `on`"),
    (r"<[^<>]*\sstyle\s*=", _IN_STYLE_SHEET),
    (r"<style\b(?!>\s*\{\{\s*style\s*\}\})", _IN_STYLE_SHEET),
    (
        r"<(?:img|iframe|link|source|video|audio|object|embed)\b[^<>]*\b(?:src|srcset|href|data)\s*=\s*+[\"']?+(?!data:|\{\{)",
        "the page's policy loads nothing from elsewhere: use `logo`, or write the image as a data: URI",
    ),
    (r"\{%-?\s*autoescape\b", "every text is escaped: remove it"),
]
_BARRED_IN_STYLE = [
    (r"<", "a style sheet here has no `<`: remove it"),
    (r"@import\b", "the page's policy loads nothing from elsewhere: write the rules into this file"),
    (r"url\(\s*+[\"']?+(?!data:)", "the page's policy loads nothing from elsewhere: write the image as a data: URI"),
]


class Fault(NamedTuple):
    """Something wrong in a template; `line` counts from 1."""

    file: str
    line: int
    message: str


@lru_cache(maxsize=256)
def faults(templates: tuple[Override, ...]) -> tuple[Fault, ...]:
    """Everything that is wrong with templates, each thing once: what stands in them, or else what becomes of them.

    Each is tried with every page in every shape. Remembered, since many tenants may have the same ones.
    """
    found = [fault for template in templates for fault in _barred(template)]
    return tuple(dict.fromkeys(found or _tried(templates)))


def _barred(template: Override) -> Iterator[Fault]:
    """What a browser would not do for it, so that nobody wonders why."""
    for pattern, message in _BARRED_IN_STYLE if template.name == STYLE else _BARRED:
        for match in re.finditer(pattern, template.source, re.IGNORECASE):
            yield Fault(template.file, template.source.count("\n", 0, match.start()) + 1, message)


def _tried(templates: tuple[Override, ...]) -> Iterator[Fault]:
    if not templates:
        return
    trial = samples(
        Pages(Look(name="Learning Hub", support="https://help.example.com", templates=templates), strict=True)
    )
    ends = time.monotonic() + TRIAL_SECONDS
    try:
        for sample in trial:
            if time.monotonic() > ends:
                raise ValueError(f"making each page once takes longer than {TRIAL_SECONDS} seconds")
            yield from _missing(sample, templates)
    except Exception as error:  # of whatever kind: it came of the template
        yield _located(error, templates)


def _missing(sample: Sample, templates: tuple[Override, ...]) -> Iterator[Fault]:
    """What a page cannot do without: a form's fields, the way on, the reference."""
    text = html.unescape(sample.page.html)
    for name, value in sample.keeps.items():
        if value not in text:
            called = name if name.startswith("<") else f"{{{{ {name} }}}}"
            yield Fault(_file(sample.template, templates), 1, f"a page lacks `{called}` of {sample.template}: show it")


def _file(name: str, templates: tuple[Override, ...]) -> str:
    """The template that is to blame for a page: its own, or else the layout, or whatever there is."""
    by_name = {template.name: template.file for template in templates}
    return by_name.get(name) or by_name.get("layout.html") or templates[0].file


def _located(error: Exception, templates: tuple[Override, ...]) -> Fault:
    files = {template.file: template for template in templates}
    if isinstance(error, TemplateSyntaxError):
        file = error.filename if error.filename in files else templates[0].file
        return Fault(file or "", error.lineno, f"this is no template: {_reason(error.message)}")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    place = (frames[-1].filename, frames[-1].lineno or 1) if frames else (templates[0].file, 1)
    return Fault(*place, f"no page can be made of it: {_reason(error)} (docs/pages.md says what a template may use)")


def _reason(said: object) -> str:
    """It may quote the template, and is read at a terminal."""
    return cut(printable(str(said)), _LONGEST_REASON)
