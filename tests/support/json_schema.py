"""As much of JSON Schema (2020-12) as the settings' schemas use, and YAML as an editor reads it.

What is not known here is an error, so that no keyword of a schema goes unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

Schema = dict[str, Any]

NOTES = {"$schema", "$defs", "title", "description", "default", "examples"}
TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


class Yaml12(yaml.SafeLoader):
    """The core schema of YAML 1.2, by which editors read: `no` and dates are text, `true` and numbers are not."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for tag, pattern, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), list(first))


def _decimal(loader: Yaml12, node: yaml.ScalarNode) -> int:
    """A leading zero is no octal number any more."""
    digits = str(loader.construct_scalar(node))
    return int(digits, 0) if digits[:2] in ("0o", "0x") else int(digits)


Yaml12.add_constructor("tag:yaml.org,2002:int", _decimal)


def read(text: str) -> Any:
    return yaml.load(text, Loader=Yaml12)  # a safe loader


def errors(schema: Schema, value: Any) -> list[str]:
    """What a validator would complain of, each with the place."""
    return list(_errors(schema, schema, value, "$"))


def _errors(root: Schema, schema: Schema, value: Any, at: str) -> Iterator[str]:
    for keyword, said in schema.items():
        if keyword not in NOTES:
            yield from _CHECKS[keyword](root, schema, said, value, at)


def _ref(root: Schema, _: Schema, said: str, value: Any, at: str) -> Iterator[str]:
    yield from _errors(root, root["$defs"][said.removeprefix("#/$defs/")], value, at)


def _type(_: Schema, __: Schema, said: str | list[str], value: Any, at: str) -> Iterator[str]:
    if not any(TYPES[name](value) for name in ([said] if isinstance(said, str) else said)):
        yield f"{at}: no {said}"


def _enum(_: Schema, __: Schema, said: list[Any], value: Any, at: str) -> Iterator[str]:
    if value not in said:
        yield f"{at}: none of {said}"


def _pattern(_: Schema, __: Schema, said: str, value: Any, at: str) -> Iterator[str]:
    if isinstance(value, str) and not re.search(said, value):
        yield f"{at}: not like {said}"


def _minimum(_: Schema, __: Schema, said: int, value: Any, at: str) -> Iterator[str]:
    if TYPES["number"](value) and value < said:
        yield f"{at}: less than {said}"


def _maximum(_: Schema, __: Schema, said: int, value: Any, at: str) -> Iterator[str]:
    if TYPES["number"](value) and value > said:
        yield f"{at}: more than {said}"


def _items(root: Schema, _: Schema, said: Schema, value: Any, at: str) -> Iterator[str]:
    for index, each in enumerate(value if isinstance(value, list) else ()):
        yield from _errors(root, said, each, f"{at}[{index}]")


def _min_items(_: Schema, __: Schema, said: int, value: Any, at: str) -> Iterator[str]:
    if isinstance(value, list) and len(value) < said:
        yield f"{at}: fewer than {said}"


def _properties(root: Schema, _: Schema, said: dict[str, Schema], value: Any, at: str) -> Iterator[str]:
    for name, each in value.items() if isinstance(value, dict) else ():
        if name in said:
            yield from _errors(root, said[name], each, f"{at}.{name}")


def _additional(root: Schema, schema: Schema, said: Schema | bool, value: Any, at: str) -> Iterator[str]:
    for name, each in value.items() if isinstance(value, dict) else ():
        if name not in schema.get("properties", {}):
            if said is False:
                yield f"{at}.{name}: not known"
            elif isinstance(said, dict):
                yield from _errors(root, said, each, f"{at}.{name}")


def _names(root: Schema, _: Schema, said: Schema, value: Any, at: str) -> Iterator[str]:
    for name in value if isinstance(value, dict) else ():
        yield from _errors(root, said, str(name), f"{at}.{name}")


def _required(_: Schema, __: Schema, said: list[str], value: Any, at: str) -> Iterator[str]:
    for name in said if isinstance(value, dict) else ():
        if name not in value:
            yield f"{at}.{name}: missing"


def _any_of(root: Schema, _: Schema, said: list[Schema], value: Any, at: str) -> Iterator[str]:
    if not _fitting(root, said, value, at):
        yield f"{at}: fits nothing"


def _one_of(root: Schema, _: Schema, said: list[Schema], value: Any, at: str) -> Iterator[str]:
    if _fitting(root, said, value, at) != 1:
        yield f"{at}: does not fit one"


def _fitting(root: Schema, said: list[Schema], value: Any, at: str) -> int:
    return sum(not list(_errors(root, each, value, at)) for each in said)


_CHECKS: dict[str, Callable[[Schema, Schema, Any, Any, str], Iterator[str]]] = {
    "$ref": _ref,
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "items": _items,
    "minItems": _min_items,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "required": _required,
    "anyOf": _any_of,
    "oneOf": _one_of,
}
