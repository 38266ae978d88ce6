"""Asking Kombo itself, where the local copy has no answer.

The one place where a launch touches Kombo, so everything here is bounded: a deadline that waiting for a turn counts
towards, one question at a time per key however many ask, a budget per tenant and in it one per learner, and not the
same question twice within a minute, whichever process asks. What Kombo answers is kept in the directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Literal

import structlog
from cachetools import LRUCache
from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.directory.budget import OF_A_LEARNER, OF_A_TENANT, Budget
from bridge.errors import KomboUnavailable
from bridge.flights import Flights
from bridge.kombo.client import KomboClient, askable
from bridge.kombo.model import Progression, User
from bridge.settings.model import Tenant
from bridge.store import directory, lookups, questions
from bridge.store.engine import Store, now_ms
from bridge.store.lookups import Enrollment, Person

DEADLINE_SECONDS = 4.0
ASK_SECONDS = 3.5
"""The call itself ends first, as it can say why nothing came."""
TENANTS = 10_000
LEARNERS = 10_000

Key = Literal["remote_id", "email"]

log = structlog.get_logger()


class Live:
    """Live questions to Kombo. `client` gives the client of a tenant's integration."""

    def __init__(self, store: Store, client: Callable[[Tenant], KomboClient]) -> None:
        self._store = store
        self._client = client
        self._people: Flights[list[Person]] = Flights()
        self._enrollments: Flights[list[Enrollment]] = Flights()
        self._tenants: LRUCache[str, Budget] = LRUCache(TENANTS)
        self._learners: LRUCache[tuple[str, str], Budget] = LRUCache(LEARNERS)

    async def people(self, tenant: Tenant, key: Key, value: str) -> list[Person]:
        """Everybody whom Kombo has under exactly that value, as of a minute ago at most.

        An answer that holds anybody else is no answer: a connector that cannot filter, or a filter read as a list, must
        not turn into somebody's identity. That a value is `askable` is the caller's to see to: Kombo's filters are
        lists without an escape for the comma. Of more than `lookups.MANY` people, some are returned, and one too many.
        Raises `KomboError` and `StateError`.
        """
        exact = directory.fold(value) if key == "email" else value
        question = digest_of("people", tenant.integration_id, key, exact)
        return await self._people.ask(question, lambda: self._find_people(tenant, key, value, question))

    async def _find_people(self, tenant: Tenant, key: Key, value: str, question: str) -> list[Person]:
        integration = tenant.integration_id
        since = await self._answered_since(question)
        if since is None:
            async with self._turn(question, self._budget(tenant)) as since:
                users = await self._users(tenant, key, value)
                save = partial(directory.save_users, integration_id=integration, users=users, seen_at=since)
                await self._keep(question, since, save)
        find = lookups.people_by_remote_id if key == "remote_id" else lookups.people_by_email
        people = await self._store.read(lambda c: find(c, integration, value))
        return people if len(people) > lookups.MANY else [person for person in people if person.seen_at >= since]

    async def _users(self, tenant: Tenant, key: Key, value: str) -> Sequence[User]:
        client = self._client(tenant)
        ask = client.users_by_remote_id if key == "remote_id" else client.users_by_email
        users = await ask(value, deadline=ASK_SECONDS)
        if not all(_is(user, key, value) for user in users):
            log.error("kombo_answer_rejected", tenant=tenant.slug, asked=key, results=len(users))
            raise KomboUnavailable(f"Kombo answered a question for one {key} with a user of another")
        return users

    async def enrollments(self, tenant: Tenant, user_id: str, courses: list[str]) -> list[Enrollment]:
        """A user's progressions in the courses, as Kombo had them a minute ago at most.

        One that the directory alone still has is none: Kombo may have withdrawn it since. Raises `KomboError` and
        `StateError`.
        """
        if not all(map(askable, (user_id, *courses))):
            raise KomboUnavailable("an id that Kombo gave has a comma in it, so that Kombo cannot be asked about it")
        question = digest_of("enrollments", tenant.integration_id, user_id, *courses)
        return await self._enrollments.ask(question, lambda: self._find_enrollments(tenant, user_id, courses, question))

    async def _find_enrollments(
        self, tenant: Tenant, user_id: str, courses: list[str], question: str
    ) -> list[Enrollment]:
        integration = tenant.integration_id
        since = await self._answered_since(question)
        if since is None:
            own = self._learners.setdefault((integration, user_id), Budget(OF_A_LEARNER))
            async with self._turn(question, own, self._budget(tenant), parts=len(courses)) as since:
                rows = await self._progressions(tenant, user_id, courses)
                save = partial(directory.save_progressions, integration_id=integration, found=rows, seen_at=since)
                await self._keep(question, since, save)
        known = await self._store.read(lambda c: lookups.enrollments(c, integration, user_id, courses))
        return [enrollment for enrollment in known if enrollment.seen_at >= since]

    async def _progressions(self, tenant: Tenant, user_id: str, courses: list[str]) -> Sequence[Progression]:
        client = self._client(tenant)
        answers = await asyncio.gather(
            *(client.progressions_of(user_id, course, deadline=ASK_SECONDS) for course in courses)
        )
        return [row for answer in answers for row in answer if row.user_id == user_id]

    async def _answered_since(self, question: str) -> int | None:
        """When the question was asked of which the directory has the answer; None where it may be asked (again).

        Raises `KomboUnavailable` where it was asked a moment ago and nothing has come of it yet.
        """
        asked = await self._store.read(partial(questions.last, digest=question))
        if asked is None or not asked.is_recent(now_ms()):
            return None
        if asked.answered_at is None:
            raise KomboUnavailable("Kombo was asked this a moment ago, without an answer yet")
        return asked.asked_at

    def _budget(self, tenant: Tenant) -> Budget:
        return self._tenants.setdefault(tenant.slug, Budget(OF_A_TENANT))

    @asynccontextmanager
    async def _turn(self, question: str, *budgets: Budget, parts: int = 1) -> AsyncIterator[int]:
        """To ask, within the deadline and each of the budgets; since when the answer's rows count, in milliseconds.

        Who does not get a turn is answered from what is known, as if Kombo were down.
        """
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), AsyncExitStack() as turns:
                for budget in budgets:
                    await turns.enter_async_context(budget.spend(parts))
                moment = now_ms()
                if not await self._store.write(lambda c: questions.claim(c, question, moment)):
                    raise KomboUnavailable("another process is asking Kombo this at the moment")
                yield moment
        except TimeoutError as error:
            raise KomboUnavailable("Kombo did not answer a live question within the deadline") from error

    async def _keep(self, question: str, asked_at: int, save: Callable[[Connection], None]) -> None:
        """The answer and that it came, in one transaction."""

        def work(connection: Connection) -> None:
            save(connection)
            questions.answered(connection, question, asked_at, now_ms())

        await self._store.write(work)


def _is(user: User, key: Key, value: str) -> bool:
    """Whether Kombo answered with whom it was asked for: remote ids exactly, addresses but for ASCII case."""
    if key == "remote_id":
        return user.remote_id == value
    return user.work_email is not None and directory.fold(user.work_email) == directory.fold(value)
