"""Keys in memory: made, followed, rolled over."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial

import pytest
from structlog.testing import capture_logs

from bridge.errors import StateError
from bridge.keys import custody
from bridge.keys.custody import HeldKeys, Keys
from bridge.keys.rollover import HEADERS, READY_MS, SAML
from bridge.settings.model import Configuration, Tenant
from bridge.store import keys as rows
from bridge.store.engine import Store
from bridge.store.keys import Kind, MadeKey
from bridge.store.sealing import Seal
from tests.support.keys import held_keys, made, stored

SEAL = Seal(["s" * 32])


@pytest.fixture(autouse=True)
def _swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys from a small supply instead of new ones, and looks in quick succession."""
    supply = iter(range(1000))
    monkeypatch.setattr(custody, "make", lambda kind, _: made(kind.purpose, next(supply) % 4, kind.scope))
    monkeypatch.setattr(custody, "EVERY_SECONDS", 0.02)


def own(configuration: Configuration, slug: str) -> Configuration:
    """With `own_keys` for a tenant."""
    tenant = configuration.tenants[slug]
    asking = tenant.model_copy(update={"saml": tenant.saml.model_copy(update={"own_keys": True})})
    return replace(configuration, tenants={**configuration.tenants, slug: asking})


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not seen():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def following(keys: Keys) -> AsyncIterator[None]:
    task = asyncio.create_task(keys.follow())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def add(store: Store, kind: Kind, key: MadeKey, seal: Seal = SEAL) -> None:
    await store.write(partial(rows.add, seal=seal, kind=kind, made=key))


def ids(keys: HeldKeys, tenant: Tenant) -> list[str]:
    return [key.id for key in keys.of(tenant)]


async def test_the_first_of_each_kind_is_made_once_for_all_nodes(store: Store, configuration: Configuration) -> None:
    asking = own(configuration, "acme")
    nodes = [Keys(store, SEAL, lambda: asking) for _ in range(3)]
    await asyncio.gather(*(node.load() for node in nodes))
    assert len({node.ring.signer.kid for node in nodes}) == 1
    for slug in ("acme", "globex"):
        assert len({tuple(ids(node, asking.tenants[slug])) for node in nodes}) == 1
        assert len(ids(nodes[0], asking.tenants[slug])) == 1
    assert ids(nodes[0], asking.tenants["globex"]) == ids(nodes[0], asking.tenants["initech"])
    assert ids(nodes[0], asking.tenants["acme"]) != ids(nodes[0], asking.tenants["globex"])
    assert len(await store.read(rows.turns)) == 3


async def test_a_restart_finds_the_same_keys(store: Store, configuration: Configuration) -> None:
    before, after = (Keys(store, SEAL, lambda: configuration) for _ in range(2))
    await before.load()
    await after.load()
    assert before.ring.jwks == after.ring.jwks
    assert before.of(configuration.tenants["acme"]) == after.of(configuration.tenants["acme"])


async def test_rotation_and_retirement_by_others_are_followed(store: Store, configuration: Configuration) -> None:
    keys = Keys(store, SEAL, lambda: configuration)
    await keys.load()
    acme = configuration.tenants["acme"]
    [first] = ids(keys, acme)
    signs = keys.ring.signer.kid
    async with following(keys):
        await add(store, Kind(SAML), made(SAML, 9))
        await add(store, Kind(HEADERS), made(HEADERS, 9))
        await until(lambda: len(keys.held) == 4)
        assert ids(keys, acme) == [first, made(SAML, 9).id]
        assert keys.ring.signer.kid == signs
        assert {key["kid"] for key in json.loads(keys.ring.jwks)["keys"]} == {signs, made(HEADERS, 9).id}
        await store.write(partial(rows.remove, id=first))
        await store.write(partial(rows.remove, id=signs))
        await until(lambda: len(keys.held) == 2)
        assert ids(keys, acme) == [made(SAML, 9).id]
        assert [key.kid for key in keys.ring.keys] == [made(HEADERS, 9).id]


async def test_a_promotion_by_others_is_followed(store: Store, configuration: Configuration) -> None:
    keys = Keys(store, SEAL, lambda: configuration)
    await keys.load()
    old, new = keys.ring.signer.kid, made(HEADERS, 9).id
    await add(store, Kind(HEADERS), made(HEADERS, 9))
    with capture_logs() as logs:
        async with following(keys):
            await until(lambda: len(keys.held) == 3)
            published = keys.ring.jwks
            assert keys.ring.signer.kid == old
            await store.write(partial(rows.promote, id=new, signs_from=rows.now_ms()))
            await until(lambda: keys.ring.signer.kid == new)
            assert keys.ring.jwks == published
    assert [line["promoted"] for line in logs if line["event"] == "keys_changed"] == [[], [new]]


