"""The list endpoints: cursor paging, and filters that are ORed inside and ANDed with each other."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator import objects
from bridge.simulator.answers import invalid, success
from bridge.simulator.integration import Integration
from bridge.simulator.table import Seen, Table

_UPDATED_AFTER = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?)?Z?")
_COMMON = ("cursor", "page_size", "updated_after", "include_deleted", "ignore_unsupported_filters")

_SINCE_EVER = datetime.min.replace(tzinfo=UTC)


def _themselves(_: Integration, values: set[str]) -> set[str]:
    return values


@dataclass(frozen=True)
class Filter:
    """By which key of the table a filter goes, and the values that this must have for what was asked."""

    key: str
    values: Callable[[Integration, set[str]], set[str]] = _themselves


@dataclass(frozen=True)
class Listing:
    """One endpoint: its table, its rows, its filters, and what counts as the last change of a row."""

    table: Callable[[Integration], Table[Any]]
    row: Callable[[Integration, Seen[Any]], objects.Json | None]
    filters: Mapping[str, Filter]
    changed_at: Callable[[Integration, Seen[Any]], datetime] | None = None

    async def __call__(self, request: Request) -> Response:
        integration: Integration = request.state.integration
        return success(self.page(integration, _single(request.url.query, {*_COMMON, *self.filters})))

    def page(self, integration: Integration, query: Mapping[str, str]) -> objects.Json:
        size, since = _page_size(query), _updated_after(query)
        deleted, loose = _flag(query, "include_deleted"), _flag(query, "ignore_unsupported_filters")
        wanted = {name: _values(name, query[name]) for name in self.filters if name in query}
        mark = _digest(integration, self, query)
        start = _position(query.get("cursor"), mark)
        if wanted.keys() & integration.unsupported:
            if not loose:
                return {"next": None, "results": []}
            wanted = {name: values for name, values in wanted.items() if name not in integration.unsupported}
        rows: list[objects.Json] = []
        for place, seen in self._found(integration, wanted, since, start):
            if seen.remote_deleted_at and not deleted:
                continue
            row = self.row(integration, seen)
            if row is None:
                continue
            if len(rows) == size:
                return {"next": _cursor(place, mark), "results": rows}
            rows.append(row)
        return {"next": None, "results": rows}

    def _found(
        self, integration: Integration, wanted: Mapping[str, set[str]], since: datetime | None, start: int
    ) -> Iterator[tuple[int, Seen[Any]]]:
        """In the order of their places. The first filter searches (the narrow ones come first), the others look."""
        table = self.table(integration)
        shelf = table.seen
        keys = {
            self.filters[name].key: self.filters[name].values(integration, values) for name, values in wanted.items()
        }
        changed_at = self.changed_at or _changed_at
        crowd_changed_at = table.crowd_changed_at or _SINCE_EVER
        if keys:
            key = next(iter(keys))
            places = shelf.among(key, keys[key], start)
        elif since and crowd_changed_at <= since and not integration.nested_changes_count:
            places = shelf.touched_places(start)
        else:
            places = iter(range(start, shelf.places))
        for place in places:
            seen = shelf.at(place)
            if seen is None or (since and changed_at(integration, seen) <= since):
                continue
            if all(shelf.key(key, seen) in values for key, values in keys.items()):
                yield place, seen


def _changed_at(_: Integration, seen: Seen[Any]) -> datetime:
    return seen.changed_at


def _course_changed_at(integration: Integration, seen: Seen[Any]) -> datetime:
    """A course counts as updated also when one of its revisions was added, changed or removed."""
    revisions = objects.revisions_of(integration, seen.record.id)
    return max([seen.changed_at, *(revision.changed_at for revision in revisions)])


def _progression_changed_at(integration: Integration, seen: Seen[Any]) -> datetime:
    """Kombo's documents contradict each other on whether a change of the user or the course counts."""
    if not integration.nested_changes_count:
        return seen.changed_at
    user = integration.users.seen.get(seen.record.user_id)
    revision = integration.revisions.seen.get(seen.record.course_revision_id)
    course = integration.courses.seen.get((revision and revision.record.course_id) or "")
    return max(each.changed_at for each in (seen, user, revision, course) if each)


def _revisions(integration: Integration, courses: set[str]) -> set[str]:
    return {seen.record.id for course in courses for seen in objects.revisions_of(integration, course)}


_IDS = {"ids": Filter("id"), "remote_ids": Filter("remote_id")}

USERS = Listing(lambda integration: integration.users, objects.user, {**_IDS, "work_emails": Filter("work_email")})
COURSES = Listing(lambda integration: integration.courses, objects.course, _IDS, _course_changed_at)
SKILLS = Listing(lambda integration: integration.skills, objects.skill, _IDS)
PROGRESSIONS = Listing(
    lambda integration: integration.progressions,
    objects.progression,
    {**_IDS, "user_ids": Filter("user_id"), "course_ids": Filter("course_revision_id", _revisions)},
    _progression_changed_at,
)


def _single(query: str, known: set[str]) -> dict[str, str]:
    """Unknown and repeated parameters are undocumented; here they are errors."""
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, _ in pairs:
        if name not in known:
            raise invalid(f"unknown parameter: {name}")
    if len(dict(pairs)) != len(pairs):
        raise invalid("a parameter given twice")
    return dict(pairs)


def _values(name: str, text: str) -> set[str]:
    """A comma list without any escape, and blanks belong to the values. An empty one is undocumented: an error here."""
    if not text:
        raise invalid(f"{name} is empty")
    return set((text.lower() if name == "work_emails" else text).split(","))


def _page_size(query: Mapping[str, str]) -> int:
    text = query.get("page_size", "100")
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 250:
        raise invalid("page_size must be 1 to 250")
    return int(text)


def _flag(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise invalid(f"{name} must be true or false")
    return text == "true"


def _updated_after(query: Mapping[str, str]) -> datetime | None:
    text = query.get("updated_after")
    if text is None:
        return None
    if not _UPDATED_AFTER.fullmatch(text):
        raise invalid("updated_after must look like 2022-08-07T14:01:29.196Z")
    try:
        return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        raise invalid("updated_after is no date") from None


def _digest(integration: Integration, listing: Listing, query: Mapping[str, str]) -> str:
    filters = sorted((name, value) for name, value in query.items() if name not in ("cursor", "page_size"))
    text = repr((integration.id, listing.row.__name__, filters))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _cursor(position: int, mark: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((position, mark))).decode().rstrip("=")


def _position(cursor: str | None, mark: str) -> int:
    """Kombo asks for the filters to be repeated beside the cursor; here it is an error not to."""
    if cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position, made_for = msgspec.json.decode(text, type=tuple[int, str])
    except ValueError:
        raise invalid("cursor is not one of ours") from None
    if made_for != mark:
        raise invalid("cursor belongs to other filters")
    return position
