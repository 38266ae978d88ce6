"""Metadata that is fetched at once, since a response came with a key that nobody knows yet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.idps import refresh

from .conftest import OTHER, Customer, fetched_again, metadata, pem


async def test_a_new_key_is_in_force_on_return(customer: Customer) -> None:
    async with customer.alive() as node:
        former = node.acme
        assert former
        customer.publishes("idp", "new")
        assert await node.refresher.refresh_now(former) is True
        assert node.certificates == (pem("idp"), pem("new"))
        assert node.told[-1].tenants["acme"] is node.acme
        assert await node.refresher.refresh_now(node.acme) is False
        assert await node.refresher.refresh_now(former) is True
        assert len(customer.site.heads) == 2


async def test_whoever_asks_together_shares_one_fetch(customer: Customer) -> None:
    async with customer.alive() as node:
        customer.publishes("new")
        assert node.acme
        asked = [node.refresher.refresh_now(node.acme) for _ in range(50)]
        assert await asyncio.gather(*asked) == [True] * 50
        assert len(customer.site.heads) == 2


@pytest.mark.parametrize("what", ["the same", "rubbish", "an error", "another entityID"])
async def test_nothing_is_written_where_nothing_changed(customer: Customer, what: str) -> None:
    async with customer.alive() as node:
        match what:
            case "rubbish":
                customer.site.says(b"rubbish")
            case "an error":
                customer.site.says(b"", status="500 Oops")
            case "another entityID":
                customer.publishes("new", entity_id=OTHER)
                await fetched_again(customer, node)
        before, asked = await node.row(), len(customer.site.heads)
        writes: list[Any] = []
        write = node.store.write
        node.store.write = lambda work: writes.append(work) or write(work)
        assert node.acme
        for _ in range(3):
            assert await node.refresher.refresh_now(node.acme) is False
        assert (await node.row(), writes) == (before, [])
        assert len(customer.site.heads) == asked + 1


async def test_nobody_waits_for_long(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stall(_writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(refresh, "ASK_SECONDS", 0.1)
    async with customer.alive() as node:
        customer.site.answers["/metadata"] = stall
        assert node.acme
        async with asyncio.timeout(1):
            assert await node.refresher.refresh_now(node.acme) is False


async def test_what_another_node_fetched_counts(customer: Customer) -> None:
    async with customer.alive() as node, customer.node(runs=False) as late:
        former = late.acme
        assert former
        customer.publishes("new")
        await fetched_again(customer, node)
        assert late.certificates == (pem("idp"),)
        assert await late.refresher.refresh_now(former) is True


async def test_a_file_is_not_fetched(customer: Customer) -> None:
    (customer.folder.path / "tenants" / "idp.xml").write_bytes(metadata("idp"))
    customer.folder.tenant("acme", "saml: {metadata: idp.xml}")
    async with customer.node() as node:
        assert node.acme
        assert await node.refresher.refresh_now(node.acme) is False
    assert customer.site.heads == []


async def test_only_so_many_at_once(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "ASKED_AT_ONCE", 0)
    async with customer.alive() as node:
        customer.publishes("new")
        assert node.acme
        assert await node.refresher.refresh_now(node.acme) is False
        assert len(customer.site.heads) == 1
