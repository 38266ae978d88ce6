"""Answers that nobody asked for: taken from IdPs that may begin, and a reason to ask the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
import yaml
from itsdangerous import URLSafeSerializer

from bridge.simulator import seed
from tests.support.contents import contents, settled
from tests.support.deployment import Deployment
from tests.support.stage import PAGE, Asked, Browser, Stage
from tests.support.stage import stage as open_stage
from tests.support.window import Window

pytestmark = pytest.mark.asyncio(loop_scope="module")

RELAY_STATES = yaml.safe_load((Path(__file__).parent / "relay_states.yaml").read_text())
CROSS_SITE = {"Origin": "http://localhost:7000", "Sec-Fetch-Site": "cross-site"}
SESSION, ARRIVED = "kombo-bridge-session", "kombo-bridge-arrived"


def opt_in(deployment: Deployment) -> None:
    for slug in ("acme", "globex"):
        deployment.tenants[slug]["saml"]["idp_initiated"] = True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Acme's and Globex's IdPs may begin, Initech's may not."""
    async with open_stage(tmp_path_factory.mktemp("stage"), prepare=opt_in) as found:
        yield found


def unasked(stage: Stage, tenant: str, person: seed.Person, **more: Any) -> str:
    """A tenant's IdP's answer to no request."""
    asked = Asked("", f"{stage.origin}/_bridge/saml/{tenant}/metadata", f"{stage.origin}/_bridge/saml/{tenant}/acs", "")
    return Browser(stage, httpx.AsyncClient()).response(tenant, asked, person, **{"in_response_to": None, **more})


async def post(browser: Window, tenant: str, response: str, relay_state: str | None = None) -> httpx.Response:
    form = {"SAMLResponse": response} | ({} if relay_state is None else {"RelayState": relay_state})
    return await browser.post(f"/_bridge/saml/{tenant}/acs", form, site="cross-site")


async def arrive(browser: Window, tenant: str, person: seed.Person, link: str = "/my") -> httpx.Response:
    """The POST and the request that follows on our own site."""
    answer = await post(browser, tenant, unasked(browser.stage, tenant, person), link)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"/_bridge/saml/{tenant}/login?arrived=")
    assert SESSION not in str(answer.headers), "not before it is clear whose session that ends"
    return await browser.get(answer.headers["location"], site="cross-site")


@pytest.mark.parametrize(
    ("tenant", "person"), [("acme", seed.JANE), ("globex", seed.RITA)], ids=["by NameID", "by attribute"]
)
async def test_the_lms_as_the_idp(stage: Stage, tenant: str, person: seed.Person) -> None:
    async with Window(stage) as browser:
        settled = await arrive(browser, tenant, person, f"{stage.origin}/my?from=lms")
        assert (settled.status_code, settled.headers["location"]) == (303, "/my?from=lms")
        shown = await browser.get("/my?from=lms")
        assert dict(shown.json()["headers"])["x-kombo-user"] == person.id
        assert ARRIVED not in browser.cookies


@pytest.mark.parametrize("case", RELAY_STATES, ids=[repr(case["state"]) for case in RELAY_STATES])
async def test_the_relay_state_leads_to_a_page_here_or_to_the_first(stage: Stage, case: dict[str, Any]) -> None:
    state = case["state"] and case["state"].replace("{origin}", stage.origin)
    async with Window(stage) as browser:
        answer = await post(browser, "acme", unasked(stage, "acme", seed.JANE), state)
        settled = await browser.get(answer.headers["location"])
        assert settled.headers["location"] == case["leads"]
        assert await browser.who() == seed.JANE.id


async def test_an_answer_to_any_request_is_not_one_that_nobody_asked_for(stage: Stage) -> None:
    async with Window(stage) as browser:
        asked = await browser.ask("/my?tenant=acme")
        for request in (asked.id, "_other"):
            answer = await post(browser, "acme", unasked(stage, "acme", seed.JANE, in_response_to=request), "/my")
            assert answer.headers["bridge-error"] == "saml_rejected"
            assert stage.refusal()["check"] == "in_response_to"
        assert ARRIVED not in browser.cookies
        assert await browser.who() == ""


async def test_it_is_judged_like_any_other(stage: Stage) -> None:
    async with Window(stage) as browser:
        for more in ({"audience": "https://other.example"}, {"issuer": "https://other.example"}, {"sign": "none"}):
            answer = await post(browser, "acme", unasked(stage, "acme", seed.JANE, **more))
            assert answer.headers["bridge-error"] == "saml_rejected", more
        assert (await post(browser, "acme", "rubbish!")).headers["bridge-error"] == "saml_malformed"
        unknown = await post(browser, "acme", unasked(stage, "acme", seed.JANE, name_id="nobody"), "/my?x=1")
        assert unknown.headers["bridge-error"] == "user_unmatched"
        assert 'href="/my?x=1"' in unknown.text, "and may be tried again"
        assert await browser.who() == ""


