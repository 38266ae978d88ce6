from __future__ import annotations

import base64
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import pytest_asyncio
import yaml
from httpx import ASGITransport, AsyncClient

from bridge.demo.cast import companies
from bridge.demo.idp import Provider, identity_provider, providers
from bridge.errors import Code, SamlRefusal
from bridge.saml.metadata import read_idp_metadata
from bridge.saml.model import Expectation, OutgoingRequest, ServiceProvider
from bridge.saml.request import authn_request
from bridge.saml.verify import verify
from tests.pages.markup import Document

IDP = "http://localhost:7000"
BRIDGE = "http://127.0.0.1:8080"
HOME = "http://127.0.0.1:7001/"
ELSEWHERE = yaml.safe_load(Path(__file__).with_name("elsewhere.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def idps() -> Mapping[str, Provider]:
    return providers(IDP, companies())


@pytest_asyncio.fixture
async def browser(idps: Mapping[str, Provider]) -> AsyncIterator[AsyncClient]:
    app = identity_provider(idps, bridge=BRIDGE, home=HOME)
    async with AsyncClient(transport=ASGITransport(app), base_url=IDP) as client:
        yield client


def party(slug: str) -> ServiceProvider:
    return ServiceProvider(f"{BRIDGE}/_bridge/saml/{slug}/metadata", f"{BRIDGE}/_bridge/saml/{slug}/acs")


def ask(idps: Mapping[str, Provider], slug: str, relay_state: str = "relay") -> OutgoingRequest:
    return authn_request(read_idp_metadata(idps[slug].metadata).provider, party(slug), relay_state)


def saml_request(*, entity_id: str, acs: str) -> str:
    """Somebody else's AuthnRequest, ready for a query."""
    xml = (
        '<p:AuthnRequest xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" '
        'xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" '
        f'ID="_1" AssertionConsumerServiceURL="{acs}"><a:Issuer>{entity_id}</a:Issuer></p:AuthnRequest>'
    )
    deflater = zlib.compressobj(wbits=-15)
    return quote(base64.b64encode(deflater.compress(xml.encode()) + deflater.flush()), safe="")


def posted(html: str) -> tuple[str, dict[str, str]]:
    """Where a page's form leads, and its hidden fields."""
    document = Document(html)
    assert [problem for problem in document.problems if problem != "<script>"] == []
    fields = {str(field["name"]): str(field["value"]) for field in document.all("input")}
    return str(document.all("form")[0]["action"]), fields


def expectation(idps: Mapping[str, Provider], slug: str, request: OutgoingRequest) -> Expectation:
    return Expectation(read_idp_metadata(idps[slug].metadata).provider, party(slug), request.id)


@pytest.mark.parametrize("slug", companies())
async def test_asks_who_somebody_is_and_remembers_it(
    slug: str, idps: Mapping[str, Provider], browser: AsyncClient
) -> None:
    request = ask(idps, slug)
    choice = await browser.get(request.send.url)
    document = Document(choice.text)
    assert document.problems == []
    people = companies()[slug].people
    assert [button["value"] for button in document.all("button")] == list(people)
    assert all(person.name in document.text and person.outcome in document.text for person in people.values())

    action, fields = posted(choice.text)
    key, person = next(iter(people.items()))
    first = await browser.get(action, params={**fields, "as": key})
    action, fields = posted(first.text)
    assert action == party(slug).acs
    assert fields["RelayState"] == "relay"
    assertion = verify(fields["SAMLResponse"], expectation(idps, slug, request), now=datetime.now(UTC))
    assert assertion.name_id == person.name_id
    assert {attribute.name: attribute.values[0] for attribute in assertion.attributes} == person.attributes

    second = ask(idps, slug, "again")
    action, fields = posted((await browser.get(second.send.url)).text)
    assert fields["RelayState"] == "again"
    assert verify(fields["SAMLResponse"], expectation(idps, slug, second), now=datetime.now(UTC))


def test_each_company_names_its_people_its_own_way() -> None:
    acme, globex, initech = companies().values()
    assert acme.people["jane"].name_id
    assert globex.people["rita"].attributes["lms_user_id"] == "E777"
    assert globex.people["rita"].name_id == "rita.moreno@globex.com"
    assert initech.people["peter"].attributes == {"mail": "peter.gibbons@initech.com"}


@pytest.mark.parametrize(
    ("person", "check"),
    [("mallory", "signature"), ("stranger", "audience"), ("late", "an hour ago")],
)
async def test_faults_are_faults(person: str, check: str, idps: Mapping[str, Provider], browser: AsyncClient) -> None:
    request = ask(idps, "acme")
    _, fields = posted((await browser.get(f"{request.send.url}&as={person}")).text)
    with pytest.raises(SamlRefusal) as refused:
        verify(fields["SAMLResponse"], expectation(idps, "acme", request), now=datetime.now(UTC))
    assert refused.value.code is Code.SAML_REJECTED
    assert check in f"{refused.value.check} {refused.value.reason}"


async def test_a_lost_beginning_loses_the_relay_state(idps: Mapping[str, Provider], browser: AsyncClient) -> None:
    _, fields = posted((await browser.get(f"{ask(idps, 'acme').send.url}&as=sleeper")).text)
    assert fields["RelayState"] == ""


async def test_somebody_may_be_signed_in_beforehand(idps: Mapping[str, Provider], browser: AsyncClient) -> None:
    then = f"{BRIDGE}/courses/cybersecurity-101?tenant=acme&x=y"
    answer = await browser.get(f"/acme/as/hugo?then={quote(then, safe='')}")
    assert (answer.status_code, answer.headers["location"]) == (303, then)
    request = ask(idps, "acme")
    _, fields = posted((await browser.get(request.send.url)).text)
    assertion = verify(fields["SAMLResponse"], expectation(idps, "acme", request), now=datetime.now(UTC))
    assert assertion.name_id == companies()["acme"].people["hugo"].name_id

    assert Document((await browser.get("/acme/sign-out")).text).problems == []
    assert "Who are you today?" in (await browser.get(ask(idps, "acme").send.url)).text


async def test_one_company_does_not_know_who_signed_in_at_another(
    idps: Mapping[str, Provider], browser: AsyncClient
) -> None:
    await browser.get(f"/acme/as/jane?then={BRIDGE}/")
    assert "Who are you today?" in (await browser.get(ask(idps, "globex").send.url)).text


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_it_serves_the_bridge_only(url: str, idps: Mapping[str, Provider], browser: AsyncClient) -> None:
    good = party("acme")
    for request in (saml_request(entity_id=url, acs=good.acs), saml_request(entity_id=good.entity_id, acs=url)):
        refused = await browser.get(f"/acme/sso?SAMLRequest={request}&as=jane")
        assert refused.status_code == (403 if url else 400)
        assert "SAMLResponse" not in refused.text
    answer = await browser.get(f"/acme/as/jane?then={quote(url, safe='')}")
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["/acme/sso", "/acme/sso?SAMLRequest=%00", "/acme/sso?SAMLRequest=aGVsbG8=", f"/acme/sso?SAMLRequest={'A' * 9000}"],
)
async def test_a_bad_request_is_refused(path: str, browser: AsyncClient) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 400
    assert Document(answer.text).problems == []


@pytest.mark.parametrize("path", ["/umbrella/sso", "/umbrella/metadata", f"/acme/as/nobody?then={BRIDGE}/"])
async def test_the_unknown_is_not_found(path: str, browser: AsyncClient) -> None:
    assert (await browser.get(path)).status_code == 404


async def test_a_hostile_relay_state_comes_back_as_text(idps: Mapping[str, Provider], browser: AsyncClient) -> None:
    relay_state = '"><script>alert(1)</script>&{{ 7*7 }}'
    request = ask(idps, "acme", relay_state)
    _, fields = posted((await browser.get(request.send.url)).text)
    assert fields["RelayState"] == relay_state
    _, fields = posted((await browser.get(f"{request.send.url}&as=jane")).text)
    assert fields["RelayState"] == relay_state


async def test_the_metadata_says_where_to_sign_on(idps: Mapping[str, Provider], browser: AsyncClient) -> None:
    provider = read_idp_metadata((await browser.get("/globex/metadata")).content).provider
    assert provider.entity_id == f"{IDP}/globex/metadata"
    assert provider.sso_redirect == f"{IDP}/globex/sso"
    assert parse_qs(urlsplit(ask(idps, "globex").send.url).query)["RelayState"] == ["relay"]
