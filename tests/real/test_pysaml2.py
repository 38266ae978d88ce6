"""Launches through an IdP on pysaml2, with the bridge as a process of its own."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from lxml import etree

from bridge.demo.responses import UNSPECIFIED
from bridge.saml.document import PREFIXES
from bridge.simulator import seed
from tests.real.pysaml2 import PySaml2, pysaml2
from tests.real.visitor import Shown, Visitor
from tests.support.deployment import Deployment
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

USERS = {
    "rita": {
        "name_id": str(seed.RITA.email),
        "format": UNSPECIFIED,
        "attributes": {"lms_user_id": seed.RITA.remote_id, "displayName": seed.RITA.name},
    },
}
SHA256 = {
    "sign_alg": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "digest_alg": "http://www.w3.org/2001/04/xmlenc#sha256",
}
ASSERTION = {"sign_assertion": True, "sign_response": False, **SHA256}
BOTH = {"sign_assertion": True, "sign_response": True, **SHA256}
NEITHER = {"sign_assertion": False, "sign_response": False}
SHA1 = {"sign_assertion": True, "sign_response": True}
"""pysaml2's default."""


@dataclass(frozen=True)
class Scene:
    stage: Stage
    idp: PySaml2

    async def confirmed(self, visitor: Visitor, link: str) -> Shown:
        """The IdP's answer to a login that a deep link began, not sent yet."""
        prompt = await visitor.open(f"{self.stage.origin}{link}")
        assert str(prompt.url).startswith(self.idp.origin), prompt.answer.text
        return await visitor.send(prompt, username="rita")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    with pysaml2(tmp_path_factory.mktemp("idp"), USERS) as idp:
        metadata = idp.metadata()

        def prepare(deployment: Deployment) -> None:
            globex = deployment.tenants["globex"]
            deployment.tenants = {
                "globex": globex | {"saml": {"metadata": "customer.xml"}},
                "legacy": globex | {"saml": {"metadata": "customer.xml", "accept_sha1": True}},
            }
            (deployment.folder / "tenants").mkdir()
            (deployment.folder / "tenants" / "customer.xml").write_bytes(metadata)

        async with open_stage(tmp_path_factory.mktemp("stage"), prepare=prepare) as stage:
            async with Visitor() as visitor:
                for tenant in stage.deployment.tenants:
                    shown = await visitor.open(f"{stage.origin}/_bridge/saml/{tenant}/metadata")
                    idp.trust(tenant, shown.answer.content)
            yield Scene(stage, idp)


def said(confirmed: Shown, path: str) -> list[Any]:
    """What an XPath finds in the response that the IdP made."""
    root = etree.fromstring(base64.b64decode(confirmed.fields["SAMLResponse"]))
    found: Any = root.xpath(path, namespaces=PREFIXES)
    return list(found)


@pytest.mark.parametrize("options", [ASSERTION, BOTH], ids=["assertion", "both"])
async def test_a_launch(scene: Scene, options: dict[str, Any]) -> None:
    scene.idp.answer_with(**options)
    async with Visitor() as visitor:
        link = "/courses/code-of-conduct?chapter=2&x=%20y&tenant=globex"
        confirmed = await scene.confirmed(visitor, link)
        assert said(confirmed, "saml:Assertion/ds:Signature")
        assert bool(said(confirmed, "ds:Signature")) == options["sign_response"]
        shown = await visitor.send(confirmed)
    assert shown.answer.status_code == 200, shown.answer.text
    assert str(shown.url) == f"{scene.stage.origin}{link}"
    told = dict(shown.answer.json()["headers"])
    assert (told["x-kombo-user"], told["x-kombo-course"]) == (seed.RITA.id, "code-of-conduct")


@pytest.mark.parametrize(
    ("options", "check"),
    [
        (NEITHER, "signature_missing"),
        (SHA1, "sha1"),
        (BOTH | {"encrypt_assertion": True}, "content_algorithm"),
    ],
    ids=["unsigned", "SHA-1, its default", "encrypted with Triple DES, its default"],
)
async def test_what_is_refused(scene: Scene, options: dict[str, Any], check: str) -> None:
    scene.idp.answer_with(**options)
    async with Visitor() as visitor:
        confirmed = await scene.confirmed(visitor, "/my?tenant=globex")
        ciphers = said(confirmed, "//xenc:EncryptedData/xenc:EncryptionMethod/@Algorithm")
        assert [cipher.rpartition("#")[2] for cipher in ciphers] == ["tripledes-cbc"] * ("encrypt_assertion" in options)
        refused = await visitor.send(confirmed)
        assert (refused.refused, refused.answer.status_code) == ("saml_rejected", 403)
        assert "kombo-bridge-session" not in visitor.client.cookies
    logged = scene.stage.refusal()
    assert logged["reference"] in refused.answer.text
    assert logged["check"] == check


async def test_a_tenant_may_accept_sha1_for_an_idp_that_knows_no_other(scene: Scene) -> None:
    scene.idp.answer_with(**SHA1)
    async with Visitor() as visitor:
        confirmed = await scene.confirmed(visitor, "/my?tenant=legacy")
        assert {method.rpartition("#")[2] for method in said(confirmed, "//ds:SignatureMethod/@Algorithm")} == {
            "rsa-sha1"
        }
        shown = await visitor.send(confirmed)
    assert dict(shown.answer.json()["headers"])["x-kombo-user"] == seed.RITA.id
