"""An answer of an IdP counts once, in the browser that asked and for the login that it answers (a running bridge)."""

from __future__ import annotations

import asyncio
import time

import pytest

from bridge.front.underway import LIFETIME_SECONDS
from bridge.session.tokens import Tokens
from bridge.simulator import seed
from tests.support.deployment import SECRET
from tests.support.stage import Asked, Stage, identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_answer_counts_only_in_the_browser_that_asked(stage: Stage) -> None:
    """Login CSRF: somebody's own answer planted in another's browser."""
    async with stage.browser() as attacker, stage.browser() as victim:
        asked = await attacker.ask("/my?tenant=acme")
        response = attacker.response("acme", asked, seed.JANE)
        again = await victim.post(asked, response)
        assert again.status_code == 303
        assert again.headers["location"].startswith("/_bridge/saml/acme/login?resume=")
        assert "kombo-bridge-session" not in str(again.headers)
        own = Asked.of((await victim.get(again.headers["location"])).headers["location"])
        assert own.id != asked.id, "the victim is asked anew"
        assert (await victim.get("/my")).status_code == 303, "and signed in as nobody"
        twice = await victim.post(asked, response)
        refused = await victim.get(twice.headers["location"])
        assert refused.headers["bridge-error"] == "login_expired", "nor does it go round"


async def test_an_answer_nobody_asked_for_starts_one_login_and_no_loop(stage: Stage) -> None:
    async with stage.browser() as browser:
        stray = Asked("_x", f"{stage.origin}/_bridge/saml/acme/metadata", f"{stage.origin}/_bridge/saml/acme/acs", "x")
        response = browser.response("acme", stray, seed.JANE, in_response_to=None)
        again = await browser.post(stray, response)
        assert again.status_code == 303
        fresh = await browser.get(again.headers["location"])
        assert fresh.status_code == 303
        assert "SAMLRequest" in fresh.headers["location"]
        withheld = {name: browser.client.cookies.pop(name) for name in list(browser.client.cookies)}
        looped = await browser.post(stray, response)
        browser.client.cookies.update(withheld)
        assert (await browser.get(looped.headers["location"])).headers["bridge-error"] == "login_expired"


async def test_an_answer_to_no_request_is_dropped_and_a_login_started_once(stage: Stage) -> None:
    """What an IdP sends that lost its own session while the learner was typing: our RelayState, but no InResponseTo."""
    async with stage.browser() as browser:
        asked = await browser.ask("/courses/cybersecurity-101?tenant=acme")
        for attempt in (1, 2):
            again = await browser.post(asked, browser.response("acme", asked, seed.JANE, in_response_to=None))
            assert "kombo-bridge-session" not in str(again.headers)
            answer = await browser.get(again.headers["location"])
            if attempt == 1:
                asked = Asked.of(answer.headers["location"])
        assert answer.headers["bridge-error"] == "login_expired"


async def test_an_answer_to_no_request_leads_to_the_page_where_a_session_lives(stage: Stage) -> None:
    async with stage.browser() as browser:
        asked = await browser.ask("/courses/cybersecurity-101?tenant=acme")
        await browser.post(asked, browser.response("acme", asked, seed.JANE))
        again = await browser.post(asked, browser.response("acme", asked, seed.JANE, in_response_to=None))
        back = await browser.get(again.headers["location"])
        assert (back.status_code, back.headers["location"]) == (303, "/courses/cybersecurity-101?tenant=acme")


async def test_where_the_cookie_was_withheld_the_login_is_made_once_more(stage: Stage) -> None:
    """A browser that keeps SameSite=Lax cookies back from the IdP's POST, as they all do after two minutes."""
    async with stage.browser() as browser:
        asked = await browser.ask("/courses/cybersecurity-101?tenant=acme")
        kept = dict(browser.client.cookies)
        browser.client.cookies.clear()
        again = await browser.post(asked, browser.response("acme", asked, seed.JANE))
        browser.client.cookies.update(kept)
        fresh = Asked.of((await browser.get(again.headers["location"])).headers["location"])
        done = await browser.post(fresh, browser.response("acme", fresh, seed.JANE))
        assert (done.status_code, done.headers["location"]) == (303, "/courses/cybersecurity-101?tenant=acme")


