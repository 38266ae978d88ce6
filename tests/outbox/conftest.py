"""An outbox over a simulated Kombo on a real socket, on both databases."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest_asyncio

from bridge.outbox.carrier import Carrier
from bridge.outbox.outbox import Outbox
from bridge.outbox.pace import Pace
from bridge.settings.model import Configuration, Tenant
from bridge.simulator import seed
from bridge.simulator.records import Progression
from bridge.simulator.world import Integration
from bridge.store import outbox as rows
from bridge.store import tables
from bridge.store.outbox import Entry
from tests.support.rooms import Rooms
from tests.support.rooms import rooms as open_rooms

PACE = Pace(
    tick=0.02,
    lease=2.0,
    first_pause=0.05,
    longest_pause=0.2,
    longest_rest=0.4,
    complete_settles=0.6,
    enroll_settles=0.8,
    look_again=0.1,
    latecomers=0.1,
    tries=3,
)
"""As in life, but for the unit."""


Report = tuple[seed.Person, str]
COURSES = ("cybersecurity-101", "data-privacy-basics", "code-of-conduct", "fire-safety")


def progressions(kombo: Integration, person: seed.Person, course: str) -> list[Progression]:
    """As the LMS has them."""
    course_id = seed.course_id(person.integration, course)
    revisions = {each.id for each in kombo.revisions.lms.values() if each.course_id == course_id}
    every = kombo.progressions.lms.values()
    return [each for each in every if each.user_id == person.id and each.course_revision_id in revisions]


def candidates(kombo: Integration, *, enrolled: bool) -> list[Report]:
    """People and courses, of those who are enrolled (and have not finished) or of those who never were."""
    found = []
    for person in seed.PEOPLE:
        if person.integration != kombo.id or person == seed.OLGA:
            continue
        for course in COURSES:
            statuses = [each.status for each in progressions(kombo, person, course)]
            if statuses in (["ENROLLED"], ["IN_PROGRESS"]) if enrolled else not statuses:
                found.append((person, course))
    return found


@dataclass
class Post:
    """The outbox of acme, and everything behind it."""

    rooms: Rooms
    configuration: Configuration
    pace: Pace = PACE
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.rooms.store)

    @property
    def tenant(self) -> Tenant:
        return self.configuration.tenants["acme"]

    @property
    def kombo(self) -> Integration:
        return self.rooms.world.integrations[seed.ACME]

    async def sync(self) -> None:
        await self.rooms.sync(self.tenant)

    async def complete(self, person: seed.Person, course: str, **more: object) -> str:
        found = await self.rooms.person(person)
        return await self.outbox.complete(self.tenant, found, course, source="api", **more)

    async def enroll(self, person: seed.Person, course: str) -> str | None:
        return await self.outbox.enroll(self.tenant, await self.rooms.person(person), course, source="launch")

    def carrier(self) -> Carrier:
        return Carrier(self.rooms.store, lambda: self.configuration, self.rooms.client, self.pace)

    @contextlib.asynccontextmanager
    async def carrying(self, carriers: int = 1) -> AsyncIterator[None]:
        """While background work runs, in as many processes as it were."""
        tasks = [asyncio.ensure_future(self.carrier().run()) for _ in range(carriers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def entries(self) -> list[Entry]:
        return await self.rooms.store.read(lambda c: rows.listed(c, 0, done=True))

    async def entry(self, id: str | None) -> Entry:
        found = await self.rooms.store.read(lambda c: rows.find(c, str(id)))
        assert found
        return found

    async def settled(self, seconds: float = 15) -> list[Entry]:
        """All entries, once none waits."""
        return await self.once(lambda entries: all(each.state != "waiting" for each in entries), seconds)

    async def once(self, holds: Callable[[list[Entry]], bool], seconds: float = 15) -> list[Entry]:
        """All entries, once something holds of them."""
        until = asyncio.get_running_loop().time() + seconds
        while not holds(entries := await self.entries()):
            assert asyncio.get_running_loop().time() < until, entries
            await asyncio.sleep(0.02)
        return entries

    @property
    def completions(self) -> Counter[str]:
        """How often each progression was completed at Kombo."""
        return Counter(one.progression for one in self.rooms.world.completions)

    def progressions(self, person: seed.Person, course: str) -> list[Progression]:
        """As the LMS has them."""
        return progressions(self.kombo, person, course)

    async def change(self, id: str, **values: object) -> None:
        """Put an entry on disk into a state as a crash may leave it."""
        where = tables.outbox.c.id == id
        await self.rooms.store.write(lambda c: c.execute(tables.outbox.update().where(where).values(**values)))


@contextlib.asynccontextmanager
async def _opened(folder: Path, url: str) -> AsyncIterator[Post]:
    async with open_rooms(folder, url) as rooms:
        found = Post(rooms, rooms.deployment.load())
        await found.sync()
        yield found


@pytest_asyncio.fixture
async def post(tmp_path: Path, url: str) -> AsyncIterator[Post]:
    async with _opened(tmp_path, url) as found:
        yield found


@pytest_asyncio.fixture
async def either_post(tmp_path: Path, either_url: str) -> AsyncIterator[Post]:
    """For what depends on how a database writes."""
    async with _opened(tmp_path, either_url) as found:
        yield found
