"""Deactivating a course: closed to new enrolments in the LMS, progress kept."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.courses.tasks import LEASE_MS, Tasks, lease_of
from bridge.directory.turns import new_holder, turn
from bridge.errors import BridgeError, KomboError, KomboUnavailable
from bridge.kombo.client import KomboClient
from bridge.printable import printable
from bridge.store import courses, directory, lookups
from bridge.store.engine import Store, now_ms


@dataclass(frozen=True, slots=True)
class Closed:
    """One Kombo course; `error` says why it is open still, or that nobody knows."""

    course_id: str
    error: KomboError | None = None


async def deactivate(store: Store, client: KomboClient, integration_id: str, origin_id: str) -> list[Closed]:
    """Deactivate every course with that origin id. Doing it twice does no harm.

    Raises `BridgeError` where there is none, where a push of it is under way (nobody knows which would win), or where
    Kombo does not say whether one is.
    """
    async with turn(store, lease_of(integration_id), new_holder(), LEASE_MS) as permit:
        if permit is None:
            raise BridgeError("another process sends or closes courses of this integration just now: try again later")
        return await _close_all(store, client, integration_id, origin_id)


async def _close_all(store: Store, client: KomboClient, integration_id: str, origin_id: str) -> list[Closed]:
    tasks = await store.read(lambda c: courses.tasks(c, integration_id))
    if any(origin_id in sent for sent in tasks.values()):
        await Tasks(store, client, integration_id).look()
    pushes = await store.read(lambda c: courses.pushes(c, integration_id))
    if (push := pushes.get(origin_id)) and push.state == "pending":
        raise BridgeError(f"a push of {printable(origin_id)} is under way: deactivate it once that is done")
    found = await store.read(lambda c: lookups.course_ids(c, integration_id, origin_id))
    if not found:
        raise BridgeError(
            f"no course with the origin id {printable(origin_id)!r} is known: see `kombo-bridge courses list`"
        )
    closed = [await _close(store, client, integration_id, course_id) for course_id in found]
    if any(each.error is None for each in closed):
        await store.write(lambda c: courses.close(c, integration_id, origin_id))
    return closed


async def _close(store: Store, client: KomboClient, integration_id: str, course_id: str) -> Closed:
    moment = now_ms()
    try:
        course = await client.deactivate(course_id)
    except KomboError as error:
        return Closed(course_id, error)
    except ValueError:
        return Closed(course_id, KomboUnavailable("it has an id that Kombo cannot be asked about"))
    if course.id != course_id:
        return Closed(course_id, KomboUnavailable("Kombo answered with another course, so nobody knows what it did"))
    await store.write(lambda c: directory.save_courses(c, integration_id, [course], moment))
    return Closed(course_id)
