"""Deactivating courses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from bridge.courses.closing import Closed, deactivate
from bridge.errors import BridgeError, KomboRefused, KomboUnavailable
from bridge.kombo.client import KomboClient
from bridge.kombo.model import Course
from bridge.simulator import seed
from bridge.store import courses, directory
from bridge.store.listing import listing

from .conftest import Desk, offered


async def close(desk: Desk, origin_id: str) -> list[Closed]:
    return await deactivate(desk.store, desk.client, desk.id, origin_id)


async def test_a_course_is_closed_and_the_next_push_opens_it(desk: Desk) -> None:
    id = (await desk.push(offered("a")))["a"].course_id
    assert await close(desk, "a") == [Closed(str(id))]
    [listed] = await desk.store.read(lambda c: listing(c, desk.id))
    assert (listed.origin_id, listed.status) == ("a", "inactive")
    assert listed.push
    assert listed.push.state == "closed"
    assert await desk.course_ids("a") == [id]
    assert (await desk.push(offered("a")))["a"].outcome == "updated"
    [revision] = desk.lms.revisions.lms.where("course_id", id)
    assert revision.status == "ACTIVE"


async def test_every_course_of_the_origin_id_is_closed(desk: Desk) -> None:
    await desk.rooms.sync(desk.tenant)
    first = seed.course_id(seed.GLOBEX, "code-of-conduct")
    second = seed.course_id(seed.GLOBEX, "export-controls")
    await desk.store.write(lambda c: courses.map_courses(c, desk.id, {second: "code-of-conduct"}, "import"))
    assert {each.course_id for each in await close(desk, "code-of-conduct")} == {first, second}
    assert all(revision.status == "INACTIVE" for revision in desk.lms.revisions.lms.where("course_id", second))


async def test_one_that_nobody_knows(desk: Desk) -> None:
    with pytest.raises(BridgeError, match="no course with the origin id 'x�' is known"):
        await close(desk, "x\x1b")


async def test_one_whose_push_is_under_way(desk: Desk) -> None:
    desk.rooms.world.task_delay = 3600
    await desk.push(offered("a"), wait=0)
    with pytest.raises(BridgeError, match="a push of a is under way"):
        await close(desk, "a")
    desk.rooms.world.task_delay = 0
    [closed] = await close(desk, "a")
    assert closed.error is None


async def test_an_lms_where_kombo_does_not_offer_it(desk: Desk) -> None:
    tenant = desk.rooms.deployment.tenant("initech")
    await desk.rooms.sync(tenant)
    client = KomboClient(desk.rooms.http, tenant.kombo, tenant.integration_id)
    [closed] = await deactivate(desk.store, client, tenant.integration_id, "code-of-conduct")
    assert isinstance(closed.error, KomboRefused)
    assert closed.error.kombo_code == "INTEGRATION.ACTION_NOT_AVAILABLE"


async def test_an_answer_about_another_course_is_not_believed(desk: Desk) -> None:
    await desk.push(offered("a"), offered("b"))
    other = (await desk.course_ids("b"))[0]
    await desk.fault(kind="rows", path="/v1/lms/courses/", method="POST", patch={"id": other})
    [closed] = await close(desk, "a")
    assert isinstance(closed.error, KomboUnavailable)
    assert {each.status for each in await desk.store.read(lambda c: listing(c, desk.id))} == {"not seen yet"}


async def test_an_id_that_cannot_be_asked_for(desk: Desk) -> None:
    course = Course("..", "R", datetime.now(UTC), origin_id="dots")
    await desk.store.write(lambda c: directory.save_courses(c, desk.id, [course], 1))
    [closed] = await close(desk, "dots")
    assert isinstance(closed.error, KomboUnavailable)


async def test_one_that_is_being_sent(either_desk: Desk) -> None:
    """A push that Kombo takes after the course was closed would open it again, and nobody would know."""
    await either_desk.push(offered("a"))
    either_desk.rooms.world.action_delay = 1
    pushing = asyncio.ensure_future(either_desk.push(offered("a", "Newer")))
    while either_desk.posts < 2:
        await asyncio.sleep(0.01)
    either_desk.rooms.world.action_delay = 0
    with pytest.raises(BridgeError, match="another process sends or closes courses of this integration just now"):
        await close(either_desk, "a")
    await pushing
    [closed] = await close(either_desk, "a")
    assert closed.error is None
    [revision] = either_desk.lms.revisions.lms.where("course_id", closed.course_id)
    assert revision.status == "INACTIVE"
