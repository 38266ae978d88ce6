"""Each folder of `config/idps` through the whole pipeline: settings, signature, rules, identity."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bridge.demo.encryption import Encryption
from bridge.demo.responses import IdpKey
from bridge.errors import Code, Refusal, SamlRefusal
from bridge.saml.keys import new_key
from bridge.saml.model import Assertion, Expectation, Signed, SpKey
from bridge.saml.verify import verify
from bridge.settings.model import Tenant
from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.rooms import Rooms
from tests.support.shapes import IDPS, Places, signed, unasked

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REQUEST = "_0a1b2c3d"


@dataclass(frozen=True)
class Shipped:
    """What a folder's sample is about, and which signatures its response carries."""

    person: seed.Person
    tier: str
    signs: Signed


SHIPPED = {
    "okta": Shipped(seed.JANE, "attribute", "both"),
    "entra": Shipped(seed.RITA, "attribute", "assertion"),
    "google": Shipped(seed.PETER, "attribute", "response"),
    "adfs": Shipped(seed.KLARA, "attribute", "both"),
    "successfactors": Shipped(seed.RITA, "name_id", "assertion"),
}


@cache
def key() -> IdpKey:
    return IdpKey.generate("Some customer's IdP")


@cache
def own_key() -> SpKey:
    """The bridge's, for which the IdP encrypts."""
    return new_key("ours", NOW)


def read(deployment: Deployment, name: str) -> Tenant:
    """The folder's tenant file as the bridge reads it, the IdP's certificate being our own."""
    deployment.tenants.clear()
    deployment.service = {"tenants": str(IDPS / name), "public_url": "https://learn.example.com"}
    tenant = deployment.load().tenants["tenant"]
    provider = replace(tenant.provider, certificates=(key().certificate_pem,))
    return tenant.model_copy(update={"provider": provider})


def template(name: str) -> bytes:
    return (IDPS / name / "response.xml").read_bytes()


def answer(tenant: Tenant, text: bytes, **encrypted: Any) -> str:
    """What the IdP posts: the sample, filled in for the tenant, signed and, where it says how, encrypted."""
    places = Places(tenant.provider.entity_id, tenant.party.acs, tenant.party.entity_id, REQUEST, NOW)
    encryption = Encryption(own_key().certificate_pem, **encrypted) if encrypted else None
    return base64.b64encode(signed(places.fill(text, key()), key(), encryption)).decode()


def verified(tenant: Tenant, message: str, *, request: str | None = REQUEST) -> Assertion:
    saml = tenant.saml
    expected = Expectation(tenant.provider, tenant.party, request, saml.signed, saml.clock_skew, (own_key(),))
    return verify(message, expected, now=NOW)


def test_every_folder_is_complete():
    folders = {path.name: {file.name for file in path.iterdir()} for path in IDPS.iterdir() if path.is_dir()}
    complete = {"README.md", "tenant.yaml", "metadata.xml", "response.xml"}
    assert folders == dict.fromkeys(SHIPPED, complete)
    index = (IDPS / "README.md").read_text()
    assert [name for name in folders if f"]({name}/README.md)" not in index] == []


@pytest.mark.parametrize("name", SHIPPED)
async def test_the_sample_leads_to_its_person(rooms: Rooms, name: str) -> None:
    shipped, tenant = SHIPPED[name], read(rooms.deployment, name)
    await rooms.sync(tenant)
    await rooms.control("down", value=True)
    match = await rooms.resolver.resolve(verified(tenant, answer(tenant, template(name))), tenant)
    assert match.person is not None
    assert (match.person.id, match.tier) == (shipped.person.id, shipped.tier)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_sample_is_signed_as_its_tenant_file_demands(tmp_path: Path, name: str) -> None:
    tenant = read(Deployment(tmp_path), name)
    assert tenant.saml.signed == SHIPPED[name].signs
    other: Signed = "response" if tenant.saml.signed == "assertion" else "assertion"
    stricter = tenant.model_copy(update={"saml": tenant.saml.model_copy(update={"signed": other})})
    if tenant.saml.signed != "both":
        with pytest.raises(SamlRefusal) as caught:
            verified(stricter, answer(tenant, template(name)))
        assert caught.value.check == "signature_missing"


