"""What a webhook leads to: reads that are wanted, and what is noted of an integration. Never a row of the directory.

A webhook says that something has changed, not what is true now, and it may be late, lost or twice. So it moves up the
next pass, which any node may do (`bridge.store.syncs.want`), and whatever counts is read from Kombo then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import get_args

from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.directory import recreated, standing
from bridge.kombo.webhooks import LMS, Created, DataChanged, Deleted, StateChanged, SyncFinished, Webhook
from bridge.settings.model import Tenant
from bridge.store import integrations, sessions, syncs
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.integrations import Standing
from bridge.store.rows import Model

KEPT_MS = length_ms(timedelta(days=7))
"""How long a webhook's id is remembered. Kombo says nothing of repetitions; a later one would only cost a read."""

EVERYTHING: frozenset[Model] = frozenset(get_args(Model))
READ_FOR: Mapping[str, frozenset[Model]] = {
    "lms_users": frozenset({"users"}),
    "lms_courses": frozenset({"courses"}),
    "lms_course_revisions": frozenset({"courses"}),
    "lms_course_progressions": frozenset({"progressions"}),
    "lms_course_providers": frozenset(),
    "lms_skills": frozenset(),
    "lms_join_revisions_skills": frozenset(),
}
"""Which of our models to read when one of Kombo's has changed. Of the last three the directory keeps nothing. A name
that is not here may be a new one for what we do keep, so it is read as all: that costs three short reads, and missing
one would leave learners outside until the next regular pass."""


class Outcome(StrEnum):
    TAKEN = "taken"
    SEEN = "seen before"
    IGNORED = "ignored"


async def take(store: Store, webhook: Webhook, tenants: Mapping[str, Tenant]) -> Outcome:
    """Do what a verified webhook leads to, once for its id. Raises `StateError`; then nothing was done.

    `tenants` are those whose secret verified it, by integration. What names another integration is ignored, and so is
    what the bridge makes nothing of; neither writes anything.
    """
    tenant = tenants.get(webhook.integration_id or "")
    if tenant is None and isinstance(webhook.event, Created):
        return await _created(store, webhook.integration_id, webhook.event, tenants)
    if tenant is None or webhook.event is None:
        return Outcome.IGNORED
    now = now_ms()

    def work(connection: Connection) -> tuple[Standing, Standing] | None:
        if not _first(connection, webhook, tenant):
            return None
        before = integrations.held_still(connection, tenant.integration_id, tenant.slug)
        after = _noted(before, webhook, now)
        if after != before:
            integrations.keep(connection, after)
        if models := _wanted(webhook):
            syncs.want(connection, tenant.integration_id, models, now)
        return before, after

    done = await store.write(work)
    if done is None:
        return Outcome.SEEN
    standing.tell(tenant, *done)
    return Outcome.TAKEN


async def _created(store: Store, new: str | None, event: Created, tenants: Mapping[str, Tenant]) -> Outcome:
    """A new integration of a customer who has one takes that one's place, or is of another product."""
    if new is None or event.category not in (None, LMS):
        return Outcome.IGNORED
    known = await store.read(integrations.every)
    meant = [tenant for tenant in tenants.values() if _is_customer(tenant, known.get(tenant.integration_id), event)]
    if not meant:
        return Outcome.IGNORED
    unsaid = await store.write(lambda c: [tenant for tenant in meant if recreated.announced(c, tenant, new)])
    for tenant in unsaid:
        recreated.announce(tenant, new)
    return Outcome.TAKEN if unsaid else Outcome.SEEN


def _is_customer(tenant: Tenant, known: Standing | None, event: Created) -> bool:
    """By the `origin_id` with which both were connected (it may be the tenant's slug), and only where there is none for
    one of them by the organisation's name.
    """
    if event.customer is not None and known is not None and known.customer is not None:
        return event.customer == known.customer
    return event.customer == tenant.slug or event.organization == tenant.name


def _noted(before: Standing, webhook: Webhook, now: int) -> Standing:
    match webhook.event:
        case SyncFinished(state, started_at):
            return standing.finished(before, state, started_at, now)
        case StateChanged() as event:
            return standing.told(before, event, now)
        case Deleted():
            return standing.deleted(before, now)
    return before


def _wanted(webhook: Webhook) -> frozenset[Model]:
    match webhook.event:
        case DataChanged(names) if names is not None:
            return frozenset().union(*(READ_FOR.get(name, EVERYTHING) for name in names))
        case SyncFinished(state) if state in standing.FAILED:
            return frozenset()
    return EVERYTHING


def _first(connection: Connection, webhook: Webhook, tenant: Tenant) -> bool:
    mark = digest_of(tenant.integration_id, webhook.id)
    return sessions.use_once(connection, "webhook", mark, now_ms() + KEPT_MS)
