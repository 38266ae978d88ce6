"""The first page: every tenant at a glance, what is worst first, and the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy import Connection

from bridge.admin.glances import Glance, Service, ends_of, glances, service
from bridge.admin.launches import number
from bridge.checkup.findings import LEVELS
from bridge.checkup.snapshot import Snapshot
from bridge.settings.model import Configuration
from bridge.store import launches

ON_A_PAGE = 50
LONGEST_TEXT = 64


@dataclass(frozen=True, slots=True)
class Overview:
    """`glances` are those of this page, of `found` that fit the query; `last_good` is by tenant."""

    service: Service
    glances: Sequence[Glance]
    last_good: Mapping[str, int]
    all: int
    found: int
    level: str
    text: str
    page: int
    pages: int

    def query(self, **changes: object) -> str:
        """The same page with some of it changed."""
        fields: dict[str, object] = {"level": self.level, "q": self.text, **changes}
        return urlencode({name: value for name, value in fields.items() if value})


def overview(
    configuration: Configuration,
    snapshot: Snapshot,
    workers: int,
    query: Mapping[str, str],
    connection: Connection | None = None,
) -> Overview:
    """Without a connection, nobody knows of a last good launch."""
    ends = ends_of(configuration, snapshot)
    all = glances(configuration, snapshot, ends)
    level, text = query.get("level", ""), query.get("q", "").strip()[:LONGEST_TEXT]
    level = level if level in LEVELS else ""
    found = [each for each in all if level in ("", each.level) and _names(each, text)]
    pages = max(-(-len(found) // ON_A_PAGE), 1)
    page = min(number(query.get("page"), pages) or 1, pages)
    shown = found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
    last_good = launches.last_good_of(connection, [each.slug for each in shown]) if connection else {}
    told = service(configuration, snapshot, ends, all, workers)
    return Overview(told, shown, last_good, len(all), len(found), level, text, page, pages)


def _names(glance: Glance, text: str) -> bool:
    return text.casefold() in glance.slug or text.casefold() in glance.name.casefold()
