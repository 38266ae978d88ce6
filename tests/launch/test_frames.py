"""Frames, fragments and forms that come too late, at the running bridge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from lxml import html

from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.stage import PAGE, Asked, Browser, Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRAMED = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
DEEP = "/courses/cybersecurity-101?tenant=acme"
FORM = "application/x-www-form-urlencoded"


def prepared(deployment: Deployment) -> None:
    for slug, tenant in deployment.tenants.items():
        tenant["email_domains"] = [f"{slug}.example"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A bridge that keeps fragments."""
    async with open_stage(tmp_path_factory.mktemp("keeping"), prepare=prepared, keep_fragment=True) as found:
        yield found


def button(answer: httpx.Response) -> str:
    """Where the link leads that looks like a button."""
    [href] = html.fromstring(answer.content).xpath("//a[@class='button']/@href")
    return str(href)


def with_fragment(answer: httpx.Response, fragment: str) -> tuple[str, dict[str, str]]:
    """What the page's script makes of its link, in an address with that fragment."""
    assert "searchParams" in answer.text
    link = urlsplit(button(answer))
    [next] = parse_qs(link.query)["next"]
    return link._replace(query="").geturl(), {"next": next + fragment}


@pytest.mark.parametrize("dest", ["iframe", "frame", "embed"])
async def test_a_course_in_a_frame_is_offered_for_a_tab(stage: Stage, dest: str) -> None:
    async with stage.browser(**FRAMED | {"Sec-Fetch-Dest": dest}) as browser:
        for link in (DEEP, "/courses/cybersecurity-101?chapter=2", "/_bridge/saml/acme/login?next=/my"):
            if link.startswith("/_bridge") and dest != "iframe":
                continue
            page = await browser.get(link)
            assert (page.status_code, "location" in page.headers) == (200 if dest == "iframe" else 401, False)
            assert 'target="_blank"' in page.text
            expected = f"{stage.origin}/_bridge/saml/acme/login?next=%2Fmy" if link.startswith("/_bridge") else link
            assert button(page) == expected
        assert not browser.client.cookies, "nothing has begun"


async def test_the_tab_signs_in_at_the_tenant_of_the_link(stage: Stage) -> None:
    async with stage.browser() as browser:
        page = await browser.get(DEEP, headers=FRAMED)
        asked = await browser.ask(button(page))
        assert asked.acs.endswith("/acme/acs")
        done = await browser.post(asked, browser.response("acme", asked, seed.JANE))
        assert done.headers["location"] == DEEP


