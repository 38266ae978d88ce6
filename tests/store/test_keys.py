"""Sealed keys and measured clocks."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection, select

from bridge.errors import StateError
from bridge.keys.resealing import Resealed, reseal, retire_lost
from bridge.keys.rollover import NEVER
from bridge.store import clocks, keys, tables
from bridge.store.clocks import Clock
from bridge.store.engine import Store, now_ms
from bridge.store.keys import KeyRow, Kind, MadeKey
from bridge.store.sealing import Seal

SEAL = Seal(["s" * 32])
STAMP, SAML, ACME = Kind("stamp"), Kind("saml"), Kind("saml", "acme")


def made(id: str) -> MadeKey:
    return MadeKey(id, f"private {id}".encode(), f"certificate {id}")


async def first(store: Store, kind: Kind, id: str) -> bool:
    return await store.write(partial(keys.add_first, seal=SEAL, kind=kind, made=made(id)))


async def add(store: Store, kind: Kind, id: str, seal: Seal = SEAL) -> list[keys.SealedKey]:
    return await store.write(partial(keys.add, seal=seal, kind=kind, made=made(id)))


async def test_nodes_that_start_together_agree_on_the_first_key_of_each_kind(store: Store) -> None:
    names = ("one", "two", "three")
    kinds = (STAMP, SAML, ACME)
    came = await asyncio.gather(
        *(first(store, kind, f"{kind.scope}{kind.purpose}{n}") for kind in kinds for n in names)
    )
    assert came.count(True) == len(kinds)
    for kind in kinds:
        [key] = await store.read(partial(keys.of_kind, kind=kind))
        assert key.opened(SEAL).private_pem == f"private {key.id}".encode()
        assert key.certificate == f"certificate {key.id}"


async def test_the_order_of_a_kind_is_that_of_making_whatever_the_clock_says(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(store, SAML, "one")
    monkeypatch.setattr(keys, "now_ms", lambda: now_ms() - 3_600_000)
    await add(store, SAML, "two")
    assert [key.id for key in await add(store, SAML, "three")] == ["one", "two", "three"]
    assert [key.id for key in await add(store, ACME, "other")] == ["other"]


async def test_no_key_is_made_under_secrets_that_do_not_open_the_others(store: Store) -> None:
    await add(store, SAML, "one")
    with pytest.raises(StateError, match="put the former secret back"):
        await add(store, SAML, "two", Seal(["n" * 32]))
    assert (await store.read(keys.turns)).keys() == {"one"}
    await add(store, SAML, "two", Seal(["n" * 32, "s" * 32]))
    first, second = await store.read(partial(keys.of_kind, kind=SAML))
    assert second.opened(Seal(["n" * 32])).private_pem == b"private two"
    with pytest.raises(StateError, match="put the former secret back"):
        first.opened(Seal(["n" * 32]))


async def test_a_private_key_is_not_readable_in_the_database_nor_shown(store: Store) -> None:
    [sealed] = await add(store, SAML, "one")
    assert "private one" not in str(await store.read(lambda c: c.execute(select(tables.keys)).all()))
    assert "private one" not in repr(sealed.opened(SEAL))
    assert sealed.sealed not in repr(sealed)


async def test_what_may_be_known_of_all_keys(store: Store) -> None:
    await add(store, STAMP, "one")
    await add(store, ACME, "two")
    found = await store.read(keys.faces)
    assert found == [
        KeyRow("one", STAMP, found[0].created_at, "certificate one"),
        KeyRow("two", ACME, found[1].created_at, "certificate two"),
    ]
    assert abs(found[0].created_at - now_ms()) < 60_000


async def test_any_number_of_keys_is_fetched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "FETCHED_AT_ONCE", 2)
    for name in ("a", "b", "c"):
        await add(store, SAML, name)
    found = await store.read(partial(keys.fetch, wanted=["a", "b", "c", "gone"]))
    assert {key.id for key in found} == {"a", "b", "c"}


async def test_resealing_is_done_for_all_or_for_none(store: Store) -> None:
    former, both, new = SEAL, Seal(["n" * 32, "s" * 32]), Seal(["n" * 32])
    for kind, name in ((STAMP, "a"), (SAML, "b"), (ACME, "c")):
        await add(store, kind, name, former)
    before = await store.read(keys.all_sealed)
    await add(store, Kind("saml", "lost"), "d", Seal(["l" * 32]))
    with pytest.raises(StateError, match="none of `secrets` opens d for saml of lost: put the former secret back"):
        await store.write(partial(reseal, seal=both))
    assert (await store.read(keys.all_sealed))[:3] == before
    [lost] = await store.read(partial(keys.of_kind, kind=Kind("saml", "lost")))
    assert await store.write(partial(retire_lost, seal=both, key=lost, make=None)) == []
    assert await store.write(partial(reseal, seal=both)) == Resealed(3, 0)
    assert await store.write(partial(reseal, seal=both)) == Resealed(0, 3)
    after = await store.read(keys.all_sealed)
    assert [key.opened(new).private_pem for key in after] == [key.opened(former).private_pem for key in before]
    assert [(key.id, key.kind, key.created_at, key.certificate) for key in after] == [
        (key.id, key.kind, key.created_at, key.certificate) for key in before
    ]


async def test_a_lost_key_is_followed_by_one_that_opens(store: Store) -> None:
    await add(store, SAML, "a", Seal(["l" * 32]))
    await add(store, SAML, "b", Seal(["l" * 32]))
    one, two = await store.read(partial(keys.of_kind, kind=SAML))
    retire = partial(retire_lost, seal=SEAL, make=lambda _: made("c"))
    assert [key.id for key in await store.write(partial(retire, key=one))] == ["c"]
    assert [key.id for key in await store.write(partial(retire, key=two))] == ["c"]
    with pytest.raises(StateError, match="so it is not lost"):
        await store.write(partial(retire, key=(await store.read(partial(keys.of_kind, kind=SAML)))[0]))


async def test_a_key_that_comes_while_all_are_resealed_is_not_left_out(store: Store) -> None:
    both = Seal(["n" * 32, "s" * 32])
    for name in ("a", "b"):
        await add(store, SAML, name)
    await asyncio.gather(store.write(partial(reseal, seal=both)), add(store, ACME, "c", both))
    await store.write(partial(reseal, seal=Seal(["n" * 32])))


async def test_two_that_retire_at_once_see_each_other(store: Store) -> None:
    for name in ("a", "b"):
        await add(store, SAML, name)

    def retire_unless_last(connection: Connection, id: str) -> bool:
        keys.hold_alone(connection)
        if len(keys.of_kind(connection, SAML)) == 1:
            return False
        keys.remove(connection, id)
        return True

    gone = await asyncio.gather(*(store.write(partial(retire_unless_last, id=name)) for name in ("a", "b")))
    assert sorted(gone) == [False, True]
    assert len(await store.read(keys.turns)) == 1


async def test_one_measurement_a_tenant(store: Store) -> None:
    for tenant, offset in (("acme", -1200), ("globex", 5), ("acme", 90_000)):
        await store.write(partial(clocks.record, tenant=tenant, provider="idp", offset_ms=offset))
    found = await store.read(clocks.all)
    assert found == {
        "acme": Clock("acme", "idp", 90_000, found["acme"].measured_at),
        "globex": Clock("globex", "idp", 5, found["globex"].measured_at),
    }
    assert abs(found["acme"].measured_at - now_ms()) < 60_000


async def test_a_promotion_is_noticed_by_its_moment(store: Store) -> None:
    for name in ("one", "two"):
        await add(store, STAMP, name)
    assert await store.read(keys.turns) == {"one": None, "two": None}
    await store.write(partial(keys.promote, id="two", signs_from=NEVER))
    assert await store.read(keys.turns) == {"one": None, "two": NEVER}
    assert [key.signs_from for key in await store.read(keys.faces)] == [None, NEVER]
    assert [key.opened(SEAL).signs_from for key in await store.read(partial(keys.of_kind, kind=STAMP))] == [None, NEVER]
