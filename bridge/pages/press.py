"""Turns a template and values into HTML, in one look.

Templates of a deployment's own run in a sandbox: they reach what `docs/pages.md` lists and nothing else, cannot mark a
text as HTML, and no policy is made from what they print. So whatever they say, only the bridge's own scripts run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FunctionLoader, PrefixLoader, StrictUndefined
from jinja2.loaders import ChoiceLoader
from markupsafe import Markup

from bridge.pages.look import NAME, Look
from bridge.pages.sandbox import LARGEST_PAGE, Sandbox

STYLE = "style.css"
MOST_PIECES = 20_000
"""No page has nearly as many; like what `bridge.pages.sandbox` counts, it bounds what somebody's own template costs."""

_HERE = Path(__file__).parent


class Press:
    """Prints in one look. `style` is the whole of its style, for the policy of its pages."""

    def __init__(self, look: Look) -> None:
        sources = {template.name: (template.source, template.file) for template in look.templates}
        own_style, _ = sources.pop(STYLE, ("", ""))
        self.style = _style() + look.colours() + own_style
        self._look = look
        self._sandbox = _with(sources) if sources else None
        self._templates = self._sandbox or _built_in()

    def html(self, template: str, script: str, reference: str | None = None, **values: object) -> str:
        """The page. Raises whatever is wrong with a template that is not the bridge's own."""
        everywhere = {
            "style": Markup(self.style),  # noqa: S704  # of files that the operator or we wrote, and no `</style` in it
            "script": Markup(script),  # noqa: S704  # a file beside this one
            "service": self._look.name or NAME,
            "logo": self._look.logo,
            "support": self._look.support_link(reference),
            "reference": reference,
        }
        if self._sandbox:
            self._sandbox.begin()
        pieces: list[str] = []
        size = 0
        for piece in self._templates.get_template(template).generate(everywhere | values):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_PAGE or len(pieces) > MOST_PIECES:
                raise ValueError("the page is larger than any page should be")
        return "".join(pieces)


def own_templates() -> frozenset[str]:
    """The names of the bridge's own templates."""
    return frozenset(_own())


@cache
def _own() -> Mapping[str, tuple[str, str]]:
    """The bridge's own templates by name, each with its file; read once, so that a page is made without a file."""
    return {file.name: (file.read_text("utf-8"), str(file)) for file in (_HERE / "templates").glob("*.html")}


@cache
def _style() -> str:
    return (_HERE / STYLE).read_text("utf-8")


@cache
def _built_in() -> Environment:
    return Environment(
        loader=FunctionLoader(_finding(_own())),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _with(sources: Mapping[str, tuple[str, str]]) -> Sandbox:
    """The bridge's own templates with some of them replaced; `bridge/…` still names the bridge's own, to extend."""
    own = FunctionLoader(_finding(_own()))
    return Sandbox(ChoiceLoader([FunctionLoader(_finding(sources)), own, PrefixLoader({"bridge": own})]))


def _finding(sources: Mapping[str, tuple[str, str]]) -> Callable[[str], tuple[str, str, None] | None]:
    def find(name: str) -> tuple[str, str, None] | None:
        found = sources.get(name)
        return (*found, None) if found else None

    return find
