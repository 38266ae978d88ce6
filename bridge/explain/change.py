"""The one change that would fix it: who has to make it, and what to write where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import yaml

from bridge.errors import SettingsError
from bridge.settings.document import KeyPath, read_document
from bridge.settings.files import Watched, shown
from bridge.settings.model import Configuration, IdentityEntry, Tenant

Side = Literal["bridge", "idp", "lms", "kombo", "link", "nobody"]
"""Whose turn it is: the operator of the bridge, the customer's IT at its IdP, those who run the customer's LMS or HR
system, who keeps the integration at Kombo, whoever wrote the link; or nobody's."""


@dataclass(frozen=True, slots=True)
class Write:
    """Lines for a settings file. `line` is where what they replace stands, or the section that they belong into."""

    file: str
    line: int
    yaml: str


@dataclass(frozen=True, slots=True)
class Change:
    """`case` names the diagnosis. `text` names no person and quotes nothing that an IdP said of one."""

    case: str
    side: Side
    text: str
    write: Write | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """For scripts."""
        write = asdict(self.write) if self.write else dict.fromkeys(Write.__slots__)
        return {"case": self.case, "side": self.side, "text": self.text, **write}


def tenant_file(configuration: Configuration, slug: str) -> str:
    """As the operator would type it."""
    return shown(configuration.service.tenants / f"{slug}.yaml")


def write(configuration: Configuration, tenant: Tenant, path: KeyPath, value: Any) -> Write:
    """The lines that give a setting of the tenant's file that value."""
    for key in reversed(path[1:]):
        value = {key: value}
    lines = yaml.dump({path[0]: value}, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=1000)
    return Write(tenant_file(configuration, tenant.slug), line_of(configuration, tenant, path), lines.rstrip("\n"))


def line_of(configuration: Configuration, tenant: Tenant, path: KeyPath) -> int:
    """Where a setting stands in the tenant's file, or the section that it belongs into; 1 where neither does."""
    file = configuration.service.tenants / f"{tenant.slug}.yaml"
    try:
        document = read_document(file, os.environ, Watched())
    except SettingsError:  # changed since it was loaded
        return 1
    place = document.places.get(document.nearest(path))
    return place.line if place else 1


def as_written(identity: Sequence[IdentityEntry]) -> list[Any]:
    """Identity entries as a tenant's file has them."""
    return [_entry(entry) for entry in identity]


def _entry(entry: IdentityEntry) -> Any:
    options = {
        "extract": entry.extract and str(entry.extract),
        "remote_extract": entry.remote_extract and str(entry.remote_extract),
        "on_miss": "next" if entry.on_miss == "next" else None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if entry.tier == "name_id":
        return {"name_id": True} | given if given else "name_id"
    return {entry.tier: entry.source or "name_id"} | given


class _Indented(yaml.SafeDumper):
    """Lists one step further in than what holds them, as in the example files."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
