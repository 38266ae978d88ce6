"""Metadata in the state: who fetches, what is news, and what is forgotten."""

from __future__ import annotations

from bridge.store import idps
from bridge.store.engine import Store, now_ms
from bridge.store.idps import Key

ACME = Key("acme", "https://idp.acme.com/metadata")
BETA = Key("beta", "https://idp.beta.com/metadata")
DOCUMENT = "<md:EntityDescriptor/> \N{GREEK SMALL LETTER ALPHA}".encode()


async def keep(store: Store, key: Key, document: bytes = DOCUMENT) -> int:
    await store.write(lambda c: idps.claim(c, key, now_ms() + 60_000))
    await store.write(lambda c: idps.keep(c, key, document, "urn:idp", '"v1"', now_ms() + 60_000))
    found = await store.read(lambda c: idps.find(c, key))
    assert found
    return found[0].fetched_at


async def test_a_document_comes_back_as_it_was(store: Store) -> None:
    moment = await keep(store, ACME)
    found = await store.read(lambda c: idps.find(c, ACME))
    assert found
    kept, document = found
    assert (document, kept.key, kept.entity_id, kept.etag, kept.held, kept.failed) == (
        DOCUMENT,
        ACME,
        "urn:idp",
        '"v1"',
        None,
        None,
    )
    assert store.read_here(idps.latest) == moment
    assert await store.read(lambda c: idps.find(c, BETA)) is None


async def test_one_of_many_claims(store: Store) -> None:
    until = now_ms() + 60_000
    assert await store.write(lambda c: idps.claim(c, ACME, until))
    assert not await store.write(lambda c: idps.claim(c, ACME, until))
    found = await store.read(lambda c: idps.find(c, ACME))
    assert found and found[1] is None
    await store.write(lambda c: idps.fail(c, ACME, "no", 1, now_ms() - 1))
    assert await store.read(lambda c: idps.due(c, now_ms())) == {ACME: 1}
    assert await store.write(lambda c: idps.claim(c, ACME, until))
    assert not await store.write(lambda c: idps.claim(c, ACME, until))


async def test_news_is_never_older_than_what_was_seen(store: Store) -> None:
    """Whatever the nodes' clocks say."""
    first = await keep(store, ACME)
    ahead = first + 3_600_000
    await store.write(lambda c: idps._change(c, ACME, fetched_at=ahead))
    second = await keep(store, BETA)
    assert second == ahead + 1
    assert await store.read(lambda c: idps.fetched_since(c, second)) == {BETA: second}
    assert await store.read(lambda c: idps.fetched_since(c, 0)) == {ACME: ahead, BETA: second}
    assert await store.read(idps.keys) == {ACME, BETA}


async def test_what_a_fetch_came_to(store: Store) -> None:
    await keep(store, ACME)
    await store.write(lambda c: idps.hold(c, ACME, "urn:other", 5))
    [row] = await store.read(idps.rows)
    assert (row.held, row.next_at, row.entity_id) == ("urn:other", 5, "urn:idp")
    await store.write(lambda c: idps.fail(c, ACME, "no", 3, 6))
    [row] = await store.read(idps.rows)
    assert (row.failed, row.failures, row.next_at) == ("no", 3, 6)
    await store.write(lambda c: idps.confirm(c, ACME, None, 7))
    [row] = await store.read(idps.rows)
    assert (row.held, row.failed, row.failures, row.next_at, row.etag) == (None, None, 0, 7, None)


async def test_what_nobody_looks_after_is_forgotten(store: Store) -> None:
    for key in (ACME, BETA):
        await keep(store, key)
        await store.write(lambda c, key=key: idps._change(c, key, next_at=10))
    assert await store.write(lambda c: idps.forget(c, {ACME}, 9)) == 0
    assert await store.write(lambda c: idps.forget(c, {ACME}, 10)) == 1
    assert await store.read(idps.keys) == {ACME}
