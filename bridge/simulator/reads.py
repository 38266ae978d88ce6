"""The list endpoints: cursor paging, and filters that are ORed inside and ANDed with each other."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.simulator import objects
from bridge.simulator.answers import invalid, success
from bridge.simulator.table import Seen, Table
from bridge.simulator.world import Integration

_UPDATED_AFTER = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?)?Z?")
_COMMON = ("cursor", "page_size", "updated_after", "include_deleted", "ignore_unsupported_filters")

Value = Callable[[Integration, Any], str | None]


@dataclass(frozen=True)
class Listing:
    """One endpoint: its table, its rows, and for each filter what a record is compared by."""

    table: Callable[[Integration], Table[Any]]
    row: Callable[[Integration, Seen[Any]], objects.Json | None]
    filters: Mapping[str, Value]
    changed_at: Callable[[Integration, Seen[Any]], datetime] = lambda _, seen: seen.changed_at

    async def __call__(self, request: Request) -> Response:
        integration: Integration = request.state.integration
        return success(self.page(integration, _single(request.url.query, {*_COMMON, *self.filters})))

    def page(self, integration: Integration, query: Mapping[str, str]) -> objects.Json:
        size, since = _page_size(query), _updated_after(query)
        deleted, loose = _flag(query, "include_deleted"), _flag(query, "ignore_unsupported_filters")
        wanted = {name: _values(name, query[name]) for name in self.filters if name in query}
        if wanted.keys() & integration.unsupported:
            if not loose:
                return {"next": None, "results": []}
            wanted = {name: values for name, values in wanted.items() if name not in integration.unsupported}
        mark = _digest(integration, self, query)
        start = _position(query.get("cursor"), mark)
        rows: list[objects.Json] = []
        for position, seen in enumerate(itertools.islice(self.table(integration).seen.values(), start, None), start):
            if (seen.remote_deleted_at and not deleted) or (since and self.changed_at(integration, seen) <= since):
                continue
            if not all(self.filters[name](integration, seen.record) in values for name, values in wanted.items()):
                continue
            row = self.row(integration, seen)
            if row is None:
                continue
            if len(rows) == size:
                return {"next": _cursor(position, mark), "results": rows}
            rows.append(row)
        return {"next": None, "results": rows}


def _id(_: Integration, record: Any) -> str:
    return str(record.id)


def _remote_id(_: Integration, record: Any) -> str:
    return str(record.remote_id)


def _parent_course(integration: Integration, record: Any) -> str | None:
    revision = integration.revisions.seen.get(record.course_revision_id)
    return revision.record.course_id if revision else None


def _course_changed_at(integration: Integration, seen: Seen[Any]) -> datetime:
    """A course counts as updated also when one of its revisions was added, changed or removed."""
    revisions = objects.revisions_of(integration, seen.record.id)
    return max([seen.changed_at, *(revision.changed_at for revision in revisions)])


_IDS: dict[str, Value] = {"ids": _id, "remote_ids": _remote_id}

USERS = Listing(
    lambda integration: integration.users,
    objects.user,
    {**_IDS, "work_emails": lambda _, record: (record.work_email or "").lower()},
)
COURSES = Listing(lambda integration: integration.courses, objects.course, _IDS, _course_changed_at)
PROGRESSIONS = Listing(
    lambda integration: integration.progressions,
    objects.progression,
    {**_IDS, "user_ids": lambda _, record: str(record.user_id), "course_ids": _parent_course},
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
    """A comma list without any escape. An empty one is undocumented; here it is an error."""
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
