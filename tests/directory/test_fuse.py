"""The fuse: what a sync may take by itself, and what waits for somebody's word."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection, select
from structlog.testing import capture_logs

from bridge.directory.sync import Sync
from bridge.errors import BridgeError
from bridge.store import directory, held, integrations, lookups, tables
from bridge.store import people as store_people
from bridge.store.engine import Store, now_ms
from tests.support.listed import Listed

INTEGRATION = "workday:x"
CASES = yaml.safe_load((Path(__file__).parent / "fuse.yaml").read_text())
DAY_MS = 24 * 3600 * 1000


@dataclass
class Tenant:
    """A customer's people, at Kombo and in the directory."""

    store: Store
    kombo: Listed = field(default_factory=Listed)
    hit: list[str] = field(default_factory=list)
    gone: dict[str, Any] = field(default_factory=dict)

    @property
    def sync(self) -> Sync:
        return Sync(self.store, self.kombo.client, INTEGRATION, tenant="acme")

    async def whole(self) -> set[str]:
        """Who is active, with address and name."""
        person = tables.users.c
        query = select(person.id).where(held.living(), person.email.is_not(None), person.email != "")
        return set(await self.store.read(lambda c: c.execute(query.where(person.first_name.is_not(None))).scalars()))

    async def waiting(self) -> int:
        return len(await self.store.read(lambda c: c.execute(select(tables.held_users)).all()))

    async def step(self, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        step = dict(step)
        full, confirm = step.pop("full", False), step.pop("confirm", False)
        if days := step.pop("days", 0):
            ahead = time.time_ns() + days * DAY_MS * 1_000_000
            monkeypatch.setattr("bridge.store.engine.time.time_ns", lambda: ahead)
        for change, count in step.items():
            self.change(change, count)
        if confirm:
            await self.sync.confirm()
        await self.sync.read("users", full=full)

    def change(self, change: str, count: int) -> None:
        kombo = self.kombo
        if change in ("recover", "return"):
            for id in self.hit[:count]:
                kombo.users.pop(id, None)
                kombo.person(id, **({"remote_id": self.gone[id]} if id in self.gone else {}))
            del self.hit[:count]
            return
        kind = "idle" if change.endswith("_inactive") and not change.startswith("new") else "person"
        again = change == "absent" and len(self.hit) >= count and kombo.users.keys() >= set(self.hit)
        chosen = self.hit[:count] if again else self.fresh(kind, count)
        for id in chosen:
            _CHANGES[change](kombo, id)
        self.hit += [id for id in chosen if id not in self.hit]

    def fresh(self, kind: str, count: int) -> list[str]:
        found = [id for id in self.kombo.users if id.startswith(kind) and id not in self.hit][:count]
        assert len(found) == count
        return found


def _new_id(kombo: Listed, id: str, *, said: bool = False, status: str = "ACTIVE") -> None:
    remote_id = kombo.users[id].remote_id
    if said:
        kombo.delete(id)
    else:
        del kombo.users[id]
    kombo.person(f"new-{id}", remote_id=remote_id, status=status)


_CHANGES: dict[str, Any] = {
    "delete": lambda kombo, id: kombo.delete(id),
    "delete_inactive": lambda kombo, id: kombo.delete(id),
    "deactivate": lambda kombo, id: kombo.person(id, status="INACTIVE"),
    "unknown_status": lambda kombo, id: kombo.person(id, status="ON_LEAVE"),
    "null_status": lambda kombo, id: kombo.person(id, status=None),
    "blank_email": lambda kombo, id: kombo.person(id, work_email=None),
    "empty_email": lambda kombo, id: kombo.person(id, work_email=""),
    "change_email": lambda kombo, id: kombo.person(id, work_email=f"other.{id}@acme.com"),
    "blank_names": lambda kombo, id: kombo.person(id, first_name=None),
    "absent": lambda kombo, id: kombo.users.pop(id),
    "absent_inactive": lambda kombo, id: kombo.users.pop(id),
    "new_ids": _new_id,
    "new_ids_said": lambda kombo, id: _new_id(kombo, id, said=True),
    "new_ids_inactive": lambda kombo, id: _new_id(kombo, id, status="INACTIVE"),
}


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
async def test_what_is_held(store: Store, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    await played(Tenant(store), case, monkeypatch)


@pytest.mark.parametrize("case", [CASES[5], CASES[18], CASES[-4]], ids=lambda case: case["case"])
async def test_what_is_held_on_either_database(
    either_store: Store, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await played(Tenant(either_store), case, monkeypatch)


async def played(tenant: Tenant, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(case["people"]):
        tenant.kombo.person(f"person-{number:02}")
    for number in range(case.get("inactive", 0)):
        tenant.kombo.person(f"idle-{number:02}", status="INACTIVE")
    await tenant.sync.read("users")
    before = await tenant.whole()
    assert len(before) == case["people"]
    with capture_logs() as logs:
        for step in case["steps"]:
            await tenant.step(step, monkeypatch)
    assert await tenant.waiting() == case["held"]
    assert len(before - await tenant.whole()) == case["lost"]
    noted = await tenant.store.read(lambda c: integrations.standing(c, INTEGRATION))
    assert ((noted and noted.held) or 0) == case["held"]
    assert bool(noted and noted.held_at) == bool(case["held"])
    events = {line["event"] for line in logs}
    assert ("sync_held" in events) >= bool(case["held"])
    assert ("kombo_ids_changed" in events) == (case.get("event") == "kombo_ids_changed")


async def people(count: int, store: Store) -> Tenant:
    tenant = Tenant(store)
    for number in range(count):
        tenant.kombo.person(f"person-{number:02}")
    await tenant.sync.read("users")
    return tenant


async def test_nothing_vouches_for_who_is_held(either_store: Store) -> None:
    """Their row, and the model as a whole, is as old as what was last known of them; the others are new."""
    tenant = await people(10, either_store)

    async def seen_at(id: str) -> int:
        found = await either_store.read(lambda c: lookups.person(c, INTEGRATION, id))
        assert found
        return found.seen_at

    expected = {"person-00": False, "person-03": False, "person-09": True}
    before = {id: await seen_at(id) for id in expected}
    as_of = await tenant.store.read(lambda c: lookups.synced(c, INTEGRATION))
    for change in ("absent", "blank_email"):
        tenant.change(change, 3)
    tenant.kombo.person("new")
    assert (await tenant.sync.read("users", full=True)).held == 6
    assert {id: await seen_at(id) > before[id] for id in expected} == expected
    assert await tenant.store.read(lambda c: lookups.synced(c, INTEGRATION)) == as_of
    assert await tenant.store.read(lambda c: lookups.person(c, INTEGRATION, "new")), "the harmless part was taken"


async def test_the_model_is_known_completely_again_once_nobody_is_held(store: Store) -> None:
    tenant = await people(10, store)
    as_of = (await store.read(lambda c: lookups.synced(c, INTEGRATION)))["users"]
    tenant.change("blank_email", 5)
    assert (await tenant.sync.read("users")).held == 5
    assert (await store.read(lambda c: lookups.synced(c, INTEGRATION)))["users"] == as_of
    await tenant.sync.confirm()
    assert (await tenant.sync.read("users")).held == 0
    assert (await store.read(lambda c: lookups.synced(c, INTEGRATION)))["users"] > as_of


async def test_an_older_live_answer_is_no_recovery(either_store: Store) -> None:
    tenant = await people(10, either_store)
    well = tenant.kombo.users["person-00"]
    asked_at = now_ms()
    tenant.change("blank_email", 5)
    await tenant.sync.read("users")
    await either_store.write(lambda c: directory.save_users(c, INTEGRATION, [well], asked_at))
    assert await tenant.waiting() == 5
    tenant.kombo.person("person-00")
    well = tenant.kombo.users["person-00"]
    await either_store.write(lambda c: directory.save_users(c, INTEGRATION, [well], now_ms()))
    assert await tenant.waiting() == 4


async def test_a_live_answer_about_one_person_counts_at_once(either_store: Store) -> None:
    tenant = await people(3, either_store)
    tenant.kombo.person("person-00", status="INACTIVE")
    gone = tenant.kombo.users["person-00"]
    await either_store.write(lambda c: directory.save_users(c, INTEGRATION, [gone], now_ms()))
    assert await tenant.whole() == {"person-01", "person-02"}
    tenant.change("delete", 1)
    tenant.kombo.delete("person-01")
    await tenant.sync.read("users")
    assert await tenant.waiting() == 1, "but it counts towards what is lost within a day"


async def test_nobody_is_confirmed_of_whom_nobody_was_told(store: Store) -> None:
    tenant = await people(20, store)
    tenant.change("delete", 5)
    assert (await tenant.sync.read("users")).held == 5
    tenant.change("deactivate", 10)

    def trouble(asked: Any) -> None:
        if asked.cursor == "18":
            raise ConnectionError

    tenant.kombo.trouble = trouble
    with pytest.raises(ConnectionError):
        await tenant.sync.read("users")
    with pytest.raises(BridgeError, match="5 people are held, and a reading that was cut off has found more"):
        await tenant.sync.confirm()
    tenant.kombo.trouble = lambda _: None
    assert (await tenant.sync.read("users")).held == 15


async def test_nobody_is_confirmed_in_the_place_of_another(store: Store) -> None:
    tenant = await people(20, store)
    tenant.change("deactivate", 5)
    assert (await tenant.sync.read("users")).held == 5
    for id, status in {"00": "ACTIVE", "01": "ACTIVE", "10": "INACTIVE", "11": "INACTIVE"}.items():
        tenant.kombo.person(f"person-{id}", status=status)

    def trouble(asked: Any) -> None:
        if asked.cursor == "18":
            raise ConnectionError

    tenant.kombo.trouble = trouble
    with pytest.raises(ConnectionError):
        await tenant.sync.read("users")
    assert await tenant.waiting() == 5, "as many as were told of, but not the same"
    with pytest.raises(BridgeError, match="a reading that was cut off has found more"):
        await tenant.sync.confirm()


async def test_who_is_shown_well_again_meanwhile_is_not_lost(either_store: Store) -> None:
    """By a live answer that is being kept at the very moment."""
    tenant = await people(10, either_store)
    tenant.change("absent", 3)
    assert (await tenant.sync.read("users", full=True)).held == 3
    tenant.kombo.person("person-00")
    well, saved, go_on = tenant.kombo.users["person-00"], threading.Event(), threading.Event()

    def live(connection: Connection) -> None:
        directory.save_users(connection, INTEGRATION, [well], now_ms())
        saved.set()
        go_on.wait(5)

    keeping = asyncio.ensure_future(either_store.write(live))
    await asyncio.to_thread(saved.wait)
    taking = asyncio.ensure_future(
        either_store.write(lambda c: store_people.lose(c, INTEGRATION, ["person-00", "person-01"], now_ms()))
    )
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.gather(keeping, taking)
    whole = await tenant.whole()
    assert "person-00" in whole
    assert "person-01" not in whole


async def test_what_an_abandoned_pass_had_found_is_weighed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise somebody who left would stay as long as Kombo lets no pass come to its end."""
    tenant = await people(10, store)
    tenant.kombo.person("person-00", status="INACTIVE")

    def trouble(asked: Any) -> None:
        if asked.cursor == "6":
            raise ConnectionError

    tenant.kombo.trouble = trouble
    monkeypatch.setattr("bridge.store.syncs.RESUMABLE_MS", -1)
    for left in (1, 0):
        with pytest.raises(ConnectionError):
            await tenant.sync.read("users", full=True)
        if left:
            assert await tenant.waiting() == 1
    assert "person-00" not in await tenant.whole()
