"""The part of Jinja that a deployment's own templates may use, and a bound on what they cost.

A request waits for its page, and all others wait with it, so no template may run for long or fill the memory. What may
stand in one is listed here, rather than what may not. It assigns nothing and calculates nothing, so that a text grows
only by what is printed, called and included, and that is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.runtime import BlockReference, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge.pages.texts import Catalogue

LARGEST_PAGE, MOST_CALLS, MOST_PARTS = 1024 * 1024, 500, 64
"""In characters printed, in calls and inclusions for one page, and in parts of one expression. No page comes near."""

_STATEMENTS = (
    nodes.Template,
    nodes.Extends,
    nodes.Block,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Macro,
    nodes.For,
    nodes.If,
    nodes.Output,
)
_EXPRESSIONS = (
    nodes.TemplateData,
    nodes.Const,
    nodes.Name,
    nodes.Tuple,
    nodes.List,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Call,
    nodes.Keyword,
    nodes.Filter,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.Not,
    nodes.And,
    nodes.Or,
    nodes.CondExpr,
    nodes.Concat,
)
_TAGS = {"Assign": "set", "AssignBlock": "set", "CallBlock": "call", "FilterBlock": "filter"}
_NOT_IN_LOOPS = (nodes.For, nodes.Block, nodes.Macro)
_NOT_IN_MACROS = (nodes.Call, nodes.Include, nodes.Import, nodes.FromImport, nodes.Block, nodes.Macro)
_FILTERS = (
    *("e", "escape", "upper", "lower", "capitalize", "title", "trim", "truncate", "urlencode"),
    *("default", "d", "length", "count", "first", "last"),
)


class Sandbox(ImmutableSandboxedEnvironment):
    """Makes pages of templates that are not the bridge's own; `begin` is called before each page."""

    def __init__(self, loader: BaseLoader) -> None:
        super().__init__(
            loader=loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=self._print,
        )
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.begin()

    def begin(self) -> None:
        self._calls = self._printed = 0

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        self._count_call()
        return super().call(__context, __obj, *args, **kwargs)

    def get_template(self, name: str | Template, *args: Any, **kwargs: Any) -> Template:
        self._count_call()
        return super().get_template(name, *args, **kwargs)

    def is_safe_callable(self, obj: Any) -> bool:
        """Texts, macros, blocks, and the `items` of a mapping; no method by which a text could be made long."""
        whose = getattr(obj, "__self__", None)
        items = isinstance(whose, Mapping) and obj.__name__ == "items"
        return items or isinstance(obj, (Catalogue, Macro, BlockReference))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, Catalogue):
            return attr == "language"
        return super().is_safe_attribute(obj, attr, value)

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        """Jinja's hook between reading a template and making it code."""
        for node, message in _barred(source):
            raise TemplateSyntaxError(message, node.lineno, name, filename)
        return super()._generate(source, name, filename, defer_init)

    def _count_call(self) -> None:
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise ValueError(f"it calls and includes more than {MOST_CALLS} times for one page")

    def _print(self, value: Any) -> Any:
        """What Jinja asks of every value before it is printed, be it into a page, a block or a macro."""
        if isinstance(value, str):
            self._printed += len(value)
            if self._printed > LARGEST_PAGE:
                raise ValueError("the page is larger than any page should be")
        return value


def _barred(template: nodes.Template) -> Iterator[tuple[nodes.Node, str]]:
    """What may not stand in a template, each with the reason."""
    for node in (template, *template.find_all(nodes.Node)):
        if not isinstance(node, (*_STATEMENTS, *_EXPRESSIONS)):
            kind = type(node).__name__
            yield node, f"a template may not use `{_TAGS.get(kind, kind.lower())}` here"
        elif isinstance(node, nodes.For):
            if not _goes_over_items(node.iter) or node.recursive:
                yield node, "a loop goes over the `.items()` of a mapping, such as `fields`, and over nothing else here"
            yield from ((inner, "this may not stand in a loop") for inner in node.find_all(_NOT_IN_LOOPS))
        elif isinstance(node, nodes.Macro):
            yield from ((inner, "this may not stand in a macro") for inner in node.find_all(_NOT_IN_MACROS))
        elif isinstance(node, nodes.Expr) and sum(1 for _ in node.find_all(nodes.Expr)) > MOST_PARTS:
            yield node, f"an expression has at most {MOST_PARTS} parts here"


def _goes_over_items(expression: nodes.Node) -> bool:
    called = expression.node if isinstance(expression, nodes.Call) else None
    return isinstance(called, nodes.Getattr) and called.attr == "items"