async def test_a_frame_with_a_session_is_no_matter(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        assert (await browser.get(DEEP, headers=FRAMED)).status_code == 200
        assert dict(stage.received[-1]["headers"])["x-kombo-user"] == seed.JANE.id
        switch = await browser.get("/my?tenant=globex", headers=FRAMED)
        assert 'target="_blank"' in switch.text, "a page with a form must not stand in a frame"
        assert button(switch) == "/my?tenant=globex"


async def test_a_page_with_a_form_is_not_shown_in_a_frame(stage: Stage) -> None:
    async with stage.browser(**FRAMED) as browser:
        page = await browser.get("/_bridge/organizations?next=/my")
        assert ("<form" in page.text, button(page)) == (False, "/_bridge/organizations?next=%2Fmy")


async def test_what_is_no_page_gets_no_page_in_a_frame_either(stage: Stage) -> None:
    async with stage.browser() as browser:
        for more in ({"Accept": "application/json"}, {"X-Requested-With": "x"}, {"Sec-Fetch-Dest": "object"}):
            answer = await browser.get(DEEP, headers={**FRAMED, **more})
            assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
        posted = await browser.client.post(DEEP, data={"a": "b"}, headers=FRAMED)
        assert (posted.status_code, posted.headers["bridge-error"]) == (401, "login_required")
        assert 'target="_blank"' not in posted.text


async def test_a_fragment_survives_the_login(keeping: Stage) -> None:
    async with keeping.browser() as browser:
        page = await browser.get(DEEP)
        assert (page.status_code, "set-cookie" in page.headers) == (200, False)
        login, query = with_fragment(page, "#slide-3?x=%20")
        asked = Asked.of((await browser.get(login, params=query)).headers["location"])
        done = await browser.post(asked, browser.response("acme", asked, seed.JANE))
        assert done.headers["location"] == f"{DEEP}#slide-3?x=%20"
        assert (await browser.get(DEEP)).json()["target"] == DEEP, "with a session there is no page between"


async def test_without_script_a_login_goes_on_without_the_fragment(keeping: Stage) -> None:
    async with keeping.browser() as browser:
        page = await browser.get(DEEP)
        assert f'content="0; url={button(page)}"' in unescape(page.text)
        asked = await browser.ask(button(page))
        done = await browser.post(asked, browser.response("acme", asked, seed.JANE))
        assert done.headers["location"] == DEEP


async def test_a_fragment_survives_the_question_which_organisation(keeping: Stage) -> None:
    async with keeping.browser() as browser:
        page, query = with_fragment(await browser.get("/courses/cybersecurity-101"), "#slide-3")
        assert page == "/_bridge/organizations"
        form = html.fromstring((await browser.get(page, params=query)).content).forms[0]
        sent = await browser.client.post(page, data={**dict(form.fields), "email": "jane@acme.example"})
        asked = Asked.of((await browser.get(sent.headers["location"])).headers["location"])
        done = await browser.post(asked, browser.response("acme", asked, seed.JANE))
        assert done.headers["location"] == "/courses/cybersecurity-101#slide-3"


async def test_a_fragment_survives_the_question_whether_to_switch(keeping: Stage) -> None:
    async with keeping.browser() as browser:
        page = await browser.get(DEEP)
        asked = await browser.ask(button(page))
        await browser.post(asked, browser.response("acme", asked, seed.JANE))
        login, query = with_fragment(await browser.get("/courses/code-of-conduct?tenant=globex"), "#slide-3")
        form = html.fromstring((await browser.get(login, params=query)).content).forms[0]
        own = {"Sec-Fetch-Site": "same-origin"}
        clicked = await browser.client.post(form.action, data=dict(form.fields), headers=own)
        asked = Asked.of(clicked.headers["location"])
        done = await browser.post(asked, browser.response("globex", asked, seed.RITA))
        assert done.headers["location"] == "/courses/code-of-conduct?tenant=globex#slide-3"


async def test_a_fragment_is_bounded_and_plain(keeping: Stage) -> None:
    async with keeping.browser() as browser:
        for next in ("/x#" + "y" * 2046, '/x#"', "/x#<script>", "/x#a#b", "/x#\\", "/x#\r\nSet-Cookie: a=b", "/x#ü"):
            answer = await browser.get("/_bridge/saml/acme/login", params={"next": next})
            assert (answer.status_code, answer.headers["bridge-error"]) == (400, "path_ambiguous"), next


async def test_a_fragment_is_dropped_where_it_is_not_kept(stage: Stage) -> None:
    async with stage.browser() as browser:
        answer = await browser.get("/_bridge/saml/acme/login", params={"next": "/my#slide-3"})
        asked = Asked.of(answer.headers["location"])
        done = await browser.post(asked, browser.response("acme", asked, seed.JANE))
        assert done.headers["location"] == "/my"


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("urlencoded", {"data": {"answer": "42"}}),
    ("multipart", {"files": {"answer": b"42"}}),
    ("plain", {"content": b"answer=42", "headers": {"Content-Type": "text/plain"}}),
]
PROGRAMS: list[tuple[str, str, dict[str, str]]] = [
    ("json", "POST", {"Content-Type": "application/json"}),
    ("fetch", "POST", {"Content-Type": FORM, "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "*/*"}),
    ("fetch that takes html", "POST", {"Content-Type": FORM, "Sec-Fetch-Dest": "empty"}),
    ("xhr", "POST", {"Content-Type": FORM, "X-Requested-With": "XMLHttpRequest"}),
    ("program", "POST", {"Content-Type": FORM, "Accept": "application/json"}),
    ("put", "PUT", {"Content-Type": "application/json"}),
    ("patch", "PATCH", {"Content-Type": FORM}),
    ("delete", "DELETE", {}),
    ("options", "OPTIONS", {}),
    ("get", "GET", {"Accept": "application/json"}),
]


async def expired(stage: Stage, browser: Browser) -> None:
    """Sign in, then have the session ended elsewhere: the browser still sends its cookie."""
    await browser.launch("acme", seed.JANE, "/my")
    cookies = dict(browser.client.cookies)
    async with stage.browser() as elsewhere:
        elsewhere.client.cookies.update(cookies)
        await elsewhere.get("/_bridge/logout")


@pytest.mark.parametrize("form", [form for _, form in FORMS], ids=[name for name, _ in FORMS])
async def test_a_form_that_meets_an_expired_session_is_told_so(stage: Stage, form: dict[str, Any]) -> None:
    async with stage.browser() as browser:
        await expired(stage, browser)
        before = len(stage.received)
        origin = {"Origin": stage.origin, "Referer": f"{stage.origin}/courses/cybersecurity-101/quiz?page=2"}
        form = form | {"headers": {**form.get("headers", {}), **origin}}
        answer = await browser.client.post("/courses/cybersecurity-101/answers", **form)
        assert (answer.status_code, answer.headers["bridge-error"]) == (401, "login_required")
        assert "location" not in answer.headers
        assert "refresh" not in answer.text, "nor does the page go anywhere by itself"
        assert "Your session ended before this arrived" in answer.text
        assert button(answer) == "/courses/cybersecurity-101/quiz?page=2", "back to where the form is"
        assert len(stage.received) == before
        assert "set-cookie" not in answer.headers, "no login has begun"


@pytest.mark.parametrize("referer", ["https://evil.example/x", "//evil.example", "javascript:alert(1)", "x" * 3000])
async def test_a_form_that_came_from_elsewhere_leads_nowhere_else(stage: Stage, referer: str) -> None:
    async with stage.browser() as browser:
        answer = await browser.client.post("/my", data={"a": "b"}, headers={"Referer": referer})
        assert (answer.status_code, button(answer)) == (401, "/")


@pytest.mark.parametrize(("method", "headers"), [each[1:] for each in PROGRAMS], ids=[each[0] for each in PROGRAMS])
async def test_a_program_that_meets_an_expired_session_gets_a_problem(
    stage: Stage, method: str, headers: dict[str, str]
) -> None:
    async with stage.browser() as browser:
        await expired(stage, browser)
        before = len(stage.received)
        answer = await browser.client.request(method, "/my/answers", content=b"{}", headers={**PAGE, **headers})
        assert (answer.status_code, answer.headers["bridge-error"]) == (401, "login_required")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "login_required"
        assert "location" not in answer.headers
        assert len(stage.received) == before
