"""What a verified webhook leads to: passes that are wanted and notes, once for its id, and never a row more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update
from structlog.testing import capture_logs

from bridge.directory.hints import EVERYTHING, Outcome, take
from bridge.kombo.webhooks import Created, DataChanged, Deleted, Event, StateChanged, SyncFinished, Webhook
from bridge.settings.model import Tenant
from bridge.store import integrations, syncs, tables
from bridge.store.engine import Store, now_ms
from bridge.store.integrations import Standing
from bridge.store.rows import Model
from tests.support.deployment import Deployment

NOW = datetime.now(UTC)


def kinds(value: object) -> str:
    """The same name in every process of a run, whatever the time and the order of a set there."""
    if isinstance(value, set | frozenset):
        return " ".join(sorted(value)) or "nothing"
    if isinstance(value, DataChanged) and value.models is not None:
        return f"DataChanged: {kinds(value.models)}"
    return str(value).replace(repr(NOW), "now")


@pytest.fixture
def tenants(tmp_path: Path) -> Mapping[str, Tenant]:
    """Acme and Globex, by integration."""
    loaded = Deployment(tmp_path).load().tenants
    return {loaded[slug].integration_id: loaded[slug] for slug in ("acme", "globex")}


@pytest.fixture
def acme(tenants: Mapping[str, Tenant]) -> str:
    return next(iter(tenants))


def webhook(integration: str | None, event: Event | None, id: str = "1") -> Webhook:
    return Webhook(id, "some-type", integration, event)


async def all_read(store: Store, *integration_ids: str) -> None:
    """As after a pass over everything: a model that was never read is due without anybody's wish."""

    def work(connection: Connection) -> None:
        for id in integration_ids:
            for model in EVERYTHING:
                syncs.begin(connection, id, model, "full", 1)

    await store.write(work)


async def wanted(store: Store, integration_id: str) -> set[Model]:
    sync = tables.syncs.c
    query = select(sync.model).where(sync.integration_id == integration_id, sync.wanted_at.is_not(None))
    return set(await store.read(lambda c: c.execute(query).scalars().all()))


async def noted(store: Store, integration_id: str) -> Standing | None:
    return await store.read(lambda c: integrations.standing(c, integration_id))


@pytest.mark.parametrize(
    ("event", "models"),
    [
        (DataChanged(frozenset({"lms_users"})), {"users"}),
        (DataChanged(frozenset({"lms_users", "lms_course_progressions"})), {"users", "progressions"}),
        (DataChanged(frozenset({"lms_courses"})), {"courses"}),
        (DataChanged(frozenset({"lms_course_revisions"})), {"courses"}),
        (DataChanged(frozenset({"lms_course_providers", "lms_skills", "lms_join_revisions_skills"})), set()),
        (DataChanged(frozenset()), set()),
        (DataChanged(frozenset({"lms_something_new"})), EVERYTHING),
        (DataChanged(None), EVERYTHING),
        (SyncFinished("SUCCEEDED", NOW), EVERYTHING),
        (SyncFinished("PARTIALLY_FAILED", NOW), EVERYTHING),
        (SyncFinished("SOMETHING_NEW", NOW), EVERYTHING),
        (SyncFinished("FAILED", NOW), set()),
        (SyncFinished("AUTHENTICATION_FAILED", NOW), set()),
        (StateChanged("INVALID"), EVERYTHING),
        (Created(), EVERYTHING),
        (Deleted(), EVERYTHING),
    ],
    ids=kinds,
)
async def test_what_is_read_next(
    store: Store, tenants: Mapping[str, Tenant], acme: str, event: Event, models: set[Model]
) -> None:
    await all_read(store, *tenants)
    assert await take(store, webhook(acme, event), tenants) is Outcome.TAKEN
    assert await wanted(store, acme) == models
    [other] = tenants.keys() - {acme}
    assert await wanted(store, other) == set()


async def test_a_wish_is_found_by_another_node(either_url: str, tenants: Mapping[str, Tenant], acme: str) -> None:
    one, other = Store(either_url), Store(either_url)
    try:
        await all_read(other, acme)
        await take(one, webhook(acme, DataChanged(frozenset({"lms_users"}))), tenants)
        assert await wanted(other, acme) == {"users"}
        assert await take(other, webhook(acme, DataChanged(None)), tenants) is Outcome.SEEN
    finally:
        one.close()
        other.close()


async def test_an_id_counts_once_however_often_and_wherever_it_comes(
    either_url: str, tenants: Mapping[str, Tenant], acme: str
) -> None:
    stores = [Store(either_url), Store(either_url)]
    try:
        await all_read(stores[0], *tenants)
        sent = webhook(acme, DataChanged(None))
        outcomes = await asyncio.gather(*(take(store, sent, tenants) for store in stores * 10))
        assert sorted(outcomes) == sorted([Outcome.TAKEN] + [Outcome.SEEN] * 19)
        await stores[0].write(lambda c: c.execute(update(tables.syncs).values(wanted_at=None)))
        assert await take(stores[1], sent, tenants) is Outcome.SEEN
        assert await wanted(stores[0], acme) == set()
        assert await take(stores[0], webhook(acme, DataChanged(None), "2"), tenants) is Outcome.TAKEN
        [other] = tenants.keys() - {acme}
        assert await take(stores[0], webhook(other, DataChanged(None)), tenants) is Outcome.TAKEN, "its own ids"
    finally:
        for store in stores:
            store.close()


