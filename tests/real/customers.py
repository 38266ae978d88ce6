"""What tests with SimpleSAMLphp share: its people, and a bridge whose customers all have it for their IdP."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from lxml import etree

from bridge.demo.responses import UNSPECIFIED
from bridge.saml.document import PREFIXES
from bridge.simulator import seed
from tests.real.simplesamlphp import PASSWORD, SimpleSamlPhp, simplesamlphp
from tests.real.visitor import Shown, Visitor
from tests.support.deployment import Deployment
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
ASSERTION = {"saml20.sign.assertion": True, "saml20.sign.response": False}
RESPONSE = {"saml20.sign.assertion": False, "saml20.sign.response": True}
BOTH = {"saml20.sign.assertion": True, "saml20.sign.response": True}
NEITHER = {"saml20.sign.assertion": False, "saml20.sign.response": False}

PEOPLE = {
    person.first_name.lower(): person
    for person in (seed.JANE, seed.MARTIN, seed.RITA, seed.COMMA, seed.SLASH, seed.HASH, seed.PETER, seed.MILTON)
}
STRANGER = "nobody"
ABOUT_NOBODY = {"lms_user_id": "no-such-id", "mail": "nobody@elsewhere.example", "displayName": "Nobody at All"}


def named_by(attribute: str, format: str) -> dict[str, Any]:
    """The option that makes an attribute the NameID."""
    return {"authproc": {"1": {"class": "saml:AttributeNameID", "attribute": attribute, "Format": format}}}


NAME_IDS = {
    "acme": named_by("lms_user_id", UNSPECIFIED),
    "globex": named_by("mail", EMAIL) | {"NameIDFormat": EMAIL},
    "initech": {"NameIDFormat": TRANSIENT},
}


@dataclass(frozen=True)
class Scene:
    stage: Stage
    idp: SimpleSamlPhp

    def link(self, tenant: str, path: str) -> str:
        return f"{self.stage.origin}{path}{'&' if '?' in path else '?'}tenant={tenant}"

    def entity_id(self, tenant: str) -> str:
        return f"{self.stage.origin}/_bridge/saml/{tenant}/metadata"

    async def register(self, tenant: str, options: Mapping[str, Any]) -> None:
        """The tenant's IdP learns of the bridge, from the bridge's own metadata."""
        async with Visitor() as visitor:
            shown = await visitor.open(self.entity_id(tenant))
        self.idp.trust(tenant, shown.answer.content, NAME_IDS[tenant] | options)

    async def launch(self, visitor: Visitor, tenant: str, user: str, path: str = "/my") -> Shown:
        """The whole way to the deep link's page, with the IdP's prompt in between."""
        confirmed = await sign_in(visitor, await visitor.open(self.link(tenant, path)), user)
        return await visitor.send(confirmed)


@contextlib.asynccontextmanager
async def open_scene(
    folders: pytest.TempPathFactory, prepare: Callable[[Deployment, SimpleSamlPhp], None], **service: Any
) -> AsyncIterator[Scene]:
    """The IdP and the bridge; `prepare` says how the tenants come to the IdP's metadata, among other things."""
    users = {name: about(person) for name, person in PEOPLE.items()} | {STRANGER: ABOUT_NOBODY}
    with simplesamlphp(folders.mktemp("idp"), users) as idp:

        def prepared(deployment: Deployment) -> None:
            prepare(deployment, idp)

        async with open_stage(folders.mktemp("stage"), prepare=prepared, **service) as stage:
            yield Scene(stage, idp)


def by_file(deployment: Deployment, idp: SimpleSamlPhp) -> None:
    """Every tenant has the IdP's metadata as a file."""
    for tenant in deployment.tenants.values():
        tenant["saml"]["metadata"] = "customer.xml"
    (deployment.folder / "tenants").mkdir()
    (deployment.folder / "tenants" / "customer.xml").write_bytes(idp.metadata())


def about(person: seed.Person) -> dict[str, str]:
    return {"lms_user_id": person.remote_id, "mail": str(person.email), "displayName": f"{person.name} ø <x>"}


async def sign_in(visitor: Visitor, prompt: Shown, user: str, password: str = PASSWORD) -> Shown:
    """Fill in the IdP's prompt; its next page."""
    assert "username" in prompt.fields, prompt.answer.text
    return await visitor.send(prompt, username=user, password=password)


def said(confirmed: Shown, path: str) -> list[Any]:
    """What an XPath finds in the response that the IdP made."""
    root = etree.fromstring(base64.b64decode(confirmed.fields["SAMLResponse"]))
    found: Any = root.xpath(path, namespaces=PREFIXES)
    return list(found)


def platform(shown: Shown) -> dict[str, str]:
    """The headers that the platform received."""
    assert shown.answer.status_code == 200, shown.answer.text
    return dict(shown.answer.json()["headers"])
