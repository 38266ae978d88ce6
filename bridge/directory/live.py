"""Asking Kombo itself, where the local copy has no answer.

The one place where a launch touches Kombo, so everything here is bounded: a deadline per question, one question at a
time per key however many ask, a few at once per integration, and not the same fruitless question twice within a
minute. What Kombo answers is kept in the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Literal

import structlog
from cachetools import TTLCache

from bridge.errors import KomboUnavailable
from bridge.flights import Flights
from bridge.kombo.client import KomboClient, askable
from bridge.settings.model import Tenant
from bridge.store import directory, lookups
from bridge.store.engine import Store, now_ms
from bridge.store.lookups import Enrollment, Person

DEADLINE_SECONDS = 4.0
AT_ONCE = 8
ASK_AGAIN_SECONDS = 60
REMEMBERED = 50_000

Key = Literal["remote_id", "email"]

log = structlog.get_logger()


class Live:
    """Live questions to Kombo. `client` gives the client of a tenant's integration."""

    def __init__(self, store: Store, client: Callable[[Tenant], KomboClient]) -> None:
        self._store = store
        self._client = client
        self._people: Flights[list[Person]] = Flights()
        self._enrollments: Flights[list[Enrollment]] = Flights()
        self._asked: TTLCache[tuple[str, ...], None] = TTLCache(REMEMBERED, ASK_AGAIN_SECONDS)
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def people(self, tenant: Tenant, key: Key, value: str) -> list[Person]:
        """Everybody whom Kombo has under exactly that value.

        An answer that holds anybody else is no answer: a connector that cannot filter, or a filter read as a list, must
        not turn into somebody's identity. That a value is `askable` is the caller's to see to: Kombo's filters are
        lists without an escape for the comma. Raises `KomboError` and `StateError`.
        """
        question = (tenant.slug, tenant.integration_id, key, value)
        return await self._people.ask(question, lambda: self._ask_people(tenant, key, value))

    async def _ask_people(self, tenant: Tenant, key: Key, value: str) -> list[Person]:
        client = self._client(tenant)
        async with self._turn(tenant.integration_id):
            if key == "remote_id":
                users = await client.users_by_remote_id(value, deadline=DEADLINE_SECONDS)
            else:
                users = await client.users_by_email(value, deadline=DEADLINE_SECONDS)
        if any(not _is(user.remote_id, user.work_email, key, value) for user in users):
            log.error("kombo_answer_does_not_fit", tenant=tenant.slug, asked=key, results=len(users))
            raise KomboUnavailable(f"Kombo answered a question for one {key} with a user of another")
        moment, integration = now_ms(), tenant.integration_id
        await self._store.write(lambda c: directory.save_users(c, integration, users, moment))
        people = [
            await self._store.read(partial(lookups.person, integration_id=integration, user_id=user.id))
            for user in users
        ]
        return [person for person in people if person and _is(person.remote_id, person.email, key, value)]

    def asked_lately(self, tenant: Tenant, user_id: str, courses: Sequence[str]) -> bool:
        """Whether Kombo said no to this within the last minute."""
        return (tenant.integration_id, user_id, *courses) in self._asked

    async def enrollments(self, tenant: Tenant, user_id: str, courses: list[str]) -> list[Enrollment]:
        """A user's progressions in the courses, as Kombo has them now. Raises `KomboError` and `StateError`.

        One that the directory alone still has is none: Kombo may have withdrawn it since.
        """
        question = (tenant.slug, tenant.integration_id, user_id, *courses)
        return await self._enrollments.ask(question, lambda: self._ask_enrollments(tenant, user_id, courses))

    async def _ask_enrollments(self, tenant: Tenant, user_id: str, courses: list[str]) -> list[Enrollment]:
        client = self._client(tenant)
        integration = tenant.integration_id
        if not all(map(askable, (user_id, *courses))):
            raise KomboUnavailable("an id that Kombo gave has a comma in it, so that Kombo cannot be asked about it")
        async with self._turn(integration):
            answers = await asyncio.gather(
                *(client.progressions_of(user_id, course, deadline=DEADLINE_SECONDS) for course in courses)
            )
        rows = [row for answer in answers for row in answer if row.user_id == user_id]
        moment = now_ms()
        await self._store.write(lambda c: directory.save_progressions(c, integration, rows, moment))
        self._asked[(integration, user_id, *courses)] = None
        known = await self._store.read(lambda c: lookups.enrollments(c, integration, user_id, courses))
        answered = {row.id for row in rows}
        return [enrollment for enrollment in known if enrollment.progression_id in answered]

    @contextlib.asynccontextmanager
    async def _turn(self, integration_id: str) -> AsyncIterator[None]:
        """One of a few places; who does not get one in time is answered from what is known, as if Kombo were down."""
        turns = self._turns.setdefault(integration_id, asyncio.Semaphore(AT_ONCE))
        try:
            await asyncio.wait_for(turns.acquire(), DEADLINE_SECONDS)
        except TimeoutError as error:
            raise KomboUnavailable("too many live questions are waiting for Kombo already") from error
        try:
            yield
        finally:
            turns.release()


def _is(remote_id: str, email: str | None, key: Key, value: str) -> bool:
    if key == "remote_id":
        return remote_id == value
    return email is not None and directory.fold(email) == directory.fold(value)
