"""Kombo's LMS API over HTTP, and nothing about what its answers mean.

Every method raises `KomboUnavailable` where no usable answer came, and `KomboRefused` where Kombo said no. A refusal
with an `INTEGRATION.…` code is about the integration, not about the record: it means "cannot know", never "no such
user" or "not enrolled"; `kombo_code` says which it is. Neither error, and no log line, names a person or a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import httpx
import msgspec

from bridge.errors import KomboUnavailable
from bridge.kombo.answers import Page, read_object, read_page
from bridge.kombo.model import MAX_ID, BulkTask, Course, CourseItem, Id, Integration, Progression, User
from bridge.kombo.pauses import Patience
from bridge.kombo.transport import Transport
from bridge.settings.model import Kombo

T = TypeVar("T")

PAGE_SIZE = 250
MAX_PAGES = 40_000
"""Ten million rows: no customer has more, so a list that goes on is a cursor that never ends."""
MAX_LOOK_UP_PAGES = 20

Model = Literal["users", "courses", "progressions"]
_PATHS: Mapping[Model, str] = {
    "users": "/lms/users",
    "courses": "/lms/courses",
    "progressions": "/lms/course-progressions",
}


def askable(value: str) -> bool:
    """Whether a filter can carry the value: there is no escape for a comma, and an empty filter may mean "all"."""
    return bool(value) and "," not in value and len(value) <= MAX_ID


class KomboClient:
    """One integration. `http` (see `http_client`) is shared by all; every call has its own deadline in seconds.

    Lists yield pages as they come, from `cursor` on where one is given (the `Page.next` of an earlier one, whose
    filters have to be the same). `Page.unreadable` counts rows that had to be left out, so a list with any is no proof
    that somebody does not exist. Look-ups answer from every page or not at all, and one unreadable row makes them
    `KomboUnavailable`: "exactly one" must not be concluded from what could not be read. Whether a returned row is the
    one that was asked for (exact remote id, case-insensitive address) is for the caller to compare.

    Every list is asked with `ignore_unsupported_filters=false`. Where a connector does not support a filter, Kombo then
    returns nothing, which looks like "no such user" and denies a learner; with `true` it would drop the filter and
    return everybody, and one learner could be taken for another.
    """

    def __init__(
        self, http: httpx.AsyncClient, settings: Kombo, integration_id: str, patience: Patience | None = None
    ) -> None:
        self._integration_id = integration_id
        self._patience = patience or Patience()
        self._transport = Transport(
            http, str(settings.api_url), settings.api_key.get_secret_value(), integration_id, self._patience
        )

    def users(
        self, *, updated_after: datetime | None = None, include_deleted: bool = False, cursor: str | None = None
    ) -> AsyncIterator[Page[User]]:
        """Everybody, page by page; anonymised people come only with `include_deleted`."""
        return self._list(_PATHS["users"], User, _list_query(updated_after, include_deleted), cursor)

    def courses(
        self, *, updated_after: datetime | None = None, include_deleted: bool = False, cursor: str | None = None
    ) -> AsyncIterator[Page[Course]]:
        """Every course with its revisions; a change of a revision counts as one of its course."""
        return self._list(_PATHS["courses"], Course, _list_query(updated_after, include_deleted), cursor)

    def progressions(
        self, *, updated_after: datetime | None = None, include_deleted: bool = False, cursor: str | None = None
    ) -> AsyncIterator[Page[Progression]]:
        """Every progression. Whether a change of its user or course counts as its own, Kombo's documents contradict."""
        return self._list(_PATHS["progressions"], Progression, _list_query(updated_after, include_deleted), cursor)

    async def users_by_remote_id(self, remote_id: str, *, deadline: float) -> Sequence[User]:
        """Live people with this LMS-side id. Raises `ValueError` where it is not `askable`."""
        return await self._look_up(_PATHS["users"], User, {"remote_ids": remote_id}, deadline)

    async def users_by_email(self, email: str, *, deadline: float) -> Sequence[User]:
        """Live people with this work email, whatever its case; addresses are not unique. Errors as above."""
        return await self._look_up(_PATHS["users"], User, {"work_emails": email}, deadline)

    async def progressions_of(self, user_id: str, course_id: str, *, deadline: float) -> Sequence[Progression]:
        """Progressions of one person in any revision of one course, both by Kombo id. Errors as above."""
        query = {"user_ids": user_id, "course_ids": course_id}
        return await self._look_up(_PATHS["progressions"], Progression, query, deadline)

    async def enroll(self, user_id: str, course_revision_id: str, *, deadline: float | None = None) -> Progression:
        """Enrol in a revision (not a course). Either id may be `remote:` and the LMS-side one."""
        body = {"user_id": user_id, "course_revision_id": course_revision_id}
        return await self._act(Progression, "/lms/course-progressions", body=body, deadline=deadline)

    async def complete(
        self, progression_id: str, completed_at: datetime | None, score: int | None, *, deadline: float | None = None
    ) -> Progression:
        """Write a completion. `score` is 0..100, `completed_at` an aware time (None: now). The id may be `remote:`."""
        if score is not None and not 0 <= score <= 100:
            raise ValueError("score is not within 0..100")
        body = _present(completed_at=completed_at and _time(completed_at), score=score)
        path = "/lms/course-progressions/{}/complete"
        return await self._act(Progression, path, progression_id, body=body, deadline=deadline)

    async def push_courses(self, items: Sequence[CourseItem], *, deadline: float | None = None) -> str:
        """Start a bulk upsert and return the id of its task. Kombo publishes no limit on the number of items."""
        body = {"items": [_pushed(item) for item in items]}
        return (await self._act(_Started, "/lms/courses/bulk", body=body, deadline=deadline)).task_id

    async def bulk_task(self, task_id: str) -> BulkTask:
        """How far a push has come. With SuccessFactors a task can run for hours."""
        return await self._read(BulkTask, "/lms/courses/bulk/{}", task_id)

    async def deactivate(self, course_id: str, *, deadline: float | None = None) -> Course:
        """Close a course to new enrolments; progress is kept. The id may be `remote:`."""
        return await self._act(Course, "/lms/courses/{}/deactivate", course_id, body={}, deadline=deadline)

    async def check_api_key(self) -> str:
        """The id of the Kombo environment that the key belongs to."""
        return (await self._read(_Environment, "/check-api-key")).environment_id

    async def integration(self) -> Integration:
        """The integration's own state and what can be read and done through it."""
        return await self._read(Integration, "/integrations/{}", self._integration_id)

    async def try_to_read(self, model: Model) -> None:
        """Ask for one row of a list at most and forget it; raises as the lists do where they may not be read."""
        path, query = _PATHS[model], _list_query(None, False) | {"page_size": "1"}
        await self._page(path, msgspec.Raw, query, None, _in(self._patience.page))

    async def _list(
        self, path: str, row: type[T], query: Mapping[str, str], cursor: str | None
    ) -> AsyncIterator[Page[T]]:
        """Cursor paging (each page with its own deadline), with the filters repeated at every step as Kombo asks."""
        seen: set[str] = set()
        while len(seen) < MAX_PAGES:
            page = await self._page(path, row, query, cursor, _in(self._patience.page))
            yield page
            cursor = page.next
            if cursor is None:
                return
            if cursor in seen:
                raise KomboUnavailable(f"GET {path}: the cursor goes in a circle")
            seen.add(cursor)
        raise KomboUnavailable(f"GET {path}: more than {MAX_PAGES} pages")

    async def _look_up(self, path: str, row: type[T], filters: dict[str, str], deadline: float) -> Sequence[T]:
        if not all(map(askable, filters.values())):
            raise ValueError(f"{' and '.join(filters)}: empty, too long, or with a comma, which a filter cannot carry")
        until, cursor, rows = _in(deadline), None, list[T]()
        for _ in range(MAX_LOOK_UP_PAGES):
            page = await self._page(path, row, _list_query(None, False) | filters, cursor, until)
            if page.unreadable:
                raise KomboUnavailable(f"GET {path}: {page.unreadable} of the rows asked for cannot be read")
            rows.extend(page)
            cursor = page.next
            if cursor is None:
                return rows
        raise KomboUnavailable(f"GET {path}: one look-up with more than {MAX_LOOK_UP_PAGES} pages")

    async def _page(
        self, path: str, row: type[T], query: Mapping[str, str], cursor: str | None, until: float
    ) -> Page[T]:
        query = {**query, "cursor": cursor} if cursor else query
        return read_page(f"GET {path}", await self._transport.read(path, until=until, query=query), row)

    async def _read(self, shape: type[T], path: str, *ids: str) -> T:
        data = await self._transport.read(path, *ids, until=_in(self._patience.page))
        return read_object(f"GET {path}", data, shape)

    async def _act(self, shape: type[T], path: str, *ids: str, body: Any, deadline: float | None) -> T:
        until = _in(self._patience.write if deadline is None else deadline)
        return read_object(f"POST {path}", await self._transport.write(path, *ids, until=until, body=body), shape)


class _Started(msgspec.Struct):
    task_id: Id


class _Environment(msgspec.Struct):
    environment_id: str


def _list_query(updated_after: datetime | None, include_deleted: bool) -> dict[str, str]:
    return {
        "page_size": str(PAGE_SIZE),
        "include_deleted": "true" if include_deleted else "false",
        "ignore_unsupported_filters": "false",
    } | ({"updated_after": _time(updated_after)} if updated_after else {})


def _time(moment: datetime) -> str:
    """Kombo's documented form, in UTC and cut (not rounded) to milliseconds, so that a filter never starts too late."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _pushed(item: CourseItem) -> dict[str, Any]:
    details = {name: value for name, value in msgspec.structs.asdict(item).items() if name != "origin_id"}
    return {"origin_id": item.origin_id, "course": {"type": "EXTERNAL", **_present(**details)}}


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
