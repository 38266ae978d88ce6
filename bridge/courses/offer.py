"""The catalogue as one tenant gets it: ready to send, each course with the digest of what would be sent."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bridge.courses.catalogue import Catalogue, Entry
from bridge.courses.links import LinkError, Links
from bridge.digests import digest_of
from bridge.errors import Problem
from bridge.kombo.model import CourseItem
from bridge.settings.model import Configuration, Tenant
from bridge.settings.problems import in_order


@dataclass(frozen=True, slots=True)
class Offered:
    """One course; two with one digest are the same to Kombo."""

    item: CourseItem
    digest: str


def offer(catalogue: Catalogue, configuration: Configuration, tenant: Tenant) -> list[Offered]:
    """Every course with the tenant's own links. Raises `SettingsError` with every one that has none."""
    links = Links(configuration, tenant)
    offered: list[Offered] = []
    problems: list[Problem] = []
    for index, entry in enumerate(catalogue.entries):
        try:
            item = _item(entry, links)
        except LinkError as error:
            problems.append(catalogue.problem(index, error.field, f"for {tenant.slug}: {error}"))
        else:
            offered.append(Offered(item, digest_of(msgspec.json.encode(item).decode())))
    if problems:
        raise in_order(problems)
    return offered


def _item(entry: Entry, links: Links) -> CourseItem:
    return CourseItem(
        origin_id=entry.origin_id,
        title=entry.title,
        course_url=links.course(entry),
        description=entry.description,
        thumbnail_url=links.thumbnail(entry),
        duration=entry.duration,
        languages=entry.languages or None,
    )
