"""Requests as IdPs want them, and answers for the bridge's eyes only."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from sqlalchemy import create_engine

from bridge.demo.encryption import Encryption
from bridge.demo.responses import idp_metadata
from bridge.saml.document import tag
from bridge.simulator import seed
from bridge.store import clocks
from tests.support.deployment import Deployment, idp_key
from tests.support.stage import Asked, Stage
from tests.support.stage import stage as open_stage
from tests.support.window import Window

pytestmark = pytest.mark.asyncio(loop_scope="module")


def picky(deployment: Deployment) -> None:
    """Acme's IdP takes requests by POST only, Globex's wants them signed, Initech's both, and has keys of its own."""
    folder = deployment.folder / "tenants"
    folder.mkdir()
    for slug, changes in (
        ("acme", {"HTTP-Redirect": "HTTP-POST"}),
        ("globex", {}),
        (
            "initech",
            {"HTTP-Redirect": "HTTP-POST", 'WantAuthnRequestsSigned="false"': 'WantAuthnRequestsSigned="true"'},
        ),
    ):
        text = idp_metadata(deployment.idp_entity_id(slug), idp_key(), f"http://localhost:7000/{slug}/sso").decode()
        for former, new in changes.items():
            assert former in text
            text = text.replace(former, new)
        (folder / f"{slug}-own.xml").write_text(text)
        deployment.tenants[slug]["saml"]["metadata"] = f"{slug}-own.xml"
    deployment.tenants["globex"]["saml"]["sign_requests"] = True
    deployment.tenants["initech"]["saml"]["own_keys"] = True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("stage"), prepare=picky) as found:
        yield found


def form(page: str) -> tuple[str, dict[str, str]]:
    """Where a page's form is posted, and what with."""
    action = page.partition('<form method="post" action="')[2].partition('"')[0]
    fields = {}
    for piece in page.split('<input type="hidden" name="')[1:]:
        name, _, rest = piece.partition('" value="')
        fields[name] = unescape(rest.partition('"')[0])
    return unescape(action), fields


async def certificates(stage: Stage, tenant: str, use: str) -> list[x509.Certificate]:
    async with Window(stage) as window:
        root = etree.fromstring((await window.get(f"/_bridge/saml/{tenant}/metadata")).content)
    found = [each for each in root.iter(tag("md:KeyDescriptor")) if each.get("use") in (use, None)]
    texts = [each.findtext(f".//{tag('ds:X509Certificate')}", "") for each in found]
    return [x509.load_der_x509_certificate(base64.b64decode(text)) for text in texts]


@pytest.mark.parametrize(("tenant", "person"), [("acme", seed.JANE), ("initech", seed.PETER)])
async def test_an_idp_that_takes_requests_by_post_only(stage: Stage, tenant: str, person: seed.Person) -> None:
    async with Window(stage) as window:
        page = await window.get(f"/my?a&tenant={tenant}")
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        action, fields = form(page.text)
        assert action == f"http://localhost:7000/{tenant}/sso"
        request = etree.fromstring(base64.b64decode(fields["SAMLRequest"]))
        assert request.get("Destination") == action
        assert (request.find(tag("ds:Signature")) is not None) == (tenant == "initech")
        issuer = request.findtext(tag("saml:Issuer"), "")
        asked = Asked(
            request.get("ID", ""), issuer, request.get("AssertionConsumerServiceURL", ""), fields["RelayState"]
        )
        done = await window.answer(asked, window.says(tenant, asked, person))
        assert (done.status_code, done.headers["location"]) == (303, f"/my?a&tenant={tenant}")
        assert await window.who() == person.id


async def test_an_idp_that_wants_requests_signed(stage: Stage) -> None:
    async with Window(stage) as window:
        location = (await window.get("/my?tenant=globex")).headers["location"]
        query = location.partition("?")[2]
        signed, _, rest = query.partition("&Signature=")
        signature = base64.b64decode(unquote(rest))
        [certificate, *_] = await certificates(stage, "globex", "signing")
        certificate.public_key().verify(signature, signed.encode(), padding.PKCS1v15(), SHA256())
        asked = Asked.of(location)
        done = await window.answer(asked, window.says("globex", asked, seed.RITA))
        assert done.headers["location"] == "/my?tenant=globex"


async def test_a_tenant_with_keys_of_its_own_signs_with_those(stage: Stage) -> None:
    [own], [shared] = [await certificates(stage, tenant, "signing") for tenant in ("initech", "acme")]
    assert own != shared


@pytest.mark.parametrize(
    ("tenant", "person", "how"),
    [
        ("globex", seed.RITA, {}),
        ("globex", seed.RITA, {"content": "aes128-gcm", "detached": True}),
    ],
    ids=["gcm", "detached key"],
)
async def test_an_encrypted_assertion(stage: Stage, tenant: str, person: seed.Person, how: dict[str, Any]) -> None:
    [certificate, *_] = await certificates(stage, tenant, "encryption")
    pem = certificate.public_bytes(Encoding.PEM).decode()
    async with Window(stage) as window:
        asked = await window.ask(f"/my?tenant={tenant}")
        response = window.says(tenant, asked, person, encryption=Encryption(pem, **how))
        assert person.remote_id.encode() not in base64.b64decode(response)
        done = await window.answer(asked, response)
        assert (done.status_code, done.headers["location"]) == (303, f"/my?tenant={tenant}")
        assert await window.who() == person.id


async def test_what_is_encrypted_for_somebody_else(stage: Stage) -> None:
    [certificate, *_] = await certificates(stage, "initech", "encryption")
    pem = certificate.public_bytes(Encoding.PEM).decode()
    async with Window(stage) as window:
        asked = await window.ask("/my?tenant=globex")
        refused = await window.answer(asked, window.says("globex", asked, seed.RITA, encryption=Encryption(pem)))
        assert refused.headers["bridge-error"] == "saml_rejected"


async def test_the_idps_clock_is_measured(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = await window.ask("/my?tenant=globex")
        await window.answer(asked, window.says("globex", asked, seed.RITA))
    engine = create_engine(f"sqlite:///{stage.deployment.folder}/bridge.db")
    with engine.connect() as connection:
        measured = clocks.all(connection)["globex"]
    engine.dispose()
    assert measured.provider == stage.deployment.idp_entity_id("globex")
    assert -5_000 < measured.offset_ms < 1_000, "whole seconds in the response, and the way here"