@pytest.mark.parametrize("name", SHIPPED)
def test_nobody_can_sign_for_the_shipped_metadata(tmp_path: Path, name: str) -> None:
    tenant = read(Deployment(tmp_path), name)
    shipped = Deployment(tmp_path, service={"tenants": str(IDPS / name), "public_url": "https://learn.example.com"})
    as_shipped = shipped.load().tenants["tenant"]
    with pytest.raises(SamlRefusal) as caught:
        verified(as_shipped, answer(tenant, template(name)))
    assert caught.value.check == "signature"


@pytest.mark.parametrize(
    ("name", "encrypted"),
    [
        ("okta", {"content": "aes256-gcm", "detached": True}),
        ("okta", {"content": "aes256-cbc", "detached": True}),
        ("adfs", {"content": "aes256-cbc"}),
    ],
)
def test_the_sample_encrypted_as_its_idp_does(tmp_path: Path, name: str, encrypted: dict[str, Any]) -> None:
    tenant = read(Deployment(tmp_path), name)
    plain = verified(tenant, answer(tenant, template(name)))
    assert verified(tenant, answer(tenant, template(name), **encrypted)) == plain


@pytest.mark.parametrize("name", ["entra", "adfs"])
def test_what_microsoft_encrypts_needs_a_signed_response(tmp_path: Path, name: str) -> None:
    """Both encrypt with CBC and by default sign the assertion alone: the READMEs say which switch to turn."""
    tenant = read(Deployment(tmp_path), name)
    by_default = re.sub(rb"(</Issuer>)<ds:Signature.*?</ds:Signature>(<samlp:Status>)", rb"\1\2", template(name))
    with pytest.raises(SamlRefusal) as caught:
        verified(tenant, answer(tenant, by_default, content="aes256-cbc"))
    assert caught.value.check == "cbc_unsigned"


def test_successfactors_may_begin_by_itself(tmp_path: Path) -> None:
    tenant = read(Deployment(tmp_path), "successfactors")
    assert tenant.saml.idp_initiated
    message = answer(tenant, unasked(template("successfactors")))
    assert verified(tenant, message, request=None).name_id == seed.RITA.remote_id
    with pytest.raises(SamlRefusal):
        verified(tenant, message)


async def test_google_finds_by_email_whoever_has_no_id_yet(rooms: Rooms) -> None:
    tenant = read(rooms.deployment, "google")
    await rooms.sync(tenant)
    without = re.sub(rb'<saml2:Attribute Name="lms_user_id">.*?</saml2:Attribute>', b"", template("google"))
    match = await rooms.resolver.resolve(verified(tenant, answer(tenant, without)), tenant)
    assert match.person is not None
    assert (match.person.id, match.tier) == (seed.PETER.id, "email")


async def test_workdays_employee_id_is_no_wid(rooms: Rooms) -> None:
    tenant = read(rooms.deployment, "okta")
    await rooms.sync(tenant)
    employee = template("okta").replace(seed.JANE.remote_id.encode(), b"21042")
    with pytest.raises(Refusal) as caught:
        await rooms.resolver.resolve(verified(tenant, answer(tenant, employee)), tenant)
    assert caught.value.code is Code.USER_UNMATCHED


def test_entras_audience_of_a_bare_application_id_is_not_ours(tmp_path: Path) -> None:
    tenant = read(Deployment(tmp_path), "entra")
    spn = template("entra").replace(b"{{audience}}", b"spn:5f1a2b3c-0000-4000-8000-00000000000a")
    with pytest.raises(SamlRefusal) as caught:
        verified(tenant, answer(tenant, spn))
    assert caught.value.check == "audience"