async def test_an_answer_works_once(stage: Stage) -> None:
    response = unasked(stage, "acme", seed.JANE)
    async with Window(stage) as browser, Window(stage) as thief:
        settled = await browser.get((await post(browser, "acme", response, "/my?a")).headers["location"])
        assert settled.headers["location"] == "/my?a"
        stolen = await thief.get((await post(thief, "acme", response, "/my?a")).headers["location"])
        assert stolen.headers["bridge-error"] == "login_expired"
        assert await thief.who() == ""
        again = await browser.get((await post(browser, "acme", response, "/my?a")).headers["location"])
        assert (again.status_code, again.headers["location"]) == (303, "/my?a"), "a reload leads to the page"
        await browser.get("/_bridge/logout")
        gone = await browser.get((await post(browser, "acme", response, "/my?a")).headers["location"])
        assert gone.headers["bridge-error"] == "login_expired"


async def test_in_a_browser_without_cookies_nothing_goes_round(stage: Stage) -> None:
    """Some LMSs answer every request by beginning themselves."""
    async with Window(stage) as browser:
        answer = await post(browser, "acme", unasked(stage, "acme", seed.JANE), "/my?d")
        browser.jar.clear()
        round_about = await browser.get(answer.headers["location"], site="cross-site")
        assert round_about.headers["location"].startswith("/_bridge/saml/acme/login?resume=")
        browser.jar, kept = {}, browser.jar
        refused = await browser.get(round_about.headers["location"], site="cross-site")
        assert (refused.headers["bridge-error"], refused.status_code) == ("login_expired", 403)
        assert 'href="/_bridge/saml/acme/login?next=%2Fmy%3Fd"' in refused.text
        browser.jar = kept
        started = await browser.get(round_about.headers["location"], site="cross-site")
        assert "/acme/sso" in started.headers["location"], "a link that is too old signs in, where cookies are kept"


async def test_the_same_person_is_not_asked(stage: Stage) -> None:
    async with Window(stage) as browser:
        await browser.sign_in("acme", seed.JANE)
        former = browser.cookies[SESSION]
        assert (await arrive(browser, "acme", seed.JANE, "/my?b")).headers["location"] == "/my?b"
        assert browser.cookies[SESSION] != former
        assert await browser.who() == seed.JANE.id
        browser.put(SESSION, former)
        assert await browser.who() == "", "the former session has ended"


@pytest.mark.parametrize(
    ("tenant", "person", "words"),
    [("globex", seed.RITA, "Switch organisation?"), ("acme", seed.CARLOS, "Sign in as somebody else?")],
    ids=["another organisation", "another person"],
)
async def test_somebody_elses_session_is_replaced_only_by_a_click(
    stage: Stage, tenant: str, person: seed.Person, words: str
) -> None:
    async with Window(stage) as browser:
        await browser.sign_in("acme", seed.JANE)
        former = browser.cookies[SESSION]
        page = await arrive(browser, tenant, person, "/my?c")
        assert (page.status_code, words in page.text) == (200, True)
        assert page.headers["x-frame-options"] == "DENY"
        assert await browser.who() == seed.JANE.id
        form = field_values(page.text)
        planted = await browser.post(f"/_bridge/saml/{tenant}/login", form, site="cross-site")
        round_about = f"{stage.origin}/_bridge/saml/{tenant}/login?next=%2Fmy%3Fc"
        assert planted.headers["location"] == round_about, "a form of another site is a link and no more"
        assert await browser.who() == seed.JANE.id
        clicked = await browser.post(f"/_bridge/saml/{tenant}/login", form, site="same-origin")
        assert (clicked.status_code, clicked.headers["location"]) == (303, "/my?c")
        assert await browser.who() == person.id
        browser.put(SESSION, former)
        assert await browser.who() == "", "the former session has ended"


async def test_staying_ends_what_came(stage: Stage) -> None:
    async with Window(stage) as browser:
        await browser.sign_in("acme", seed.JANE)
        page = await arrive(browser, "globex", seed.RITA)
        came = browser.cookies[ARRIVED]
        stay = page.text.partition('class="other" href="')[2].partition('"')[0].replace("&amp;", "&")
        assert (await browser.get(stay)).headers["location"] == "/"
        assert ARRIVED not in browser.cookies
        assert await browser.who() == seed.JANE.id
        browser.put(ARRIVED, came)
        form = field_values(page.text)
        clicked = await browser.post("/_bridge/saml/globex/login", form, site="same-origin")
        assert "/globex/sso" in clicked.headers["location"], "who changes their mind signs in"
        assert await browser.who() == seed.JANE.id


