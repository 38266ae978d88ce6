"""What metadata by URL is believed: of which IdP, for how long, and by whose signature."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree
from structlog.testing import capture_logs

from bridge.cli.check import check
from bridge.idps.keeping import LAST_RETRY, LONGEST, SHORTEST, Outcome, interval, pause
from bridge.saml.metadata import Metadata
from bridge.saml.signing import sign_element
from tests.saml.parts import key

from .conftest import ENTITY_ID, OTHER, Customer, fetched_again, make_due, metadata, pem, stamp
from .site import answer


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

    @pytest.mark.parametrize("says", [True, False])
    def test_check_notes_a_signed_document_without_end(
        self, customer: Customer, capsys: pytest.CaptureFixture[str], *, says: bool
    ) -> None:
        tenants = customer.folder.path / "tenants"
        root = etree.fromstring(metadata("idp", attributes='ID="_1"'))
        if says:
            root.set("validUntil", stamp(timedelta(days=60)))
        sign_element(root, key("signer"))
        (tenants / "signed.xml").write_bytes(etree.tostring(root))
        (tenants / "signer.pem").write_text(pem("signer"))
        customer.folder.tenant("acme", "saml: {metadata: signed.xml, metadata_certificate: signer.pem}")
        check(customer.folder.bridge)
        assert ("the signed metadata has no validUntil" in capsys.readouterr().out) is not says

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
