"""Single logout from either side, against the running bridge: the IdP's part is played by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from bridge.demo.responses import IdpKey
from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.idp_logout import (
    RESPONDER,
    SESSION,
    SUCCESS,
    Binding,
    Idp,
    by_redirect,
    idp_of,
    lives,
    offer_logout,
    received,
    remains,
    session_index,
    signed_in,
    stranger,
)
from tests.support.stage import PAGE, Asked, Browser, Stage, identity
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH: tuple[Binding, ...] = ("redirect", "post")
ANSWERS = "http://localhost:7000/globex/answers"
LOGOUT = "kombo-bridge-logout"


def prepare(deployment: Deployment) -> None:
    offer_logout(deployment, "acme", "redirect", "post")
    offer_logout(deployment, "globex", "post", answers=ANSWERS)
    offer_logout(deployment, "initech", "redirect", single_logout=False)
    offer_logout(deployment, "vandelay")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    async with open_stage(folder, "--workers", "2", prepare=prepare) as found:
        yield found


async def ends(browser: Browser) -> bool:
    """Within the time that any process may hold a session in its cache."""
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        async with httpx.AsyncClient(base_url=browser.stage.origin, cookies=browser.client.cookies) as another:
            answers = [await client.get("/my") for client in (another, browser.client)]
        if all(answer.status_code in (303, 401) for answer in answers):
            return True
        await asyncio.sleep(0.2)
    return False


@pytest.mark.parametrize("binding", BOTH)
async def test_the_idp_ends_every_session_of_a_person_and_nobody_elses(stage: Stage, binding: Binding) -> None:
    """In whatever browser they are, though the one that brings the message sends no cookie."""
    async with AsyncExitStack() as stack:
        janes = [await signed_in(stage, stack, "acme", seed.JANE) for _ in range(2)]
        others = [
            await signed_in(stage, stack, "acme", seed.CARLOS),
            await signed_in(stage, stack, "globex", seed.RITA),
        ]
        acme, client = idp_of(stage), await stack.enter_async_context(stranger(stage))
        request = acme.request(seed.JANE.remote_id, ID="_a" + binding)
        answer = await acme.send(client, request, binding, "their state & more")
        said = await received(answer, client, "acme")
        assert (said.binding, said.name, said.status) == (binding, "LogoutResponse", SUCCESS)
        assert said.root.get("InResponseTo") == "_a" + binding
        assert said.root.get("Destination") == said.url == "http://localhost:7000/acme/slo"
        assert said.text("saml:Issuer") == f"{stage.origin}/_bridge/saml/acme/metadata"
        assert said.relay_state == "their state & more"
        assert "set-cookie" not in answer.headers, "whoever else is signed in here stays so"
        if binding == "post":
            assert "x-frame-options" not in answer.headers
            assert "frame-ancestors" not in answer.headers["content-security-policy"], "it works in the IdP's frame"
        assert not any(map(remains, janes))
        assert all(map(remains, others))
        for jane in janes if binding == "redirect" else ():
            assert await ends(jane)
        for other in others:
            assert await lives(other)


async def test_the_same_name_at_another_tenant_is_another_person(stage: Stage) -> None:
    """Both IdPs say so of the same value, and each is believed for its own tenant only."""
    async with AsyncExitStack() as stack:
        rita = identity("globex", seed.RITA)["name_id"]
        browser = await signed_in(stage, stack, "globex", seed.RITA)
        acme, globex = idp_of(stage), idp_of(stage, "globex")
        client = await stack.enter_async_context(stranger(stage))
        await received(await acme.send(client, acme.request(rita), "redirect"), client, "acme")
        assert remains(browser)
        await received(await globex.send(client, globex.request(rita), "redirect"), client, "globex")
        assert not remains(browser)


async def test_a_named_session_index_ends_that_session_only(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        browsers, indexes = [], []
        for _ in range(2):
            browser = await stack.enter_async_context(stage.browser())
            asked = await browser.ask("/my?tenant=acme")
            response = browser.response("acme", asked, seed.JANE)
            await browser.post(asked, response)
            browsers.append(browser)
            indexes.append(session_index(response))
        acme, client = idp_of(stage), await stack.enter_async_context(stranger(stage))
        answer = await acme.send(client, acme.request(seed.JANE.remote_id, indexes[1], "_unheard-of"), "post")
        assert (await received(answer, client, "acme")).status == SUCCESS
        assert [remains(browser) for browser in browsers] == [True, False]


async def test_the_answer_goes_by_the_binding_and_to_the_address_that_the_idp_has_for_it(stage: Stage) -> None:
    async with stranger(stage) as client:
        for slug, offered, url in (
            ("globex", "post", ANSWERS),
            ("initech", "redirect", "http://localhost:7000/initech/slo"),
        ):
            for binding in BOTH:
                sender = idp_of(stage, slug)
                said = await received(await sender.send(client, sender.request("x"), binding), client, slug)
                assert (said.binding, said.url, said.root.get("Destination")) == (offered, url, url)
                assert said.relay_state is None


async def test_an_idp_that_takes_no_answers_is_obeyed_all_the_same(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        browser = await signed_in(stage, stack, "vandelay", seed.KLARA, name_id=seed.KLARA.email)
        sender = idp_of(stage, "vandelay")
        async with stranger(stage) as client:
            answer = await sender.send(client, sender.request(seed.KLARA.email or ""), "post")
            assert (answer.status_code, "location" in answer.headers) == (200, False)
        assert not remains(browser)


@pytest.mark.parametrize("binding", BOTH)
async def test_somebody_unknown_is_logged_out_already(stage: Stage, binding: Binding) -> None:
    async with stranger(stage) as client:
        acme = idp_of(stage)
        answer = await acme.send(client, acme.request("nobody has this name"), binding)
        assert (await received(answer, client, "acme")).status == SUCCESS


async def test_the_browsers_cookie_goes_with_its_own_session_only(stage: Stage) -> None:
    """A request for oneself is easily had from one's own IdP: it must not log out whose browser it is put into."""
    async with AsyncExitStack() as stack:
        carlos = await signed_in(stage, stack, "acme", seed.CARLOS)
        acme = idp_of(stage)
        for person, gone in ((seed.JANE, False), (seed.CARLOS, True)):
            answer = await acme.send(carlos.client, acme.request(person.remote_id), "redirect")
            assert (SESSION in answer.headers.get("set-cookie", "")) is gone
            assert (SESSION in carlos.client.cookies) is not gone
        assert not await lives(carlos)


