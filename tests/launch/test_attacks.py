"""What an attacker on the outside tries with a launch, against the running bridge."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from bridge.front.acs import LARGE_AT_ONCE
from bridge.simulator import seed
from tests.support.contents import contents, settled
from tests.support.sockets import exchange
from tests.support.stage import Asked, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPOOFED = yaml.safe_load((Path(__file__).parent / "spoofed_headers.yaml").read_text())


async def test_a_session_of_one_tenant_stays_with_it(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        page = await browser.get("/courses/code-of-conduct?tenant=globex")
        assert page.status_code == 200
        assert "Globex" in page.text
        assert "Acme Corporation" in page.text
        assert "bridge-error" not in page.headers
        assert (await browser.get("/my?tenant=globex", headers={"Accept": "application/json"})).json()["headers"]
        assert dict(stage.received[-1]["headers"])["x-kombo-tenant"] == "acme"
        foreign = await browser.get("/_bridge/saml/globex/login?next=/my", headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 200, "a link from elsewhere asks too"
        own = await browser.client.post(
            "/_bridge/saml/globex/login", data={"next": "/my"}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        asked = Asked.of(own.headers["location"])
        await browser.get("/my")
        assert dict(stage.received[-1]["headers"])["x-kombo-tenant"] == "acme", "not before a verified answer"
        await browser.post(asked, browser.response("globex", asked, seed.RITA))
        await browser.get("/my")
        assert dict(stage.received[-1]["headers"])["x-kombo-tenant"] == "globex"


async def test_a_session_that_is_replaced_has_ended(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        own = await browser.client.post(
            "/_bridge/saml/globex/login", data={"next": "/my"}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        asked = Asked.of(own.headers["location"])
        former = browser.client.cookies.pop("kombo-bridge-session")  # a browser withholds it from the IdP's POST
        done = await browser.post(asked, browser.response("globex", asked, seed.RITA))
        assert done.status_code == 303
        browser.client.cookies.clear()
        await asyncio.sleep(5.1)  # other processes may hold it that long
        browser.client.cookies.set("kombo-bridge-session", former)
        assert (await browser.get("/my", headers={"Accept": "*/*"})).status_code == 401


@pytest.mark.parametrize(
    "route", ["/static/x", "/", "/my", "/courses/cybersecurity-101", "/player?id=cybersecurity-101"]
)
async def test_spoofed_headers_never_arrive(stage: Stage, route: str) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    signed_in = route not in ("/static/x",)

    async def spoof(name: str) -> bytes:
        head = (
            f"GET {route} HTTP/1.1\r\nHost: {{host}}\r\nCookie: {cookie}\r\n{name}: evil\r\nConnection: close\r\n\r\n"
        )
        return await exchange(stage.origin, head)

    for name in SPOOFED["removed"]:
        before = len(stage.received)
        answer = await spoof(name)
        assert answer.startswith(b"HTTP/1.1 200"), (name, answer[:200])
        told = stage.received[before]["headers"]
        assert "evil" not in str(told), name
        assert dict(told)["x-kombo-user"] == (seed.JANE.id if signed_in else "")
    for name in SPOOFED["refused"]:
        before = len(stage.received)
        answer = await spoof(name)
        assert answer.startswith(b"HTTP/1.1 400"), (name, answer[:200])
        assert b"headers_ambiguous" in answer or b"request_malformed" in answer
        assert len(stage.received) == before, name


async def test_nominating_our_headers_does_not_remove_them(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        await browser.get("/my", headers={"Connection": "X-Kombo-User, X-Kombo-Assertion, Cookie"})
        told = dict(stage.received[-1]["headers"])
        assert told["x-kombo-user"] == seed.JANE.id
        assert told["x-kombo-assertion"]


async def test_logins_write_nothing_to_the_store(stage: Stage) -> None:
    before = await settled(stage.deployment.folder)
    async with httpx.AsyncClient(base_url=stage.origin, headers={"Accept": "text/html"}) as client:
        for n in range(200):
            client.cookies.clear()
            assert (await client.get(f"/courses/{n}?tenant=acme")).status_code == 303
            await client.post("/_bridge/saml/acme/acs", data={"SAMLResponse": "rubbish", "RelayState": "x"})
            await client.post("/_bridge/organizations", data={"email": f"{n}@nowhere.example"})
            await client.get("/_bridge/logout")
    assert contents(stage.deployment.folder) == before


async def test_a_host_that_is_not_ours(stage: Stage) -> None:
    evil = {"Host": "evil.example"}
    async with stage.browser() as browser:
        page = await browser.get("/courses/x?y=1", headers=evil)
        assert (page.status_code, page.headers["location"]) == (307, f"{stage.origin}/courses/x?y=1")
        assert "no-store" in page.headers["cache-control"]
        program = await browser.get("/courses/x", headers={**evil, "Accept": "*/*"})
        assert (program.status_code, program.headers["bridge-error"]) == (421, "host_unknown")
        asked = await browser.ask("/my?tenant=acme")
        answer = await browser.client.post(
            "/_bridge/saml/acme/acs",
            data={"SAMLResponse": browser.response("acme", asked, seed.JANE), "RelayState": asked.relay_state},
            headers=evil,
        )
        assert answer.status_code == 421


@pytest.mark.parametrize(
    "next",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/_bridge/logout",
        "/%5f_bridge/x/../../_bridge/logout",
        "x",
    ],
)
async def test_next_leads_nowhere_else(stage: Stage, next: str) -> None:
    async with stage.browser() as browser:
        for path in ("/_bridge/saml/acme/login", "/_bridge/organizations"):
            answer = await browser.get(path, params={"next": next})
            assert answer.status_code == 400, (path, next)
            assert "location" not in answer.headers


async def test_deep_links_with_hostile_paths_come_back_only_here(stage: Stage) -> None:
    async with stage.browser() as browser:
        for link in ("/.//evil.example/", "/%2F%2Fevil.example", "/..//evil.example", "/x/..//evil.example"):
            answer = await browser.get(link + "?tenant=acme")
            if answer.status_code == 303:
                asked = Asked.of(answer.headers["location"])
                done = await browser.post(asked, browser.response("acme", asked, seed.JANE))
                location = httpx.URL(stage.origin + "/").join(done.headers["location"])
                assert str(location).startswith(stage.origin + "/"), link


async def test_somebody_elses_signed_in_cookie_dies_with_logout(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        cookies = dict(browser.client.cookies)
        page = await browser.get("/_bridge/logout")
        assert page.status_code == 200
        browser.client.cookies.update(cookies)
        assert (await browser.get("/my")).status_code == 303


async def test_another_site_cannot_replace_a_session_unasked(stage: Stage) -> None:
    """A form that another site posts comes without the session's cookie (SameSite=Lax), so the login looks fresh."""
    cross_site = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        session = browser.client.cookies.pop("kombo-bridge-session")
        for path, form in (
            ("/_bridge/saml/globex/login", {"next": "/my"}),
            ("/_bridge/saml/globex/acs", {"SAMLResponse": "x"}),
            ("/_bridge/saml/globex/acs", {"SAMLResponse": "x", "RelayState": "x"}),
        ):
            sent_on = await browser.client.post(path, data=form, headers=cross_site)
            assert "/_bridge/saml/globex/login" in sent_on.headers["location"], "on our own site once more"
            browser.client.cookies.set("kombo-bridge-session", session)
            page = await browser.get(sent_on.headers["location"], headers=cross_site)
            assert (page.status_code, "Acme Corporation" in page.text) == (200, True), "and there the learner is asked"
            del browser.client.cookies["kombo-bridge-session"]


