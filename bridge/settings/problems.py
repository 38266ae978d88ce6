"""What pydantic found wrong, as problems to act on: file, line, what was found, what to write instead.

What was found is quoted as it was written, before variables were filled in, and only where a type asked for other text:
a secret is never quoted, nor is text that stands where a list or a mapping belongs.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bridge.errors import Problem, SettingsError
from bridge.settings.document import Document, KeyPath, dotted

_SHAPES = {
    "string_type": "write text here, not a list and no keys below it",
    "tuple_type": "write a list here: [one, two], or one `- …` a line",
    "frozen_set_type": "write a list here: [one, two], or one `- …` a line",
    "model_type": "write keys below it",
    "mapping_type": "write keys below it",
}
_LONGEST = 80

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], document: Document) -> Model:
    """The file's values as a model; raises `SettingsError` with every problem, in the order of the file."""
    problems = [document.problem(path, message) for path, message in document.unfilled.items()]
    settings = None
    try:
        settings = model.model_validate(document.values, context={"folder": document.folder})
    except ValidationError as error:
        found = [details for details in error.errors() if document.nearest(details["loc"]) not in document.unfilled]
        problems += [document.problem(details["loc"], _message(model, document, details)) for details in found]
    if problems or settings is None:
        raise in_order(problems)
    return settings


def in_order(problems: list[Problem]) -> SettingsError:
    """One error for the problems of one file, in its order and each once."""
    return SettingsError(*sorted(dict.fromkeys(problems), key=lambda problem: problem.line))


def _message(model: type[BaseModel], document: Document, error: ErrorDetails) -> str:
    loc: KeyPath = error["loc"]
    if error["type"] == "missing":
        return f"`{dotted(loc)}` is missing: write {_example(model, loc)}"
    if error["type"] == "extra_forbidden":
        return f"`{dotted(loc)}` is no {document.word}: {_known(model, document, loc)}"
    path = document.nearest(loc)
    advice = _advice(error)
    if loc[-1:] == ("[key]",):
        return f"`{loc[-2]}` below `{dotted(path[:-1])}`: {advice}"
    written = document.places[path].written
    if error["type"] == "secret" or error["type"] in _SHAPES or written is None:
        return f"`{dotted(path)}`: {advice}"
    quoted = f"`{written[:_LONGEST]}{'…' if len(written) > _LONGEST else ''}`" if written.strip() else "empty"
    return f"`{dotted(path)}` is {quoted}: {advice}"


def _advice(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "literal_error":
        return f"write {context['expected']}".replace("'", "")
    return _SHAPES.get(error["type"], error["msg"])


def _example(model: type[BaseModel], loc: KeyPath) -> str:
    parent = _model_at(model, loc[:-1])
    field = parent.model_fields.get(str(loc[-1])) if parent else None
    examples = field.examples if field else None
    return f"`{loc[-1]}: {examples[0]}`" if examples else f"`{loc[-1]}: …`"


def _known(model: type[BaseModel], document: Document, loc: KeyPath) -> str:
    parent = _model_at(model, loc[:-1])
    names = list(parent.model_fields) if parent else []
    below = {path[-1] for path in document.places if path[:-1] == loc}
    if below and below <= set(names):
        return "remove the line, and indent what stands below it less"
    near = get_close_matches(str(loc[-1]).lower(), names, n=1, cutoff=0.65)
    if near:
        return f"write `{near[0]}`?"
    blocks = {name: _model_in(field.annotation) for name, field in parent.model_fields.items()} if parent else {}
    within = [name for name, block in blocks.items() if block and loc[-1] in block.model_fields]
    return f"write it below `{within[0]}`?" if within else f"what may stand here is {', '.join(names)}"


def _model_at(model: type[BaseModel], loc: KeyPath) -> type[BaseModel] | None:
    """The model whose keys stand at a path; the steps into lists do not change it."""
    found: type[BaseModel] | None = model
    for step in loc:
        if found and isinstance(step, str):
            field = found.model_fields.get(step)
            found = _model_in(field.annotation) if field else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
