"""Metadata by URL over months and over nodes: who fetches, what is taken, and what stays."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bridge.errors import MetadataError
from bridge.idps import keeping, refresh
from bridge.idps.keeping import SHORTEST, Outcome
from bridge.saml.metadata import read_idp_metadata
from bridge.store import idps
from bridge.store.engine import now_ms

from .conftest import Customer, fetched_again, make_due, metadata, pem, stamp
from .site import answer


class TestComing:
    async def test_a_tenant_comes_alive_when_its_metadata_does(self, customer: Customer) -> None:
        async with customer.node(runs=False) as node:
            assert "yet to be fetched" in node.trouble
            assert "tenants/acme.yaml:1: `saml.metadata`: http://127.0.0.1:" in node.trouble
        async with customer.alive() as node:
            assert node.certificates == (pem("idp"),)
            assert [told.generation for told in node.told] == [1]
            assert not node.reloader.configuration.broken

    async def test_in_every_node_and_fetched_once(self, customer: Customer) -> None:
        async with customer.node() as one, customer.node() as two, customer.node() as three:
            for node in (one, two, three):
                await node.until(lambda node=node: node.acme)
            customer.publishes("idp", "new")
            await make_due(one)
            for node in (one, two, three):
                await node.until(lambda node=node: len(node.certificates) == 2)
        assert len(customer.site.heads) == 2

    async def test_a_restart_needs_nobody(self, customer: Customer) -> None:
        async with customer.alive():
            pass
        customer.site.answers.clear()
        async with customer.node() as node:
            assert node.certificates == (pem("idp"),)
            await asyncio.sleep(0.3)
        assert len(customer.site.heads) == 1

    async def test_why_it_does_not_come_is_said(self, customer: Customer) -> None:
        customer.site.says(b"", status="503 Busy")
        with capture_logs() as logs:
            async with customer.node() as node:
                await node.until(lambda: "HTTP 503" in node.trouble)
                row = await node.row()
            async with customer.node() as other:
                assert "could not be fetched yet: the answer is HTTP 503, not 200" in other.trouble
                await asyncio.sleep(0.2)
        assert (row.entity_id, row.failures) == (None, 1)
        assert now_ms() < row.next_at < now_ms() + 31_000
        assert [log["serving"] for log in logs if log["event"] == "metadata_not_taken"] == ["nothing"]
        assert len(customer.site.heads) == 1

    async def test_a_url_that_changes_serves_the_former_until_the_new_one_answers(self, customer: Customer) -> None:
        async with customer.alive() as node:
            customer.write(path="/elsewhere")
            await node.until(lambda: len(customer.site.heads) > 1)
            await asyncio.sleep(0.1)
            assert node.certificates == (pem("idp"),)
            customer.site.says(metadata("new"), path="/elsewhere")
            for row in await node.store.read(idps.rows):
                await node.store.write(lambda c, row=row: idps._change(c, row.key, next_at=0))
            await node.until(lambda: node.certificates == (pem("new"),))

    async def test_a_few_at_once_and_the_other_files_are_not_reread(self, customer: Customer) -> None:
        under_way, most = 0, 0
        enough = asyncio.Event()

        async def slow(writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            if most == refresh.AT_ONCE:
                enough.set()
            await enough.wait()
            await asyncio.sleep(0.01)
            under_way -= 1
            writer.write(answer(metadata("idp")))

        customer.site.answers["/metadata"] = slow
        slugs = [f"t{number:02}" for number in range(40)]
        for slug in slugs:
            customer.write(slug)
        async with customer.node() as node:
            await node.until(lambda: len(node.reloader.configuration.tenants) == 41, 20)
        assert most == refresh.AT_ONCE
        assert len(customer.site.heads) == 41


class TestChanging:
    async def test_keys_come_and_go_with_the_document(self, customer: Customer) -> None:
        async with customer.alive() as node:
            for names in (("idp", "new"), ("new",)):
                customer.publishes(*names)
                await make_due(node)
                await node.until(lambda names=names: node.certificates == tuple(map(pem, names)))

    @pytest.mark.parametrize("late", [b"HTTP/1.1 304 Not Modified\r\n\r\n", answer(metadata("idp", "old"))])
    async def test_a_slow_node_cannot_bring_a_dropped_key_back(self, customer: Customer, late: bytes) -> None:
        """It asked before the key was dropped, and hears the answer when another node has heard a newer one."""
        customer.publishes("idp", etag='"v1"')
        async with customer.alive() as node:

            async def slow(writer: asyncio.StreamWriter) -> None:
                customer.publishes("new", etag='"v2"')
                assert (await node.keeping.renew(node.source())).outcome is Outcome.CHANGED
                writer.write(late)

            customer.site.answers["/metadata"] = slow
            assert (await node.keeping.renew(node.source())).outcome is Outcome.UNCHANGED
            assert (await node.row()).etag == '"v2"'
            await node.until(lambda: node.certificates == (pem("new"),))

    async def test_what_is_the_same_changes_nothing(self, customer: Customer) -> None:
        customer.publishes("idp", etag='"v1"')
        async with customer.alive() as node:
            first = await node.row()
            customer.site.answers["/metadata"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
            await fetched_again(customer, node)
            assert 'If-None-Match: "v1"' in customer.site.heads[-1]
            row = await node.row()
            assert (row.fetched_at, row.etag) == (first.fetched_at, '"v1"')
            assert row.checked_at > first.checked_at
            customer.publishes("idp", etag='"v2"')
            await fetched_again(customer, node)
            row = await node.row()
            assert (row.fetched_at, row.etag) == (first.fetched_at, '"v2"')
            assert [told.generation for told in node.told] == [1]

    async def test_a_validity_that_rolls_on_disturbs_nobody(self, customer: Customer) -> None:
        customer.publishes("idp", attributes=f'validUntil="{stamp(timedelta(days=2))}"')
        async with customer.alive() as node:
            first = await node.row()
            customer.publishes("idp", attributes=f'validUntil="{stamp(timedelta(days=3))}"')
            await fetched_again(customer, node)
            await asyncio.sleep(0.2)
            assert (await node.row()).fetched_at > first.fetched_at
            assert [told.generation for told in node.told] == [1]

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            (b"<html>Sign in</html>", "it is a web page"),
            (b"", "not well-formed"),
            (metadata("idp").replace(b"X509Certificate>", b"X509Certificat>"), "no certificate"),
            (metadata("new", attributes='validUntil="2020-01-01T00:00:00Z"'), "valid until 2020-01-01 00:00 UTC"),
            (metadata("new").replace(b"https://idp.example.com/sso", b"http://idp.example.com/sso"), "plain http"),
        ],
    )
    async def test_what_cannot_be_used_leaves_the_former_in_force(
        self, customer: Customer, document: bytes, reason: str
    ) -> None:
        async with customer.alive() as node:
            first = await node.row()
            with capture_logs() as logs:
                customer.site.says(document)
                await fetched_again(customer, node)
                await fetched_again(customer, node)
                customer.site.says(b"", status="404 Not Found")
                await fetched_again(customer, node)
                customer.publishes("idp")
                await fetched_again(customer, node)
            row = await node.row()
            assert node.certificates == (pem("idp"),)
            assert replace(row, next_at=0, checked_at=0) == replace(first, next_at=0, checked_at=0)
        told = [log for log in logs if log["event"].startswith("metadata_")]
        assert [log["event"] for log in told] == ["metadata_not_taken", "metadata_not_taken", "metadata_recovered"]
        assert reason in told[0]["reason"]
        assert "HTTP 404" in told[1]["reason"]
        assert told[0]["serving"] == "the last good version"

    async def test_failures_are_repeated_ever_more_seldom(self, customer: Customer) -> None:
        async with customer.alive() as node:
            customer.site.says(b"", status="500 Oops")
            for failures, minutes in ((1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60)):
                await fetched_again(customer, node)
                row = await node.row()
                assert row.failures == failures
                assert 0.75 * minutes < (row.next_at - now_ms()) / 60_000 <= minutes


async def test_what_nobody_has_begun_is_not_renewed(customer: Customer) -> None:
    async with customer.node(runs=False) as node:
        with pytest.raises(MetadataError, match="nobody has begun"):
            await node.keeping.renew(node.source())


def test_the_documents_of_these_tests_are_good() -> None:
    assert len(read_idp_metadata(metadata("idp", "new")).provider.certificates) == 2
    assert keeping.FIRST_RETRY < SHORTEST
