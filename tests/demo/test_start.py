from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from httpx import ASGITransport, AsyncClient

from bridge.demo.cast import COURSES, companies
from bridge.demo.launches import commands, groups, launches
from bridge.demo.start import start_page
from bridge.errors import Code
from tests.pages.markup import Document

BRIDGE = "http://127.0.0.1:8080"
IDP = "http://localhost:7000"
KOMBO = "http://127.0.0.1:7002"
INTERNAL = "http://127.0.0.1:8081"
LAUNCHES = {launch.key: launch for launch in launches(bridge=BRIDGE, idp=IDP)}


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[AsyncClient]:
    app = start_page(bridge=BRIDGE, idp=IDP, kombo=KOMBO, internal=INTERNAL, config=Path("bridge.yaml"))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1:7001") as client:
        yield client


async def test_shows_every_launch_and_command(browser: AsyncClient) -> None:
    answer = await browser.get("/")
    document = Document(answer.text)
    assert document.problems == []
    assert {f"/launch/{key}" for key in LAUNCHES} <= {link["href"] for link in document.all("a")}
    for launch in LAUNCHES.values():
        assert {launch.title, launch.who, launch.why} <= set(document.text)
    for command in commands(bridge=BRIDGE, kombo=KOMBO):
        assert command.title in document.text
        assert shlex.split(command.line)[0] == "curl"
    links = {link["href"] for link in document.all("a")}
    assert {f"{BRIDGE}/_bridge/jwks.json", f"{BRIDGE}/_bridge/saml/acme/metadata"} <= links


@pytest.mark.parametrize("key", LAUNCHES)
async def test_a_card_starts_afresh_and_leads_to_the_deep_link(key: str, browser: AsyncClient) -> None:
    for name in ("kombo-bridge-session", "kombo-bridge-login-x", "other"):
        browser.cookies.set(name, "1", domain="127.0.0.1", path="/")
    answer = await browser.get(f"/launch/{key}")
    assert (answer.status_code, answer.headers["location"]) == (303, LAUNCHES[key].url)
    assert set(browser.cookies) == {"other"}


def test_every_person_and_course_of_a_card_exists() -> None:
    people = companies()
    for card in (card for group in groups() for card in group.cards):
        if card.person:
            slug, _, key = card.person.partition("/")
            assert key in people[slug].people
        origin_id = card.path.partition("/courses/")[2] or card.path.partition("/player?id=")[2]
        if origin_id and card.expected not in (Code.COURSE_UNKNOWN, Code.TENANT_UNKNOWN):
            assert origin_id in COURSES


def test_everybody_at_an_idp_is_on_a_card() -> None:
    on_cards = {card.person for group in groups() for card in group.cards}
    assert {f"{slug}/{key}" for slug, company in companies().items() for key in company.people} <= on_cards


def test_each_tier_and_each_interesting_refusal_is_shown() -> None:
    assert {launch.tenant for launch in LAUNCHES.values() if launch.key.startswith("by-")} == set(companies())
    shown = {launch.expected for launch in LAUNCHES.values()}
    shown |= {command.expected for command in commands(bridge=BRIDGE, kombo=KOMBO)}
    needs_an_outage = {
        Code.TENANT_UNAVAILABLE,
        Code.USER_UNKNOWN,
        Code.ENROLLMENT_UNKNOWN,
        Code.UPSTREAM_TIMEOUT,
    }
    assert set(Code) - shown == needs_an_outage | {Code.SAML_MALFORMED, Code.REQUEST_MALFORMED}


def test_a_deep_link_keeps_its_query_and_names_its_tenant() -> None:
    then = parse_qs(urlsplit(LAUNCHES["in-progress"].url).query)["then"]
    assert then == [f"{BRIDGE}/player?id=data-privacy-basics&tenant=acme"]
    assert LAUNCHES["anonymous"].url == f"{BRIDGE}/"


async def test_an_unknown_card_is_not_found(browser: AsyncClient) -> None:
    assert (await browser.get("/launch/nothing")).status_code == 404
