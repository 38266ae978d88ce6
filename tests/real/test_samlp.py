"""Many customers at once, whose IdPs all run on npm's samlp, with the bridge as a process of its own."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from lxml import etree

from bridge.saml.document import PREFIXES
from bridge.simulator import seed
from tests.real.samlp import Samlp, samlp
from tests.real.visitor import Shown, Visitor
from tests.support.deployment import TIERS, Deployment
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 20
BY_TIER = {"acme": seed.JANE, "globex": seed.RITA, "initech": seed.PETER}
KINDS = list(BY_TIER)
CUSTOMERS = {f"customer-{number:02}": KINDS[number % len(KINDS)] for number in range(MANY)}
OPTED_IN = "customer-03"

GCM = "http://www.w3.org/2009/xmlenc11#aes256-gcm"
CBC = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
INSECURE_TOO = {"disallowEncryptionWithInsecureAlgorithm": False}


def user(person: seed.Person) -> dict[str, Any]:
    """One person in every tier's words; `integration`s differ, so no other tier could make use of them."""
    attributes = {"lms_user_id": person.remote_id, "mail": person.email, "displayName": person.name}
    return {"nameId": person.remote_id, "attributes": attributes}


@dataclass(frozen=True)
class Scene:
    stage: Stage
    idp: Samlp

    def person(self, customer: str) -> seed.Person:
        return BY_TIER[CUSTOMERS[customer]]

    def entity_id(self, customer: str) -> str:
        return f"{self.stage.origin}/_bridge/saml/{customer}/metadata"

    def serve(self, customer: str, **options: Any) -> None:
        person = self.person(customer)
        acs = f"{self.stage.origin}/_bridge/saml/{customer}/acs"
        self.idp.serve(
            customer, entity_id=self.entity_id(customer), acs=acs, users={"somebody": user(person)}, **options
        )

    async def certificate(self, customer: str) -> str:
        """The bridge's own for encryption, PEM, as it stands in its metadata."""
        async with Visitor() as visitor:
            metadata = (await visitor.open(self.entity_id(customer))).answer.content
        path = "//md:KeyDescriptor[@use='encryption']//ds:X509Certificate/text()"
        found: Any = etree.fromstring(metadata).xpath(path, namespaces=PREFIXES)
        return ssl.DER_cert_to_PEM_cert(base64.b64decode(found[0]))

    async def confirmed(self, visitor: Visitor, customer: str, path: str = "/my") -> Shown:
        """The IdP's answer to a login that a deep link began, not sent yet."""
        prompt = await visitor.open(f"{self.stage.origin}{path}?tenant={customer}")
        assert str(prompt.url).startswith(f"{self.idp.origin}/{customer}/sso?"), prompt.answer.text
        return await visitor.send(prompt, username="somebody")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    with samlp(tmp_path_factory.mktemp("idp"), list(CUSTOMERS)) as idp:

        def prepare(deployment: Deployment) -> None:
            folder = deployment.folder / "tenants"
            folder.mkdir()
            deployment.tenants.clear()
            for customer, kind in CUSTOMERS.items():
                integration, identity = TIERS[kind]
                (folder / f"{customer}.xml").write_bytes(idp.metadata(customer))
                deployment.tenants[customer] = {
                    "name": customer,
                    "kombo": {"integration_id": integration},
                    "saml": {"metadata": f"{customer}.xml", "idp_initiated": customer == OPTED_IN},
                    "identity": identity,
                    "gate": "assigned",
                }

        async with open_stage(tmp_path_factory.mktemp("stage"), prepare=prepare) as stage:
            found = Scene(stage, idp)
            for customer in CUSTOMERS:
                found.serve(customer)
            yield found


def platform(shown: Shown) -> dict[str, str]:
    """The headers that the platform received."""
    assert shown.answer.status_code == 200, shown.answer.text
    return dict(shown.answer.json()["headers"])


async def test_twenty_customers_at_once(scene: Scene) -> None:
    async def launch(customer: str) -> None:
        async with Visitor() as visitor:
            told = platform(await visitor.send(await scene.confirmed(visitor, customer)))
        assert (told["x-kombo-tenant"], told["x-kombo-user"]) == (customer, scene.person(customer).id)

    await asyncio.gather(*map(launch, CUSTOMERS))


