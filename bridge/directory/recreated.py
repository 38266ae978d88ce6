"""A customer's LMS that was connected anew: to Kombo that is another integration, with another id for everything in it.

Kombo's ids follow from the integration's (an inference from its documentation), so the directory, the course map and
what was pushed of the former integration say nothing about the new one. Somebody has to be told, once.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.directory.sync import Permit
from bridge.settings.model import Tenant
from bridge.store import integrations, sessions
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.integrations import Standing

FOR_GOOD_MS = length_ms(timedelta(days=3650))

log = structlog.get_logger()


async def look(store: Store, tenant: Tenant, now: Standing, permit: Permit | None) -> None:
    """Say once that a tenant has another integration than it had, and once, when its people have been read, how many of
    them are those of the former one. Raises `StateError`.
    """

    def see(connection: Connection) -> tuple[Standing | None, bool]:
        return integrations.former(connection, now), "users" in integrations.ages(
            connection, now.integration_id
        ).read_at

    former, people_read = await store.read(see)
    if former is None:
        return

    def unsaid(connection: Connection) -> tuple[bool, bool]:
        if permit:
            permit(connection)
        pair = (tenant.slug, former.integration_id, now.integration_id)
        return _first(connection, "ids", *pair), people_read and _first(connection, "people", *pair)

    ids, people = await store.write(unsaid)
    facts = {"tenant": tenant.slug, "was": former.integration_id, "now": now.integration_id}
    if ids:
        hint = "every Kombo id is another now: push the courses again, or import the course map"
        log.warning("integration_recreated", **facts, hint=hint)
    if people:
        same, of = await store.read(lambda c: integrations.same_people(c, former.integration_id, now.integration_id))
        log.info("integration_people_compared", **facts, same_remote_id=same, former_people=of)


def announced(connection: Connection, tenant: Tenant, new: str) -> bool:
    """Whether it is yet to be said that a tenant's customer has an integration which is not the one in its file."""
    return _first(connection, "announced", tenant.slug, tenant.integration_id, new)


def announce(tenant: Tenant, new: str) -> None:
    """Say it."""
    hint = (
        "Kombo has a new integration of the same customer. If it takes the former one's place, write its id as"
        " `kombo.integration_id` in the tenant's file; every Kombo id is another then: push the courses again, or"
        " import the course map"
    )
    facts = {"tenant": tenant.slug, "was": tenant.integration_id, "now": new}
    log.warning("integration_recreated", **facts, hint=hint)


def _first(connection: Connection, what: str, *parts: str) -> bool:
    return sessions.use_once(connection, "recreated", digest_of(what, *parts), now_ms() + FOR_GOOD_MS)
