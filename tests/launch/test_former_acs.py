"""Moving from an older service provider, whose entityID and ACS the customers' IdPs trust already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.stage import Asked, Stage
from tests.support.stage import stage as open_stage
from tests.support.window import Window

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHARED, ALONE = "/Shibboleth.sso/SAML2/POST", "/simplesaml/acs/default-sp"
OLD_SP = "https://old.example.com/sp"


def older(deployment: Deployment) -> None:
    """Acme and Globex shared one ACS, and one entityID as well; Initech had its own."""
    for slug, path in (("acme", SHARED), ("globex", SHARED), ("initech", ALONE)):
        former = {"sp_entity_id": OLD_SP, "sp_acs": deployment.public_url + path, "idp_initiated": True}
        deployment.tenants[slug]["saml"] |= former


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("stage"), prepare=older) as found:
        yield found


def unasked(stage: Stage, path: str) -> Asked:
    return Asked("", OLD_SP, stage.origin + path, "")


@pytest.mark.parametrize(
    ("tenant", "person", "path"),
    [("acme", seed.JANE, SHARED), ("globex", seed.RITA, SHARED), ("initech", seed.PETER, ALONE)],
)
async def test_logins_go_by_the_former_acs(stage: Stage, tenant: str, person: seed.Person, path: str) -> None:
    async with Window(stage) as window:
        asked = await window.ask(f"/my?a=b&tenant={tenant}")
        assert (asked.acs, asked.issuer) == (stage.origin + path, OLD_SP), "the IdP is asked as it knows us"
        before = len(stage.received)
        done = await window.answer(asked, window.says(tenant, asked, person))
        assert (done.status_code, done.headers["location"]) == (303, f"/my?a=b&tenant={tenant}")
        assert len(stage.received) == before, "the platform never sees it"
        assert await window.who() == person.id
        again = await window.answer(asked, window.says(tenant, asked, person))
        assert again.headers["location"].startswith(f"/_bridge/saml/{tenant}/login?used=")


async def test_the_new_acs_works_beside_it(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = await window.ask("/my?tenant=acme")
        new = Asked(asked.id, asked.issuer, f"{stage.origin}/_bridge/saml/acme/acs", asked.relay_state)
        done = await window.answer(new, window.says("acme", new, seed.JANE))
        assert done.headers["location"] == "/my?tenant=acme"


@pytest.mark.parametrize("swapped", [False, True])
async def test_an_answer_is_addressed_to_where_it_came(stage: Stage, swapped: bool) -> None:
    async with Window(stage) as window:
        asked = await window.ask("/my?tenant=acme")
        new = Asked(asked.id, asked.issuer, f"{stage.origin}/_bridge/saml/acme/acs", asked.relay_state)
        said, posted = (asked, new) if swapped else (new, asked)
        refused = await window.answer(posted, window.says("acme", said, seed.JANE))
        assert refused.headers["bridge-error"] == "saml_rejected"
        assert stage.refusal()["check"] in ("destination", "recipient")


async def test_the_tenant_is_the_logins_and_its_idp_must_have_answered(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = await window.ask("/my?tenant=globex")
        forged = window.says("acme", asked, seed.JANE)
        refused = await window.answer(asked, forged)
        assert refused.headers["bridge-error"] == "saml_rejected"
        assert stage.refusal()["check"] == "issuer"
        assert await window.who() == ""


async def test_a_login_of_a_tenant_that_is_not_behind_it_does_not_count(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = await window.ask("/my?tenant=initech")
        at_shared = Asked(asked.id, asked.issuer, stage.origin + SHARED, asked.relay_state)
        sent_on = await window.answer(at_shared, "rubbish!")
        assert sent_on.headers["location"].startswith(f"{SHARED}?resume="), "dropped unread"


async def test_where_cookies_were_withheld_the_tenant_is_found_on_our_own_site(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = await window.ask("/my?x&tenant=globex")
        window.jar, kept = {}, window.jar
        sent_on = await window.answer(asked, "rubbish!")
        assert sent_on.headers["location"].startswith(f"{SHARED}?resume=")
        window.jar.update(kept)
        to_login = await window.get(sent_on.headers["location"], site="cross-site")
        assert to_login.headers["location"].startswith("/_bridge/saml/globex/login?resume=")
        fresh = Asked.of((await window.get(to_login.headers["location"])).headers["location"])
        done = await window.answer(fresh, window.says("globex", fresh, seed.RITA))
        assert done.headers["location"] == "/my?x&tenant=globex"


@pytest.mark.parametrize("relay_state", ["/my?tile", "a token of somebody else's"])
async def test_nobody_may_begin_at_a_shared_acs(stage: Stage, relay_state: str) -> None:
    """The issuer of something unread names no tenant; the browser may remember one, else the learner says."""
    async with Window(stage) as window:
        asked = Asked("", OLD_SP, stage.origin + SHARED, relay_state)
        for tenant in (None, "globex", "initech"):
            window.jar.clear()
            if tenant:
                window.put("kombo-bridge-tenant", tenant)
            sent_on = await window.answer(asked, window.says("globex", asked, seed.RITA, in_response_to=None))
            found = await window.get(sent_on.headers["location"], site="cross-site")
            tile = relay_state.startswith("/")
            if tenant == "globex":
                login = await window.get(found.headers["location"])
                fresh = Asked.of(login.headers["location"])
                done = await window.answer(fresh, window.says("globex", fresh, seed.RITA))
                assert done.headers["location"] == ("/my?tile" if tile else "/")
            else:
                next = "%2Fmy%3Ftile" if tile else "%2F"
                assert found.headers["location"] == f"/_bridge/organizations?next={next}"
        assert await window.who() == ""


async def test_the_idp_of_the_only_tenant_may_begin_there(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = Asked("", OLD_SP, stage.origin + ALONE, "/my?tile")
        arrived = await window.answer(asked, window.says("initech", asked, seed.PETER, in_response_to=None))
        settled = await window.get(arrived.headers["location"], site="cross-site")
        assert settled.headers["location"] == "/my?tile"
        assert await window.who() == seed.PETER.id


async def test_whoever_comes_by_address_is_sent_to_sign_in(stage: Stage) -> None:
    async with Window(stage) as window:
        assert (await window.get(ALONE)).headers["location"] == "/_bridge/saml/initech/login"
        assert (await window.get(SHARED)).headers["location"] == "/_bridge/organizations?next=%2F"
        window.put("kombo-bridge-tenant", "acme")
        assert (await window.get(SHARED)).headers["location"] == "/_bridge/saml/acme/login"
        for next in ("//evil.example", "/_bridge/logout"):
            window.jar.clear()
            assert (await window.get(SHARED, params={"next": next})).headers["bridge-error"] == "path_ambiguous"


async def test_only_exactly_that_path_is_ours(stage: Stage) -> None:
    async with Window(stage) as window:
        await window.sign_in("acme", seed.JANE)
        for path in (f"{SHARED}/", SHARED.lower(), f"{SHARED}/x", "/Shibboleth.sso"):
            before = len(stage.received)
            await window.get(path)
            assert len(stage.received) == before + 1, path
        elsewhere = {"Host": "evil.example"}
        answer: Any = await window.post(SHARED, {"SAMLResponse": "x"}, headers={**elsewhere, "Accept": "*/*"})
        assert (answer.status_code, answer.headers["bridge-error"]) == (421, "host_unknown")
        put = await window.send("PUT", SHARED)
        assert put.status_code == 405