@pytest.mark.parametrize("binding", BOTH)
async def test_a_replay_ends_nothing_again(stage: Stage, binding: Binding) -> None:
    async with AsyncExitStack() as stack:
        acme = idp_of(stage)
        before = datetime.now(UTC) - timedelta(seconds=5)
        request = acme.request(seed.JANE.remote_id, now=before)
        async with stranger(stage) as client:
            await acme.send(client, request, binding)
        jane = await signed_in(stage, stack, "acme", seed.JANE)
        for _ in range(4):  # to either process
            async with stranger(stage) as client:
                answer = await acme.send(client, request, binding)
                assert (await received(answer, client, "acme")).status == SUCCESS, "a reload is no failure"
        answer = await acme.send(jane.client, request, binding)
        assert SESSION not in answer.headers.get("set-cookie", "")
        assert remains(jane)


async def test_an_assertion_that_comes_after_the_logout_signs_nobody_in(stage: Stage) -> None:
    async with stage.browser() as browser, stranger(stage) as client:
        acme, now = idp_of(stage), datetime.now(UTC)
        asked = await browser.ask("/my?tenant=acme")
        response = browser.response("acme", asked, seed.HUGO, now=now - timedelta(seconds=20))
        await acme.send(client, acme.request(seed.HUGO.remote_id, now=now - timedelta(seconds=10)), "post")
        late = await browser.post(asked, response)
        assert (late.headers["bridge-error"], SESSION in str(late.headers)) == ("login_expired", False)
        assert (await browser.sign_in("acme", seed.HUGO)).status_code == 303
        assert await lives(browser), "who signs in anew is in"


