"""The kinds of value that are a measure: durations, whole numbers, yes or no, a status, and how many of something.

As in `bridge.settings.values`, an error message says only what to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from bridge.settings.written import JsonSchema, flag, from_text, number, string

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

MAX_CLOCK_SKEW = timedelta(minutes=5)


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 10 and unit in _UNITS):
        raise ValueError("write a whole number of seconds, minutes, hours or days: 90s, 15m, 12h or 30d")
    length = timedelta(seconds=int(number) * _UNITS[unit])
    if not timedelta(0) < length <= timedelta(days=3650):
        raise ValueError("write a duration longer than 0s and at most 3650d")
    return length


def _kept_for(text: str) -> timedelta:
    return timedelta(0) if text == "0s" else _duration(text)


def written_duration(length: timedelta) -> str:
    """A duration as a settings file says it, in the largest unit that fits."""
    seconds = int(length.total_seconds())
    unit = next(unit for unit, size in reversed(_UNITS.items()) if seconds % size == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class _WholeNumber:
    least: int
    most: int

    def read(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and self.least <= int(text) <= self.most):
            raise ValueError(f"write a whole number from {self.least} to {self.most}")
        return int(text)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return from_text(self.read).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return number(f"whole number from {self.least} to {self.most}", least=self.least, most=self.most)


def _clock_skew(length: timedelta) -> timedelta:
    if length > MAX_CLOCK_SKEW:
        raise ValueError("write at most 5m: a larger skew keeps stolen answers usable; set the IdP's clock instead")
    return length


def _idle_life(length: timedelta) -> timedelta:
    if length < timedelta(minutes=1):
        raise ValueError("write at least 1m: uses are noted only now and then, and a shorter limit ends what is in use")
    return length


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"


def _status(text: str) -> int | None:
    if text == "2xx":
        return None
    if not re.fullmatch(r"[2-5][0-9][0-9]", text):
        raise ValueError("write one status such as 204, or leave it out for any 2xx")
    return int(text)


class _AtLeastOne:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_some, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return handler(schema) | {"minItems": 1}


def _some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("write at least one")
    return values


def _as_duration(kind: str, *examples: str, pattern: str = "^[0-9]{1,9}[smhd]$") -> WithJsonSchema:
    return WithJsonSchema(string(kind, *examples, pattern=pattern))


Duration = Annotated[
    timedelta,
    from_text(_duration),
    PlainSerializer(written_duration, return_type=str, when_used="json"),
    _as_duration("duration", "15m", "90s", "12h", "30d"),
]
KeptFor = Annotated[
    timedelta,
    from_text(_kept_for),
    PlainSerializer(written_duration, return_type=str, when_used="json"),
    _as_duration("duration, or 0s", "7d", "0s"),
]
ClockSkew = Annotated[
    Duration,
    AfterValidator(_clock_skew),
    _as_duration("duration, at most 5m", "60s", "3m", pattern="^([0-9]{1,9}s|0*[0-5]m)$"),
]
IdleLife = Annotated[
    Duration,
    AfterValidator(_idle_life),
    _as_duration("duration, at least 1m", "2h", "15m", pattern="^([0-9]{2,9}s|[0-9]{1,9}[mhd])$"),
]
AtLeastOne = _AtLeastOne()
Count = Annotated[int, _WholeNumber(1, 1_000_000)]
RingSize = Annotated[int, _WholeNumber(10, 10_000)]
Flag = Annotated[bool, from_text(_flag), WithJsonSchema(flag("true or false"))]
HeadBytes = Annotated[int, _WholeNumber(1024, 1024 * 1024)]
Status = Annotated[
    int | None,
    from_text(_status),
    WithJsonSchema(
        number("status, or 2xx", "204", "2xx", least=200, most=599, pattern="^(2xx|[2-5][0-9][0-9])$"),
    ),
]
