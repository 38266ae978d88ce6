"""Turns a template and values into HTML, in one look.

Templates of a deployment's own run in a sandbox: they reach what `docs/pages.md` lists and nothing else, cannot mark a
text as HTML, and no policy is made from what they print. So whatever they say, only the bridge's own scripts run.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    FunctionLoader,
    PrefixLoader,
    StrictUndefined,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from bridge.pages.look import NAME, Look

STYLE = "style.css"
LARGEST_PAGE, MOST_PIECES = 1024 * 1024, 20_000
"""In characters, and in pieces of template. No page comes near them; they bound what somebody's own template costs."""

_HERE = Path(__file__).parent


class Press:
    """Prints in one look. `style` is the whole of its style, for the policy of its pages."""

    def __init__(self, look: Look) -> None:
        sources = {template.name: (template.source, template.file) for template in look.templates}
        own_style, _ = sources.pop(STYLE, ("", ""))
        self.style = _style() + look.colours() + own_style
        self._look = look
        self._templates = _with(sources) if sources else _built_in()

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
    return frozenset(file.name for file in (_HERE / "templates").iterdir() if file.suffix == ".html")


@cache
def _style() -> str:
    return (_HERE / STYLE).read_text("utf-8")


@cache
def _built_in() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _with(sources: dict[str, tuple[str, str]]) -> Environment:
    """The bridge's own templates with some of them replaced; `bridge/…` still names the bridge's own, to extend.

    Nothing is left by which a template could loop for long, or call a text HTML.
    """

    def find(name: str) -> tuple[str, str | None, None] | None:
        found = sources.get(name)
        return (*found, None) if found else None

    own: BaseLoader = FileSystemLoader(_HERE / "templates")
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([FunctionLoader(find), own, PrefixLoader({"bridge": own})]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.clear()
    del environment.filters["safe"]
    return environment
