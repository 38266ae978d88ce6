"""`on_launch: enroll`: once for each session and course, behind the launch's back."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from bridge.errors import StateError
from bridge.exchange import Forward, Head
from bridge.front.completions import Completions
from bridge.front.enrollments import Enrollments
from bridge.outbox.outbox import Outbox
from bridge.session.sessions import Entry
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.store import outbox as rows
from bridge.store.sessions import SessionRow
from tests.support.rooms import Rooms

CYBER, PRIVACY = "cybersecurity-101", "data-privacy-basics"
GET = Head(b"GET", b"/", [])
PREFETCH = Head(b"GET", b"/", [(b"Sec-Purpose", b"prefetch")])
FORWARD = Forward(b"", personal=True)


class Launches:
    def __init__(self, rooms: Rooms, tenant: Tenant) -> None:
        self.rooms = rooms
        self.tenant = tenant
        self.outbox = Outbox(rooms.store)
        self.enrollments = Enrollments(self.outbox)
        self.completions = Completions(rooms.gate, self.outbox, self.enrollments, believes_header=False)

    async def launch(
        self, who: seed.Person | None, course: str | None, *, status: int = 200, session: str = "d", head: Head = GET
    ) -> list[tuple[str, str, str]]:
        """One answer to a session; what is in the outbox then, as (kind, course, source)."""
        person = await self.rooms.person(who) if who else None
        tenant, user_id = self.tenant, person.id if person else None
        row = SessionRow(session, tenant.slug, tenant.integration_id, "idp", user_id, "s", "name_id", 1, 1, 1, 1)
        watched = self.completions.watched(FORWARD, Entry(row, tenant, person, 1.0), course, head, None)
        if watched.witness:
            assert watched.witness.answered(status, []) is None, "the launch must not wait"
        while self.enrollments._under_way:
            await next(iter(self.enrollments._under_way))
        found = await self.rooms.store.read(lambda connection: rows.listed(connection, 0))
        return [(entry.kind, entry.course, entry.source) for entry in found]


@pytest_asyncio.fixture
async def launches(rooms: Rooms) -> Launches:
    tenant = rooms.deployment.tenant("acme", gate="library", on_launch="enroll")
    await rooms.sync(tenant)
    return Launches(rooms, tenant)


async def test_once_for_each_session_and_course(launches: Launches, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    enroll = launches.outbox.enroll

    async def counted(*parts: Any, **more: Any) -> str | None:
        asked.append(parts[2])
        return await enroll(*parts, **more)

    monkeypatch.setattr(launches.outbox, "enroll", counted)
    first = ("enroll", CYBER, "launch")
    for _ in range(3):
        assert await launches.launch(seed.HUGO, CYBER) == [first]
    assert asked == [CYBER]
    assert await launches.launch(seed.HUGO, PRIVACY) == [first, ("enroll", PRIVACY, "launch")]
    assert len(await launches.launch(seed.HUGO, CYBER, session="another")) == 2


async def test_whoever_is_enrolled_is_left_alone(launches: Launches) -> None:
    assert await launches.launch(seed.JANE, CYBER) == []


async def test_a_course_that_the_platform_did_not_show(launches: Launches) -> None:
    for status in (400, 404, 500, 503):
        assert await launches.launch(seed.HUGO, CYBER, status=status) == []
    assert len(await launches.launch(seed.HUGO, CYBER, status=304)) == 1


async def test_what_is_no_launch(launches: Launches) -> None:
    assert await launches.launch(seed.HUGO, None) == []
    assert await launches.launch(None, CYBER) == []
    assert await launches.launch(seed.HUGO, CYBER, head=PREFETCH) == []


async def test_only_where_the_tenant_wants_it(rooms: Rooms) -> None:
    await rooms.sync(tenant := rooms.deployment.tenant("acme", gate="library"))
    assert await Launches(rooms, tenant).launch(seed.HUGO, CYBER) == []


async def test_a_course_that_kombo_does_not_have_is_asked_about_once(launches: Launches) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            assert await launches.launch(seed.HUGO, "no-such-course") == []
    assert [line["event"] for line in logs] == ["enrollment_not_noted"]


async def test_a_state_that_fails_is_tried_again(launches: Launches, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise StateError("disk full")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(launches.outbox, "enroll", fail)
        assert await launches.launch(seed.HUGO, CYBER) == []
    assert [line["event"] for line in logs] == ["enrollment_not_noted"]
    assert len(await launches.launch(seed.HUGO, CYBER)) == 1