async def test_a_tenant_that_comes_to_ask_for_its_own_keys_gets_them(
    store: Store, configuration: Configuration
) -> None:
    current = [configuration]
    keys = Keys(store, SEAL, lambda: current[0])
    await keys.load()
    async with following(keys):
        current[0] = own(configuration, "acme")
        assert keys.of(current[0].tenants["acme"]) == ()
        await until(lambda: keys.of(current[0].tenants["acme"]) != ())
    assert (await store.read(rows.turns)).keys() == keys.held.keys()


async def test_other_secrets_end_the_start_and_make_nothing(store: Store, configuration: Configuration) -> None:
    await Keys(store, SEAL, lambda: configuration).load()
    before = await store.read(rows.turns)
    with pytest.raises(StateError, match="put the former secret back"):
        await Keys(store, Seal(["n" * 32]), lambda: own(configuration, "acme")).load()
    assert await store.read(rows.turns) == before


async def test_a_key_that_does_not_open_is_said_once_and_harms_no_other(
    store: Store, configuration: Configuration
) -> None:
    current = [configuration]
    keys = Keys(store, SEAL, lambda: current[0])
    await keys.load()
    other = Seal(["n" * 32, "s" * 32])
    with capture_logs() as logs:
        await add(store, Kind(SAML, "acme"), made(SAML, 8), other)
        await add(store, Kind(HEADERS), made(HEADERS, 8), other)
        current[0] = own(configuration, "acme")
        async with following(keys):
            await add(store, Kind(SAML), made(SAML, 9))
            await until(lambda: made(SAML, 9).id in keys.held)
            await asyncio.sleep(0.1)
    assert sorted(line["key"] for line in logs if line["event"] == "key_not_opened") == sorted(
        [made(SAML, 8).id, made(HEADERS, 8).id]
    )
    assert keys.of(current[0].tenants["acme"]) == ()
    assert len(keys.ring.keys) == 1
    assert len(await store.read(rows.turns)) == 5


async def test_while_the_state_cannot_be_read_what_was_known_stays(store: Store, configuration: Configuration) -> None:
    keys = Keys(store, SEAL, lambda: configuration)
    await keys.load()
    ring = keys.ring
    with capture_logs() as logs:
        async with following(keys):
            await store.write(lambda c: c.exec_driver_sql("ALTER TABLE keys RENAME TO aside"))
            await until(lambda: bool(logs))
            await asyncio.sleep(0.1)
            assert keys.ring is ring
            await store.write(lambda c: c.exec_driver_sql("ALTER TABLE aside RENAME TO keys"))
            await add(store, Kind(SAML), made(SAML, 9))
            await until(lambda: made(SAML, 9).id in keys.held)
    assert [line["event"] for line in logs] == ["keys_not_followed", "keys_changed"]


def test_the_ring_turns_by_itself_when_a_key_is_old_enough() -> None:
    now = 1_700_000_000_000
    old, new = stored(HEADERS, now - READY_MS * 3, 0), stored(HEADERS, now, 1)
    moment = [now]
    keys = HeldKeys([new, old], clock=lambda: moment[0])
    first = keys.ring
    assert [key.kid for key in first.keys] == [old.id, new.id]
    moment[0] = now + READY_MS - 1
    assert keys.ring is first
    moment[0] = now + READY_MS
    assert [key.kid for key in keys.ring.keys] == [new.id, old.id]
    assert keys.ring.jwks == first.jwks


def test_without_keys_nothing_is_signed() -> None:
    with pytest.raises(StateError, match="have not been loaded"):
        _ = HeldKeys().ring


def test_keys_of_a_later_version_are_none_of_ours(configuration: Configuration) -> None:
    keys = HeldKeys([stored(HEADERS, 1), replace(stored(SAML, 1), kind=Kind("oidc"))])
    assert keys.of(configuration.tenants["acme"]) == ()
    assert len(keys.held) == 2


def test_a_tenant_with_its_own_keys_is_never_given_the_deployments(configuration: Configuration) -> None:
    keys = held_keys("globex", of_saml=2)
    acme, globex = (own(configuration, slug).tenants[slug] for slug in ("acme", "globex"))
    assert keys.of(acme) == ()
    assert len(keys.of(globex)) == 2
    shared = keys.of(configuration.tenants["globex"])
    assert not {key.id for key in shared} & {key.id for key in keys.of(globex)}
    assert "PRIVATE" not in repr(keys.held) + repr(shared)