async def test_only_the_button_switches_without_being_asked_again(stage: Stage) -> None:
    own = {"Sec-Fetch-Site": "same-origin"}
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        page = await browser.get("/_bridge/saml/globex/login?next=/my", headers=own)
        assert (page.status_code, "Acme Corporation" in page.text) == (200, True)
        clicked = await browser.client.post("/_bridge/saml/globex/login", data={"next": "/my"}, headers=own)
        assert Asked.of(clicked.headers["location"]).acs.endswith("/globex/acs")


async def test_no_answer_leads_off_the_scheme_that_learners_use(stage: Stage) -> None:
    """Behind a load balancer that ends TLS, an absolute redirect made from the request would lead to plain http."""
    async with stage.browser() as browser:
        for path in ("/_bridge/logout/", "/_bridge/saml/acme/login/?next=/my", "/_bridge/organizations/"):
            answer = await browser.get(path)
            assert (answer.status_code, "location" in answer.headers) == (404, False)


async def test_a_form_that_breaks_off_leaves_no_trace(stage: Stage) -> None:
    """Anybody can send half a form; the log is not theirs to fill."""
    port = int(stage.origin.rpartition(":")[2])
    for path in ("/_bridge/saml/acme/acs", "/_bridge/organizations"):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000\r\n"
        writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nSAMLResponse=".encode())
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.2)
    assert "Traceback" not in stage.bridge.text()


async def test_large_forms_that_come_slowly_take_no_more_than_their_share(stage: Stage) -> None:
    head = (
        "POST /_bridge/saml/acme/acs HTTP/1.1\r\nHost: {host}\r\nCookie: kombo-bridge-login-x=1\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n"
    )
    slow = f"{head}Content-Length: 300000\r\n\r\n".replace("{host}", urlsplit(stage.origin).netloc).encode()
    port = urlsplit(stage.origin).port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LARGE_AT_ONCE)]
    try:
        for _, writer in held:
            writer.write(slow + b"SAMLResponse=" + 100 * b"A")
        await asyncio.sleep(0.5)
        for framing in ("Content-Length: 300000", "Transfer-Encoding: chunked"):
            answer = await exchange(stage.origin, f"{head}{framing}\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 503"), framing
        async with stage.browser() as browser:
            done = await browser.sign_in("acme", seed.JANE)
            assert (done.status_code, done.headers["location"]) == (303, "/my?tenant=acme"), "others are not held up"
    finally:
        for _, writer in held:
            writer.close()
    await asyncio.sleep(0.5)
    form = {"SAMLResponse": "A" * 200_000}
    async with stage.browser(Cookie="kombo-bridge-login-x=1") as browser:
        later = await browser.client.post("/_bridge/saml/acme/acs", data=form)
        assert later.status_code == 303, "and when they have gone there is room again"


async def test_a_form_of_another_site_ends_the_session_that_it_comes_without(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        session = browser.client.cookies.pop("kombo-bridge-session")
        posted = await browser.client.post("/_bridge/logout", headers={"Sec-Fetch-Site": "cross-site"})
        assert (posted.status_code, posted.headers["location"]) == (303, "/_bridge/logout")
        browser.client.cookies.set("kombo-bridge-session", session)
        assert (await browser.get(posted.headers["location"])).status_code == 200
        browser.client.cookies.set("kombo-bridge-session", session)
        assert (await browser.get("/my")).status_code == 303


async def test_what_is_no_request_is_refused_with_a_reference_too(stage: Stage) -> None:
    answer = await exchange(stage.origin, "GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"\r\nBridge-Error: request_malformed\r\n" in head
    problem = json.loads(body)
    assert problem["code"] == "request_malformed"
    assert f'"reference": "{problem["reference"]}"' in stage.bridge.text()
