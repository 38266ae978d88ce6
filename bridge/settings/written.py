"""How kinds of value tell pydantic that a file writes them as one scalar, and JSON Schemas how that looks.

An editor reads YAML in its own way, so a schema must take whatever the loader takes: `audience: 12` is a number there
and text here, and where a variable stands nothing is known yet. Examples are YAML as it stands behind the key.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VARIABLE = r"\$\{"
"""A part of JSON Schema patterns: what a text with a variable in it says is known once that is filled in."""

JsonSchema = dict[str, Any]


def text(kind: str, *examples: str, pattern: str | None = None) -> JsonSchema:
    """The schema of text, which may look like a number; `kind` is what people call it."""
    return _scalar(["string", "number", "boolean"], kind, examples, pattern)


def string(kind: str, *examples: str, pattern: str) -> JsonSchema:
    """The schema of text that never looks like a number."""
    return _scalar("string", kind, examples, pattern)


def number(kind: str, *examples: str, least: int, most: int, pattern: str = "^[0-9]{1,9}$") -> JsonSchema:
    """The schema of a whole number, in quotes or not."""
    return _scalar(["integer", "string"], kind, examples, pattern) | {"minimum": least, "maximum": most}


def flag(kind: str, *examples: str) -> JsonSchema:
    return _scalar(["boolean", "string"], kind, examples, "^(true|false)$")


def _scalar(types: str | list[str], kind: str, examples: tuple[str, ...], pattern: str | None) -> JsonSchema:
    schema: JsonSchema = {"title": kind, "type": types}
    if pattern:
        schema["pattern"] = f"{pattern}|{VARIABLE}"
    return schema | ({"examples": list(examples)} if examples else {})


def folder_of(info: ValidationInfo) -> Path | None:
    """The folder of the file that is being read, where relative paths start; None where settings are made in code."""
    return info.context["folder"] if info.context else None


def from_text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parses a string before pydantic sees it; what is neither a list nor a mapping passes as it is."""

    def validate(value: Any) -> Any:
        if isinstance(value, list | dict):
            raise PydanticCustomError("string_type", "Input should be a valid string")
        return parse(value) if isinstance(value, str) else value

    return BeforeValidator(validate)


def written_as_text(cls: type, parse: Callable[[str, Path | None], Any], schema: JsonSchema) -> CoreSchema:
    """A schema that takes an instance as it is and parses a string; `parse` raises `ValueError` with what to write."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "Input should be a valid string")
        return parse(value, folder_of(info))

    return core_schema.with_info_plain_validator_function(
        validate,
        serialization=core_schema.to_string_ser_schema(),
        metadata={"pydantic_js_functions": [lambda _schema, _handler: dict(schema)]},
    )
