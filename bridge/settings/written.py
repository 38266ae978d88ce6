"""How our own value classes tell pydantic that a file writes them as one string."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


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


def written_as_text(cls: type, parse: Callable[[str, Path | None], Any], example: str) -> CoreSchema:
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
        metadata={"pydantic_js_functions": [lambda _schema, _handler: {"type": "string", "examples": [example]}]},
    )
