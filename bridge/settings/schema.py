"""The JSON Schemas of the two kinds of file, from the types of their settings.

They are for editors, so they take whatever the loader takes, in any way in which an editor may read it, and of what it
refuses as much as a schema can say. Both are committed in `config/schema`, where the files' first lines point.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from bridge.settings.model import Service
from bridge.settings.tenant import TenantFile
from bridge.settings.values import written_duration
from bridge.settings.written import VARIABLE, JsonSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class File(StrEnum):
    """The kinds of settings file."""

    SERVICE = "service"
    TENANT = "tenant"

    @property
    def model(self) -> type[BaseModel]:
        return Service if self is File.SERVICE else TenantFile


def schema(file: File) -> JsonSchema:
    """The JSON Schema of a kind of file."""
    made: JsonSchema = _with_examples(written(file), yaml.safe_load)
    return {"$schema": DIALECT} | made


def rendered(file: File) -> str:
    """The same as text."""
    return json.dumps(schema(file), indent=2, ensure_ascii=False) + "\n"


def written(file: File) -> JsonSchema:
    """The schema, its examples still the YAML that stands behind the key."""
    made: JsonSchema = _tidy(file.model.model_json_schema(schema_generator=_Written))
    return made


class _Written(GenerateJsonSchema):
    """What stands in a file, rather than what pydantic would take in Python: no null, and variables everywhere."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return {"anyOf": [{"enum": list(schema["expected"])}, {"type": "string", "pattern": VARIABLE}]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if made.get("default", ...) is None or isinstance(schema.get("default"), BaseModel):
            del made["default"]  # a block's settings say their own
        return made

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return written_duration(dft)
        return sorted(dft) if isinstance(dft, frozenset) else super().encode_default(dft)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        names = self.generate_inner(schema["keys_schema"])
        values = self.generate_inner(schema["values_schema"])
        return {"type": "object", "propertyNames": {"pattern": names["pattern"]}, "additionalProperties": values}

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        return self._list(schema)

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        return self._list(schema)

    def _list(self, schema: core_schema.SetSchema | core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """Twice the same does no harm."""
        return {"type": "array", "items": self.generate_inner(schema["items_schema"])}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.pop("title", None)
        return made


def _tidy(schema: Any) -> Any:
    """Descriptions on one line."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: " ".join(value.split()) if name == "description" and isinstance(value, str) else _tidy(value)
        for name, value in schema.items()
    }


def _with_examples(schema: Any, read: Callable[[str], Any]) -> Any:
    if isinstance(schema, list):
        return [_with_examples(each, read) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: [read(example) for example in value] if name == "examples" else _with_examples(value, read)
        for name, value in schema.items()
    }
