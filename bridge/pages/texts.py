"""The catalogues of texts, one YAML file a language, and the choice between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

DEFAULT = "en"

_LONGEST_HEADER = 1000
_MOST_RANGES = 32
_RANGE = re.compile(
    r"""\s* (?P<tag> \* | [a-z]{1,8} (?: -[a-z0-9]{1,8} ){0,4} ) \s*
        (?: ; \s* q=(?P<weight> 0 (?: \.\d{0,3} )? | 1 (?: \.0{0,3} )? ) \s* )?""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)


class Catalogue:
    """The texts of one language by dotted key, such as `refusals.not_enrolled.title`."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self.texts = MappingProxyType(dict(texts))

    def __call__(self, key: str, /, **values: str) -> str:
        """The text with its braces filled in; plain text, for the template to escape."""
        return self.texts[key].format_map(values)


@cache
def catalogues() -> Mapping[str, Catalogue]:
    """Every catalogue beside this module by its lower-case language tag; read once."""
    folder = Path(__file__).with_name("texts")
    return MappingProxyType({file.stem: _read(file) for file in sorted(folder.glob("*.yaml"))})


def choose(accept_language: str | None) -> Catalogue:
    """The catalogue for an Accept-Language header (RFC 9110, 12.5.4, by the lookup of RFC 4647, 3.4).

    The header is the browser's, so anything may stand in it: what is not a language range is passed over, and only the
    first 1000 characters and 32 ranges are read.
    """
    known = catalogues()
    for tag in _preferred(accept_language or ""):
        while tag:
            if tag in known:
                return known[tag]
            tag = tag.rpartition("-")[0]
    return known[DEFAULT]


def _preferred(header: str) -> list[str]:
    """The ranges that are wanted at all, best first; equal ones keep their order."""
    ranges = [_RANGE.fullmatch(part) for part in header[:_LONGEST_HEADER].split(",", _MOST_RANGES)[:_MOST_RANGES]]
    weighed = [(float(match["weight"] or 1), match["tag"].lower()) for match in ranges if match]
    return [tag for weight, tag in sorted(weighed, key=lambda pair: -pair[0]) if weight and tag != "*"]


def _read(file: Path) -> Catalogue:
    return Catalogue(file.stem, _flat(yaml.safe_load(file.read_text("utf-8"))))


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": str(value)}
    return flat