async def test_one_customers_answer_is_nothing_to_the_next(scene: Scene) -> None:
    """Each has an issuer and a key of its own; the person would even be known to both."""
    customers = list(CUSTOMERS)
    for customer, other in zip(customers, customers[3:6], strict=False):
        assert scene.person(customer) == scene.person(other)
        async with Visitor() as visitor:
            theirs = await scene.confirmed(visitor, customer)
            ours = await scene.confirmed(visitor, other)
            refused = await visitor.send(ours, SAMLResponse=theirs.fields["SAMLResponse"])
            assert (refused.refused, refused.answer.status_code) == ("saml_rejected", 403)
            assert platform(await visitor.send(theirs))["x-kombo-tenant"] == customer, "where it belongs it counts"


async def test_another_customers_login_cannot_be_answered(scene: Scene) -> None:
    """The RelayState of one tenant at another's ACS is no login there: the answer is dropped unread."""
    async with Visitor() as visitor:
        theirs = await scene.confirmed(visitor, "customer-00")
        ours = await scene.confirmed(visitor, "customer-06")
        asked_anew = await visitor.send(ours, RelayState=theirs.fields["RelayState"])
        assert str(asked_anew.url).startswith(f"{scene.idp.origin}/customer-06/sso?"), asked_anew.answer.text
        assert "kombo-bridge-session" not in visitor.client.cookies


@pytest.mark.parametrize("relay_state", ["/courses/cybersecurity-101?chapter=2", ""])
async def test_the_idps_own_side_may_begin_where_the_tenant_opted_in(scene: Scene, relay_state: str) -> None:
    async with Visitor() as visitor:
        shown = await visitor.send(await visitor.open(scene.idp.unsolicited(OPTED_IN, "somebody", relay_state)))
        assert platform(shown)["x-kombo-tenant"] == OPTED_IN
        assert str(shown.url) == f"{scene.stage.origin}{relay_state or '/'}"


@pytest.mark.parametrize("relay_state", ["https://evil.example/", "//evil.example", "/_bridge/logout"])
async def test_its_relay_state_leads_to_the_platform_only(scene: Scene, relay_state: str) -> None:
    async with Visitor() as visitor:
        shown = await visitor.send(await visitor.open(scene.idp.unsolicited(OPTED_IN, "somebody", relay_state)))
        platform(shown)
        assert str(shown.url) == f"{scene.stage.origin}/"


async def test_without_the_opt_in_the_bridge_asks_for_an_answer_of_its_own(scene: Scene) -> None:
    async with Visitor() as visitor:
        asked = await visitor.send(await visitor.open(scene.idp.unsolicited("customer-00", "somebody", "/my")))
        assert "username" in asked.fields, "at the IdP's prompt, by an AuthnRequest"
        told = platform(await visitor.send(await visitor.send(asked, username="somebody")))
        assert told["x-kombo-user"] == seed.JANE.id


@pytest.mark.parametrize(
    ("options", "check"),
    [
        ({"encryptionAlgorithm": GCM}, None),
        ({"encryptionAlgorithm": GCM, "signResponse": True}, None),
        ({"encryptionAlgorithm": CBC, "signResponse": True, **INSECURE_TOO}, None),
        ({"encryptionAlgorithm": CBC, **INSECURE_TOO}, "cbc_unsigned"),
        ({"encryptionAlgorithm": GCM, "signAssertion": False}, "signature_missing"),
    ],
    ids=["GCM", "GCM in a signed response", "CBC in a signed response", "CBC in an unsigned one", "unsigned"],
)
async def test_encrypted_for_the_key_in_our_metadata(scene: Scene, options: dict[str, Any], check: str | None) -> None:
    customer = "customer-09"
    certificate = await scene.certificate(customer)
    scene.serve(customer, encryptionCert=certificate, encryptionPublicKey=certificate, **options)
    try:
        async with Visitor() as visitor:
            confirmed = await scene.confirmed(visitor, customer)
            message = base64.b64decode(confirmed.fields["SAMLResponse"])
            assert b"EncryptedAssertion" in message
            assert seed.JANE.remote_id.encode() not in message
            shown = await visitor.send(confirmed)
    finally:
        scene.serve(customer)
    if check is None:
        assert platform(shown)["x-kombo-user"] == seed.JANE.id
    else:
        assert (shown.refused, scene.stage.refusal()["check"]) == ("saml_rejected", check)