async def test_an_answer_to_a_login_that_is_long_over_starts_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.time() - LIFETIME_SECONDS - 1
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: begun)
        relay_state = Tokens([SECRET], "relay state").sign("x" * 22)
    async with stage.browser() as browser:
        asked = Asked("_x", "", f"{stage.origin}/_bridge/saml/acme/acs", relay_state)
        over = await browser.post(asked, "rubbish!")
        assert (over.headers["bridge-error"], "location" in over.headers) == ("login_expired", False)
        assert 'href="/_bridge/saml/acme/login"' in over.text, "unless the learner does"


async def test_an_answer_works_once(stage: Stage) -> None:
    async with stage.browser() as browser:
        asked = await browser.ask("/my?tenant=acme")
        response = browser.response("acme", asked, seed.JANE)
        cookies = dict(browser.client.cookies)
        first = await browser.post(asked, response)
        assert first.headers["location"] == "/my?tenant=acme"
        reload = await browser.post(asked, response)
        assert (reload.status_code, reload.headers["location"]) == (303, "/my?tenant=acme"), "the session lives"
        session = browser.client.cookies.pop("kombo-bridge-session")
        withheld = await browser.post(asked, response)
        assert "kombo-bridge-session" not in str(withheld.headers)
        browser.client.cookies.set("kombo-bridge-session", session)
        back = await browser.get(withheld.headers["location"])
        assert (back.status_code, back.headers["location"]) == (303, "/my?tenant=acme"), "as browsers send it"
        browser.client.cookies.clear()
        browser.client.cookies.update(cookies)
        replay = await browser.post(asked, response)
        assert (await browser.get(replay.headers["location"])).headers["bridge-error"] == "login_expired"
        form = {"SAMLResponse": response, "RelayState": asked.relay_state}
        program = await browser.client.post(asked.acs, data=form)
        assert program.headers["bridge-error"] == "login_expired"
        assert "kombo-bridge-session" not in str(replay.headers) + str(program.headers)


async def test_an_answer_for_one_login_fits_no_other(stage: Stage) -> None:
    async with stage.browser() as browser:
        first, second = await browser.ask("/one?tenant=acme"), await browser.ask("/two?tenant=acme")
        crossed = await browser.post(second, browser.response("acme", first, seed.JANE))
        assert crossed.headers["bridge-error"] == "saml_rejected"
        for asked, path in ((first, "/one"), (second, "/two")):
            done = await browser.post(asked, browser.response("acme", asked, seed.JANE))
            if asked is first:
                assert done.headers["location"] == f"{path}?tenant=acme", "tabs do not collide"


async def test_eight_tabs_each_land_on_their_own_page(stage: Stage) -> None:
    async with stage.browser() as browser:
        asked = [await browser.ask(f"/tab/{n}?tenant=acme") for n in range(8)]
        for n in (3, 0, 7, 5, 1, 6, 2, 4):
            done = await browser.post(asked[n], browser.response("acme", asked[n], seed.JANE))
            assert done.headers["location"] == f"/tab/{n}?tenant=acme"


async def test_old_logins_give_way_to_new_ones(stage: Stage) -> None:
    async with stage.browser() as browser:
        for n in range(30):
            await browser.ask(f"/tab/{n}?tenant=acme")
            logins = [cookie for cookie in browser.client.cookies if "login" in cookie]
            assert len(logins) <= 8


async def test_one_tenants_answer_at_anothers_door(stage: Stage) -> None:
    async with stage.browser() as browser:
        asked = await browser.ask("/my?tenant=acme")
        response = browser.response("acme", asked, seed.JANE)
        at_globex = await browser.client.post(
            "/_bridge/saml/globex/acs", data={"SAMLResponse": response, "RelayState": asked.relay_state}
        )
        assert at_globex.headers["location"].startswith("/_bridge/saml/globex/login?resume="), "dropped unread"
        assert "kombo-bridge-session" not in str(at_globex.headers)
        globex = await browser.ask("/my?tenant=globex")
        swapped = browser.response("acme", globex, name_id="x", attributes={"lms_user_id": "E777"})
        assert (await browser.post(globex, swapped)).headers["bridge-error"] == "saml_rejected"
        assert (await browser.get("/my")).status_code == 303


async def test_a_flood_of_requests_at_once_is_answered(stage: Stage) -> None:
    async with stage.browser() as browser:
        asked = [await browser.ask("/my?tenant=acme") for _ in range(8)]
        responses = [browser.response("acme", each, **identity("acme", seed.JANE)) for each in asked]
        answers = await asyncio.gather(*(browser.post(a, r) for a, r in zip(asked, responses, strict=True)))
        assert {answer.status_code for answer in answers} == {303}