async def test_the_learner_logs_out_here_and_at_the_idp(stage: Stage) -> None:
    async with stage.browser() as browser:
        asked = await browser.ask("/my?tenant=acme")
        response = browser.response("acme", asked, seed.JANE)
        await browser.post(asked, response)
        session = browser.client.cookies[SESSION]
        sent_on = await browser.get("/_bridge/logout")
        said = await received(sent_on, browser.client, "acme")
        assert (said.binding, said.name, said.url) == ("redirect", "LogoutRequest", "http://localhost:7000/acme/slo")
        assert said.root.get("Destination") == said.url
        assert said.text("saml:NameID") == seed.JANE.remote_id
        assert said.text("samlp:SessionIndex") == session_index(response)
        assert SESSION not in browser.client.cookies
        browser.client.cookies.set(SESSION, session)
        assert not remains(browser), "here first, whatever becomes of the rest"
        acme = idp_of(stage)
        for binding in (*BOTH, "redirect"):
            done = await acme.send(browser.client, acme.answer(said.id), binding)
            assert (done.status_code, "bridge-error" in done.headers) == (200, False), "a reload shows it again"
            assert "and so has your organisation" in done.text
        failed = await acme.send(browser.client, acme.answer(said.id, RESPONDER), "post")
        assert "could not end" in failed.text


