"""Kombo's lists out of dictionaries, for passes over data of any shape: cursors, filters, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from bridge.kombo.answers import Page
from bridge.kombo.client import KomboClient
from bridge.kombo.model import Course, Progression, User
from bridge.store.directory import Model


@dataclass(frozen=True, slots=True)
class Asked:
    """One page that was asked for."""

    model: Model
    since: datetime | None
    deleted: bool
    cursor: str | None


@dataclass
class Listed:
    """`clock` moves by a second with each change; `trouble` is called for each page, and may raise.

    `unreadable` ids are counted and left out. Cursors are numbers of rows.
    """

    clock: datetime = field(default_factory=lambda: datetime.now(UTC))
    size: int = 2
    users: dict[str, User] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)
    progressions: dict[str, Progression] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    trouble: Callable[[Asked], None] = lambda _: None

    @property
    def client(self) -> KomboClient:
        return cast(KomboClient, _Client(self))

    def now(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def person(self, id: str, **more: Any) -> None:
        """Add or change a person; an active one with an address and a name unless told otherwise."""
        of = {"remote_id": f"E-{id}", "work_email": f"{id}@acme.com", "first_name": "Jo", "status": "ACTIVE"}
        self.users[id] = User(id=id, changed_at=self.now(), **cast(Any, of | more))

    def delete(self, id: str) -> None:
        """As Kombo does once it has noticed."""
        moment = self.now()
        self.users[id] = User(id, self.users[id].remote_id, moment, remote_deleted_at=moment)

    def progression(self, id: str, user_id: str, revision: str = "r", status: str | None = "ENROLLED") -> None:
        self.progressions[id] = Progression(id, user_id, revision, self.now(), status=status)

    def pages(self, model: Model) -> int:
        return sum(asked.model == model for asked in self.asked)


class _Client:
    """As much of `KomboClient` as a sync asks."""

    def __init__(self, listed: Listed) -> None:
        self.listed = listed

    def users(self, **query: Any) -> AsyncIterator[Page[Any]]:
        return self._list("users", self.listed.users, **query)

    def courses(self, **query: Any) -> AsyncIterator[Page[Any]]:
        return self._list("courses", self.listed.courses, **query)

    def progressions(self, **query: Any) -> AsyncIterator[Page[Any]]:
        return self._list("progressions", self.listed.progressions, **query)

    async def _list(
        self,
        model: Model,
        found: dict[str, Any],
        *,
        updated_after: datetime | None = None,
        include_deleted: bool = False,
        cursor: str | None = None,
    ) -> AsyncIterator[Page[Any]]:
        while True:
            asked = Asked(model, updated_after, include_deleted, cursor)
            self.listed.asked.append(asked)
            self.listed.trouble(asked)
            start = int(cursor or 0)
            every = list(found.values())
            end = start + self.listed.size
            rows = [
                row
                for row in every[start:end]
                if (include_deleted or not row.remote_deleted_at)
                and (updated_after is None or row.changed_at > updated_after)
            ]
            good = [row for row in rows if row.id not in self.listed.unreadable]
            cursor = str(end) if end < len(every) else None
            yield Page(good, unreadable=len(rows) - len(good), next=cursor)
            if cursor is None:
                return