@pytest.mark.parametrize(
    "sent",
    [
        webhook("moodle:somebody-elses", DataChanged(None)),
        webhook("moodle:somebody-elses", SyncFinished("FAILED", NOW)),
        webhook("moodle:somebody-elses", StateChanged("INACTIVE")),
        webhook("moodle:somebody-elses", Deleted()),
        webhook("moodle:somebody-elses", Created("LMS", "somebody", "Somebody")),
        webhook("moodle:somebody-elses", Created("LMS", None, None)),
        webhook("personio:acmes", Created("HRIS", "acme", "Acme Corporation")),
        webhook(None, DataChanged(None)),
        webhook(None, Created("LMS", "acme", "Acme Corporation")),
        webhook("", Deleted()),
    ],
    ids=kinds,
)
async def test_what_is_about_others_writes_nothing(store: Store, tenants: Mapping[str, Tenant], sent: Webhook) -> None:
    await all_read(store, *tenants)
    assert await take(store, sent, tenants) is Outcome.IGNORED
    assert await rows(store) == {"used": 0, "integrations": 0, "users": 0}
    for integration in tenants:
        assert await wanted(store, integration) == set()


async def test_a_type_that_the_bridge_makes_nothing_of_writes_nothing(
    store: Store, tenants: Mapping[str, Tenant], acme: str
) -> None:
    assert await take(store, webhook(acme, None), tenants) is Outcome.IGNORED
    assert await rows(store) == {"used": 0, "integrations": 0, "users": 0}


async def rows(store: Store) -> dict[str, int]:
    def work(connection: Connection) -> dict[str, int]:
        counted = (tables.used, tables.integrations, tables.users)
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in counted
        }

    return await store.read(work)


async def test_the_directory_is_never_written(either_store: Store, tenants: Mapping[str, Tenant], acme: str) -> None:
    events: list[Event] = [DataChanged(None), SyncFinished("SUCCEEDED", NOW), StateChanged("ACTIVE"), Deleted()]
    for number, event in enumerate(events):
        await take(either_store, webhook(acme, event, str(number)), tenants)

    def work(connection: Connection) -> int:
        models = (tables.users, tables.courses, tables.revisions, tables.progressions, tables.sessions)
        return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in models)

    assert await either_store.read(work) == 0


async def test_a_sync_is_noted(either_store: Store, tenants: Mapping[str, Tenant], acme: str) -> None:
    began = NOW - timedelta(hours=1)
    await take(either_store, webhook(acme, SyncFinished("FAILED", began)), tenants)
    found = await noted(either_store, acme)
    assert found is not None
    assert (found.failing_at, found.good_at, found.tenant) == (found.good_at, int(began.timestamp() * 1000), "acme")
    await take(either_store, webhook(acme, SyncFinished("SUCCEEDED", NOW), "2"), tenants)
    found = await noted(either_store, acme)
    assert found is not None
    assert (found.failing_at, found.good_at) == (None, int(NOW.timestamp() * 1000))


async def test_a_state_is_noted_and_said(either_store: Store, tenants: Mapping[str, Tenant], acme: str) -> None:
    moment = now_ms()
    await either_store.write(
        lambda c: integrations.note(
            c, acme, "acme", status="ACTIVE", setup_status="COMPLETED", heard_at=1, good_at=moment
        )
    )
    with capture_logs() as logs:
        await take(either_store, webhook(acme, StateChanged("INACTIVE")), tenants)
        await take(either_store, webhook(acme, Deleted(), "2"), tenants)
    said = [(line["log_level"], line["state"]) for line in logs if line["event"] == "integration_state_changed"]
    assert said == [("warning", "INACTIVE"), ("warning", "DELETED")]
    found = await noted(either_store, acme)
    assert found is not None
    assert (found.status, found.good_at) == ("DELETED", moment)


async def test_syncs_that_begin_to_fail_are_said(store: Store, tenants: Mapping[str, Tenant], acme: str) -> None:
    with capture_logs() as logs:
        for number, state in enumerate(("FAILED", "FAILED", "PARTIALLY_FAILED", "SUCCEEDED", "SUCCEEDED")):
            event = SyncFinished(state, NOW - timedelta(hours=9 - number))
            await take(store, webhook(acme, event, str(number)), tenants)
    said = [(line["log_level"], line["event"], line["tenant"]) for line in logs]
    assert said == [("warning", "integration_syncs_failed", "acme"), ("info", "integration_syncs_recovered", "acme")]


@pytest.mark.parametrize(
    ("customer", "event"),
    [
        ("c-1", Created("LMS", "c-1", "By another name")),
        ("c-1", Created(None, "c-1", None)),
        ("c-1", Created("LMS", None, "Acme Corporation")),
        (None, Created("LMS", "acme", None)),
        (None, Created("LMS", "c-9", "Acme Corporation")),
    ],
    ids=kinds,
)
async def test_a_customer_that_was_connected_anew_is_said_once(
    store: Store, tenants: Mapping[str, Tenant], acme: str, customer: str | None, event: Event
) -> None:
    await store.write(lambda c: integrations.note(c, acme, "acme", customer=customer))
    sent: dict[str, Any] = {"store": store, "tenants": tenants}
    with capture_logs() as logs:
        assert await take(webhook=webhook("workday:new", event), **sent) is Outcome.TAKEN
        assert await take(webhook=webhook("workday:new", event), **sent) is Outcome.SEEN
        assert await take(webhook=webhook("workday:new", event, "2"), **sent) is Outcome.SEEN
    [line] = [line for line in logs if line["event"] == "integration_recreated"]
    assert (line["log_level"], line["tenant"], line["was"], line["now"]) == ("warning", "acme", acme, "workday:new")


async def test_another_customer_of_the_same_name(store: Store, tenants: Mapping[str, Tenant], acme: str) -> None:
    await store.write(lambda c: integrations.note(c, acme, "acme", customer="c-1"))
    sent = webhook("workday:new", Created("LMS", "c-2", "Acme Corporation"))
    assert await take(store, sent, tenants) is Outcome.IGNORED