async def test_an_idp_that_takes_forms_gets_one(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.sign_in("globex", seed.RITA)
        said = await received(await browser.get("/_bridge/logout"), browser.client, "globex")
        assert (said.binding, said.name, said.url) == ("post", "LogoutRequest", "http://localhost:7000/globex/slo")
        assert said.text("saml:NameID") == seed.RITA.email
        globex = idp_of(stage, "globex")
        done = await globex.send(browser.client, globex.answer(said.id), "post")
        assert "and so has your organisation" in done.text


async def test_where_the_tenant_does_not_want_it_or_the_idp_cannot_it_ends_here(stage: Stage) -> None:
    for slug, person in (("initech", seed.PETER), ("vandelay", seed.KLARA)):
        async with AsyncExitStack() as stack:
            browser = await signed_in(stage, stack, slug, person, name_id=person.email)
            page = await browser.get("/_bridge/logout")
            assert (page.status_code, "location" in page.headers) == (200, False)
            assert LOGOUT not in browser.client.cookies
            assert not await lives(browser)


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender"])
async def test_a_link_that_is_followed_ahead_of_its_time_ends_nothing(stage: Stage, purpose: str) -> None:
    async with AsyncExitStack() as stack:
        browser = await signed_in(stage, stack, "acme", seed.JANE)
        answer = await browser.get("/_bridge/logout", headers={"Sec-Purpose": purpose})
        assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
        assert "set-cookie" not in answer.headers
        assert await lives(browser)


async def test_only_a_navigation_goes_on_to_the_idp(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        for headers in ({"Sec-Fetch-Dest": "image"}, {"Sec-Fetch-Dest": "empty"}):
            browser = await signed_in(stage, stack, "acme", seed.JANE)
            answer = await browser.get("/_bridge/logout", headers=headers)
            assert (answer.status_code, LOGOUT in browser.client.cookies) == (200, False), headers
            assert not await lives(browser), "but it ends the session, as always"
        browser = await signed_in(stage, stack, "acme", seed.JANE)
        assert (await browser.client.head("/_bridge/logout")).status_code == 200
        again = await browser.get("/_bridge/logout")
        assert again.status_code == 200, "there is nothing left to tell of"


async def test_a_form_of_another_site_goes_round_and_then_to_the_idp(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        browser = await signed_in(stage, stack, "acme", seed.JANE)
        session = browser.client.cookies.pop(SESSION)
        cross_site = {"Sec-Fetch-Site": "cross-site"}
        posted = await browser.client.post("/_bridge/logout", headers=cross_site)
        assert (posted.status_code, posted.headers["location"]) == (303, "/_bridge/logout")
        browser.client.cookies.set(SESSION, session)
        sent_on = await browser.get(posted.headers["location"], headers=cross_site)
        assert (await received(sent_on, browser.client, "acme")).name == "LogoutRequest"


async def test_an_answer_counts_only_in_the_browser_that_asked_and_only_to_its_request(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        jane, carlos = [await signed_in(stage, stack, "acme", person) for person in (seed.JANE, seed.CARLOS)]
        rita = await signed_in(stage, stack, "globex", seed.RITA)
        said = await received(await jane.get("/_bridge/logout"), jane.client, "acme")
        await rita.get("/_bridge/logout")
        acme = idp_of(stage)

        async def code(browser: Browser, answer: str, **more: Any) -> str | None:
            for binding in BOTH:
                refused = await acme.send(browser.client, answer, binding, **more)
                assert refused.status_code == 403
                assert SESSION not in refused.headers.get("set-cookie", "")
            return refused.headers.get("bridge-error")

        right = acme.answer(said.id)
        assert await code(carlos, right) == "login_expired"
        assert await code(carlos, "<samlp:LogoutResponse", key="none") == "login_expired", "not even looked at"
        assert await lives(carlos)
        assert await code(rita, right) == "login_expired"
        assert await code(jane, acme.answer("_another")) == "saml_rejected"
        assert await code(jane, acme.answer(None)) == "saml_rejected"
        assert await code(jane, right, key="none") == "saml_rejected"
        assert await code(jane, right, key=IdpKey.generate("another")) == "saml_rejected"
        assert await code(jane, acme.answer(said.id, Issuer="http://localhost:7000/globex")) == "saml_rejected"
        jane.client.cookies.set(LOGOUT, jane.client.cookies[LOGOUT][:-1] + "x")
        assert await code(jane, right) == "login_expired"


async def test_logout_on_https_and_on_the_hosts_of_tenants(tmp_path: Path) -> None:
    """The cookie of a logout under way has to come back from the IdP's site; SLO is where the ACS is."""

    def prepare(deployment: Deployment) -> None:
        offer_logout(deployment, "acme", "post")
        offer_logout(deployment, "globex", "redirect")
        deployment.tenants["globex"]["hosts"] = ["globex.learn.test", "also.learn.test"]

    async with open_stage(tmp_path, prepare=prepare, public_url="https://learn.test") as stage:
        listen = f"http://{stage.deployment.service['listen']}"
        async with httpx.AsyncClient(base_url=listen, headers={**PAGE, "Host": "learn.test"}) as client:
            browser = Browser(stage, client)
            out = await client.get("/_bridge/logout", headers={"Cookie": await session_of(browser)})
            [kept] = [line for line in out.headers.get_list("set-cookie") if LOGOUT in line]
            assert kept.startswith(f"__Host-{LOGOUT}=")
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=None"} <= set(kept.split("; "))

            framed = (await session_of(browser)).replace("kombo-bridge-", "kombo-bridge-framed-")
            out = await client.get("/_bridge/logout", headers={"Cookie": framed, "Sec-Fetch-Dest": "iframe"})
            dropped = [line for line in out.headers.get_list("set-cookie") if "Max-Age=0" in line]
            assert [line.partition("=")[0] for line in dropped] == [
                "__Host-kombo-bridge-session",
                "__Host-kombo-bridge-framed-session",
            ]
            assert "Partitioned" in dropped[1]

            globex = Idp.of(stage.deployment, "globex", "https://globex.learn.test")
            query = by_redirect(globex.request("x"), None, globex.key)
            for host, status in (("globex.learn.test", 303), ("also.learn.test", 421), ("learn.test", 421)):
                answer = await client.get(f"/_bridge/saml/globex/slo?{query}", headers={"Host": host})
                assert answer.status_code == status, host


async def session_of(browser: Browser) -> str:
    """The Cookie header of a new session on https."""
    sent = await browser.get("/my?tenant=acme")
    asked = Asked.of(sent.headers["location"])
    form = {"SAMLResponse": browser.response("acme", asked, seed.JANE), "RelayState": asked.relay_state}
    done = await browser.client.post("/_bridge/saml/acme/acs", data=form, headers={"Cookie": cookies_of(sent)})
    return next(cookie for cookie in cookies_of(done).split("; ") if SESSION in cookie)


def cookies_of(answer: httpx.Response) -> str:
    """What a browser would send back."""
    pairs = [line.partition(";")[0] for line in answer.headers.get_list("set-cookie")]
    return "; ".join(pair for pair in pairs if not pair.endswith("="))
