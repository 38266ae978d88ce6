"""What each refusal means to whoever runs the bridge, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from bridge.errors import Code


@dataclass(frozen=True, slots=True)
class Remedy:
    means: str
    do: str


@cache
def remedies() -> Mapping[str, Remedy]:
    """By code, in the order of `Code`."""
    written = Path(__file__).with_suffix(".yaml").read_bytes()
    found = msgspec.yaml.decode(written, type=dict[str, Remedy])
    return {str(code): found[code] for code in Code}
