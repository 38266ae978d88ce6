"""Metadata by URL over months and over nodes: what is taken, what is held, what stays, and who fetches."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree
from structlog.testing import capture_logs

from bridge.errors import MetadataError
from bridge.idps import keeping, refresh
from bridge.idps.keeping import LAST_RETRY, LONGEST, SHORTEST, Outcome, interval, pause
from bridge.saml.metadata import Metadata, read_idp_metadata
from bridge.saml.signing import sign_element
from bridge.store import idps
from bridge.store.engine import now_ms
from bridge.store.idps import Key
from tests.saml.parts import key

from .conftest import ENTITY_ID, Customer, Node, metadata, pem
from .site import answer

OTHER = "https://idp.other.example/"


def stamp(offset: timedelta) -> str:
    return (datetime.now(UTC) + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


async def make_due(node: Node, slug: str = "acme") -> None:
    source = node.source(slug)
    key = Key(source.slug, source.url)
    await node.store.write(lambda c: idps._change(c, key, next_at=0))


async def fetched_again(customer: Customer, node: Node) -> None:
    """The next fetch, and the row after it."""
    before, row = len(customer.site.heads), await node.row()
    await make_due(node)
    await node.until(lambda: len(customer.site.heads) > before)
    async with asyncio.timeout(20):
        while (now := await node.row()).next_at == 0 or now.next_at < now_ms() + 61_000 or now == row:
            await asyncio.sleep(0.02)


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

        async def slow(writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
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
            (b"<html>Sign in</html>", "not SAML metadata"),
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
        assert [log["event"] for log in told] == ["metadata_not_taken", "metadata_not_taken", "metadata_comes_again"]
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


class TestEntityId:
    async def test_another_one_is_held_and_never_taken_over(self, customer: Customer) -> None:
        async with customer.alive() as node, customer.node() as other:
            with capture_logs() as logs:
                customer.publishes("new", entity_id=OTHER, etag='"evil"')
                await fetched_again(customer, node)
                await fetched_again(customer, node)
            row = await node.row()
            assert (row.entity_id, row.held, row.etag) == (ENTITY_ID, OTHER, None)
            assert node.certificates == other.certificates == (pem("idp"),)
            [told] = [log for log in logs if log["event"] == "metadata_held"]
            assert (told["entity_id"], told["offered"]) == (ENTITY_ID, OTHER)
            assert "metadata accept acme" in told["hint"]
        async with customer.node(runs=False) as restarted:
            assert restarted.certificates == (pem("idp"),)

    async def test_it_is_forgotten_when_the_former_comes_back(self, customer: Customer) -> None:
        async with customer.alive() as node:
            customer.publishes("new", entity_id=OTHER)
            await fetched_again(customer, node)
            customer.publishes("idp", "new")
            await fetched_again(customer, node)
            assert (await node.row()).held is None
            await node.until(lambda: len(node.certificates) == 2)

    async def test_it_is_taken_over_when_somebody_accepts_exactly_it(self, customer: Customer) -> None:
        async with customer.alive() as node:
            customer.publishes("new", entity_id=OTHER)
            await fetched_again(customer, node)
            renewal = await node.keeping.renew(node.source(), accept="https://idp.third.example/")
            assert renewal.outcome is Outcome.HELD
            renewal = await node.keeping.renew(node.source(), accept=OTHER)
            assert renewal.outcome is Outcome.CHANGED
            await node.until(lambda: node.certificates == (pem("new"),))
            assert node.acme
            assert node.acme.provider.entity_id == OTHER
            assert (await node.row()).held is None

    async def test_a_slow_node_cannot_undo_what_was_accepted(self, customer: Customer) -> None:
        """It fetched while the former was in force, and writes when the other is."""
        async with customer.alive() as node:

            async def slow(writer: asyncio.StreamWriter) -> None:
                customer.publishes("new", entity_id=OTHER)
                assert (await node.keeping.renew(node.source(), accept=OTHER)).outcome is Outcome.CHANGED
                writer.write(answer(metadata("old")))

            customer.site.answers["/metadata"] = slow
            assert (await node.keeping.renew(node.source())).outcome is Outcome.HELD
            row = await node.row()
            assert (row.entity_id, row.held) == (OTHER, ENTITY_ID)


class TestValidity:
    async def test_what_is_in_force_ends_with_it(self, customer: Customer) -> None:
        customer.publishes("idp", attributes=f'validUntil="{stamp(timedelta(seconds=5))}"')
        async with customer.alive() as node:
            await node.until(lambda: not node.acme)
            assert "acme.yaml:1: `saml.metadata`: the IdP's metadata was valid until" in node.trouble
            assert node.told[-1].generation == 2
            assert node.source()
            customer.publishes("idp", attributes=f'validUntil="{stamp(timedelta(days=1))}"')
            await make_due(node)
            await node.until(lambda: node.acme)

    async def test_the_same_document_does_not_become_good_again(self, customer: Customer) -> None:
        customer.publishes("idp", etag='"v1"', attributes=f'validUntil="{stamp(timedelta(seconds=5))}"')
        async with customer.alive() as node:
            await node.until(lambda: not node.acme)
            customer.site.answers["/metadata"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
            await fetched_again(customer, node)
            assert "valid until" in str((await node.row()).failed)
        async with customer.node(runs=False) as node:
            assert not node.acme

    @pytest.mark.parametrize(
        ("said", "least", "most"),
        [
            (Metadata(None, None, None), 0.8 * LONGEST, LONGEST),
            (Metadata(None, None, timedelta(days=30)), 0.8 * LONGEST, LONGEST),
            (Metadata(None, None, timedelta(hours=6)), timedelta(hours=4.8), timedelta(hours=6)),
            (Metadata(None, None, timedelta(0)), SHORTEST, SHORTEST),
            (Metadata(None, datetime.now(UTC) + timedelta(hours=10), None), timedelta(hours=3.9), timedelta(hours=5)),
            (Metadata(None, datetime.now(UTC) + timedelta(seconds=20), None), SHORTEST, SHORTEST),
            (Metadata(None, datetime.now(UTC) - timedelta(days=20), None), SHORTEST, SHORTEST),
        ],
    )
    def test_how_long_a_document_is_left_alone(self, said: Metadata, least: timedelta, most: timedelta) -> None:
        lengths = [interval(said) for _ in range(100)]
        assert least <= min(lengths) <= max(lengths) <= most

    def test_how_long_a_failure_is(self) -> None:
        for first, failures in itertools.product((True, False), range(1, 5000, 7)):
            assert (timedelta(seconds=24) if first else 0.8 * SHORTEST) <= pause(failures, first=first) <= LAST_RETRY


class TestPinned:
    def signed(self, name: str, *names: str) -> bytes:
        root = etree.fromstring(metadata(*names, attributes='ID="_1"'))
        sign_element(root, key(name))
        return etree.tostring(root)

    async def test_only_what_the_certificate_signed_is_taken(self, customer: Customer) -> None:
        (customer.folder.path / "tenants" / "signer.pem").write_text(pem("signer"))
        customer.write(metadata_certificate="signer.pem")
        async with customer.node() as node:
            await node.until(lambda: "is not signed" in node.trouble)
            customer.site.says(self.signed("signer", "idp"))
            await make_due(node)
            await node.until(lambda: node.acme)
            customer.site.says(self.signed("evil", "evil"))
            await fetched_again(customer, node)
            assert "not signed by the key" in str((await node.row()).failed)
            assert node.certificates == (pem("idp"),)

    async def test_another_certificate_is_asked_of_what_is_there_already(self, customer: Customer) -> None:
        async with customer.alive() as node:
            (customer.folder.path / "tenants" / "signer.pem").write_text(pem("signer"))
            customer.write(metadata_certificate="signer.pem")
            with capture_logs() as logs:
                await asyncio.sleep(0.5)
            assert node.acme  # the last good version serves
            assert any("is not signed" in log.get("problem", "") for log in logs)
        async with customer.node(runs=False) as node:
            assert "is not signed" in node.trouble

    @pytest.mark.parametrize(("text", "says"), [(None, "there is no file"), ("hello", "no certificate in PEM")])
    async def test_a_bad_certificate_file_is_a_problem_with_a_line(
        self, customer: Customer, text: str | None, says: str
    ) -> None:
        if text:
            (customer.folder.path / "tenants" / "signer.pem").write_text(text)
        customer.write(metadata_certificate="signer.pem")
        async with customer.node(runs=False) as node:
            assert "tenants/acme.yaml:1: `saml.metadata_certificate`: " in node.trouble
            assert says in node.trouble


class TestNow:
    async def test_a_new_key_is_in_force_on_return(self, customer: Customer) -> None:
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

    async def test_whoever_asks_together_shares_one_fetch(self, customer: Customer) -> None:
        async with customer.alive() as node:
            customer.publishes("new")
            assert node.acme
            asked = [node.refresher.refresh_now(node.acme) for _ in range(50)]
            assert await asyncio.gather(*asked) == [True] * 50
            assert len(customer.site.heads) == 2

    @pytest.mark.parametrize("what", ["the same", "rubbish", "an error", "another entityID"])
    async def test_nothing_is_written_where_nothing_changed(self, customer: Customer, what: str) -> None:
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

    async def test_nobody_waits_for_long(self, customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
        async def stall(_writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(refresh, "ASK_SECONDS", 0.1)
        async with customer.alive() as node:
            customer.site.answers["/metadata"] = stall
            assert node.acme
            async with asyncio.timeout(1):
                assert await node.refresher.refresh_now(node.acme) is False

    async def test_what_another_node_fetched_counts(self, customer: Customer) -> None:
        async with customer.alive() as node, customer.node(runs=False) as late:
            former = late.acme
            assert former
            customer.publishes("new")
            await fetched_again(customer, node)
            assert late.certificates == (pem("idp"),)
            assert await late.refresher.refresh_now(former) is True

    async def test_a_file_is_not_fetched(self, customer: Customer) -> None:
        (customer.folder.path / "tenants" / "idp.xml").write_bytes(metadata("idp"))
        customer.folder.tenant("acme", "saml: {metadata: idp.xml}")
        async with customer.node() as node:
            assert node.acme
            assert await node.refresher.refresh_now(node.acme) is False
        assert customer.site.heads == []

    async def test_only_so_many_at_once(self, customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(refresh, "ASKED_AT_ONCE", 0)
        async with customer.alive() as node:
            customer.publishes("new")
            assert node.acme
            assert await node.refresher.refresh_now(node.acme) is False
            assert len(customer.site.heads) == 1


async def test_what_nobody_has_begun_is_not_renewed(customer: Customer) -> None:
    async with customer.node(runs=False) as node:
        with pytest.raises(MetadataError, match="nobody has begun"):
            await node.keeping.renew(node.source())


def test_the_documents_of_these_tests_are_good() -> None:
    assert len(read_idp_metadata(metadata("idp", "new")).provider.certificates) == 2
    assert keeping.FIRST_RETRY < SHORTEST