def said(waiting: str) -> dict[str, str]:
    """What anybody can read in the cookie of an arrival."""
    loaded = URLSafeSerializer("").load_payload(waiting.rpartition(".")[0].rpartition(".")[0].encode())
    return {name: value for name, value in loaded.items() if value}


async def test_what_waits_is_no_session_and_no_other_browsers(stage: Stage) -> None:
    async with Window(stage) as browser, Window(stage) as other:
        answer = await post(browser, "acme", unasked(stage, "acme", seed.JANE), "/my")
        waiting = browser.cookies[ARRIVED]
        for value in (waiting, waiting.partition(".")[0], *said(waiting).values()):
            other.put(SESSION, value)
            assert await other.who() == ""
        other.jar.clear()
        elsewhere = await other.get((await other.get(answer.headers["location"])).headers["location"])
        assert "/acme/sso" in elsewhere.headers["location"], "a login, and nothing else"
        assert await other.who() == ""
        for id in ("", "x", "%00", "a" * 500):
            assert "/acme/sso" in (await browser.get(f"/_bridge/saml/acme/login?arrived={id}")).headers["location"]
        at_globex = answer.headers["location"].replace("/acme/", "/globex/")
        assert "/globex/sso" in (await browser.get(at_globex)).headers["location"]
        assert await browser.who() == ""
        await browser.get(answer.headers["location"])
        assert await browser.who() == seed.JANE.id
        await browser.get("/_bridge/logout")
        browser.put(ARRIVED, waiting)
        assert "/acme/sso" in (await browser.get(answer.headers["location"])).headers["location"], "and it works once"


async def test_a_click_counts_for_the_answer_that_it_was_asked_about(stage: Stage) -> None:
    """While the question stands, another page plants another answer."""
    async with Window(stage) as browser:
        await browser.sign_in("acme", seed.JANE)
        page = await arrive(browser, "globex", seed.RITA)
        await post(browser, "globex", unasked(stage, "globex", seed.SLASH), "/my")
        form = field_values(page.text)
        clicked = await browser.post("/_bridge/saml/globex/login", form, site="same-origin")
        assert "/globex/sso" in clicked.headers["location"]
        assert await browser.who() == seed.JANE.id


async def test_a_login_under_way_takes_its_own_answers_only(stage: Stage) -> None:
    """A RelayState of ours makes an answer one to a login, which then needs its cookie."""
    async with Window(stage) as browser, Window(stage) as other:
        asked = await browser.ask("/my?tenant=acme")
        dropped = await post(other, "acme", unasked(stage, "acme", seed.JANE), asked.relay_state)
        assert "resume=" in dropped.headers["location"]
        assert await other.who() == ""


async def test_without_the_opt_in_an_answer_is_dropped_unread_and_its_link_kept(stage: Stage) -> None:
    link = "/courses/data-privacy-basics?chapter=2"
    async with Window(stage) as browser:
        for response in ("rubbish!", unasked(stage, "initech", seed.PETER)):
            browser.jar.clear()
            dropped = await post(browser, "initech", response, link)
            resumed = await browser.get(dropped.headers["location"], site="cross-site")
            asked = Asked.of(resumed.headers["location"])
        looped = await post(browser, "initech", unasked(stage, "initech", seed.PETER), link)
        assert (await browser.get(looped.headers["location"])).headers["bridge-error"] == "login_expired", "once"
        done = await browser.answer(asked, browser.says("initech", asked, seed.PETER))
        assert (done.status_code, done.headers["location"]) == (303, link)
        assert await browser.who() == seed.PETER.id
        again = await post(browser, "initech", "rubbish!", "https://evil.example/")
        assert parse_qs(urlsplit(again.headers["location"]).query, keep_blank_values=True) == {"resume": [""]}


async def test_strangers_write_nothing(stage: Stage) -> None:
    """Before a response has been verified, neither the store nor a log of people knows of it."""
    before = await settled(stage.deployment.folder)
    forged = unasked(stage, "acme", seed.JANE, sign="none")
    async with httpx.AsyncClient(base_url=stage.origin, headers=PAGE) as client:
        for n in range(50):
            form = {"SAMLResponse": ("rubbish", forged)[n % 2], "RelayState": "/x"}
            await client.post("/_bridge/saml/acme/acs", data=form, headers=CROSS_SITE)
            await client.get(f"/_bridge/saml/acme/login?arrived={n}")
            await client.get(f"/_bridge/saml/acme/login?stay={n}")
    assert contents(stage.deployment.folder) == before


def field_values(page: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    found = {}
    for piece in page.split('<input type="hidden" name="')[1:]:
        name, _, rest = piece.partition('" value="')
        found[name] = rest.partition('"')[0].replace("&amp;", "&")
    return found
