"""Who may look at the admin page, and who may not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml
from itsdangerous import TimestampSigner
from starlette.types import Message
from structlog.testing import capture_logs

from bridge.admin.access import COOKIE, LIFE_SECONDS
from bridge.front.attempts import OF_ONE
from bridge.session.tokens import Tokens
from tests.admin.conftest import BEARER, ORIGIN, TOKEN, Inside
from tests.support.deployment import SECRET

HERE = Path(__file__).parent
HOSTS, FORMS, NEXTS = (
    yaml.safe_load((HERE / f"{name}.yaml").read_text("utf-8")) for name in ("hosts", "forms", "nexts")
)
OWN = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


async def asked(inside: Inside, hosts: list[bytes], path: str = "/admin") -> int:
    """The status of a request as it comes off a socket, whatever its Host headers."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", host) for host in hosts] + [(b"authorization", f"Bearer {TOKEN}".encode())]
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http",
        "http_version": "1.1", "headers": headers, "server": ("10.1.2.3", 8081), "client": ("10.9.9.9", 4), "state": {},
    }  # fmt: skip
    await inside.app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


@pytest.fixture
def named(empty: Inside) -> Inside:
    """With two further names."""
    service = empty.configuration.service
    changed = service.model_copy(update={"internal_hosts": ("bridge.internal", "ops.example.com:8443")})
    return Inside(empty.store, replace(empty.configuration, service=changed), empty.now)


@pytest.mark.parametrize("case", HOSTS, ids=lambda case: case["host"])
async def test_only_known_names_lead_here(named: Inside, case: dict[str, Any]) -> None:
    assert await asked(named, [case["host"].encode()]) == (200 if case.get("shown") else 421)


async def test_a_host_stands_once(named: Inside) -> None:
    assert await asked(named, []) == 421
    assert await asked(named, [b"localhost", b"localhost"]) == 421
    assert await asked(named, [b"localhost", b"evil.example.com"], "/admin/nothing") == 421


async def test_the_token_in_a_header(empty: Inside) -> None:
    assert (await empty.get("/admin")).status_code == 200
    async with empty.browser(Accept="application/json") as script:
        answer = await script.get("/admin")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["code"] == answer.headers["bridge-error"] == "login_required"
        for wrong in ("Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN},{TOKEN}"):
            assert (await script.get("/admin", headers={"Authorization": wrong})).status_code == 401


async def signed_in(browser: httpx.AsyncClient, token: str = TOKEN, **fields: str) -> httpx.Response:
    return await browser.post("/admin/sign-in", data={"token": token, **fields}, headers=OWN)


async def test_signing_in_and_out(empty: Inside) -> None:
    async with empty.browser() as browser:
        form = await browser.get("/admin/launches?tenant=acme")
        assert form.status_code == 401
        assert 'value="/admin/launches?tenant=acme"' in form.text
        answer = await signed_in(browser, next="/admin/launches?tenant=acme")
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin/launches?tenant=acme")
        cookie = answer.headers["set-cookie"]
        assert cookie.endswith(f"; Path=/admin; Max-Age={LIFE_SECONDS}; HttpOnly; SameSite=Strict")
        assert TOKEN not in cookie
        assert (await browser.get("/admin")).status_code == 200
        answer = await browser.post("/admin/sign-out", headers=OWN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert (await browser.get("/admin")).status_code == 401


@pytest.mark.parametrize("case", FORMS, ids=str)
@pytest.mark.parametrize("path", ["/admin/sign-in", "/admin/sign-out"])
async def test_forms_of_other_sites(empty: Inside, case: dict[str, Any], path: str) -> None:
    said = {"Origin": case["origin"], "Sec-Fetch-Site": case["site"]}
    async with empty.browser() as browser:
        headers = {name: value for name, value in said.items() if value}
        answer = await browser.post(path, data={"token": TOKEN}, headers=headers)
        assert answer.status_code == (303 if case.get("taken") else 403)
        assert ("set-cookie" in answer.headers) is bool(case.get("taken"))
        assert ("; Secure" in answer.headers.get("set-cookie", "")) is case.get("secure", False)


@pytest.mark.parametrize("given, led", NEXTS)
async def test_where_the_form_leads(empty: Inside, given: str, led: str | None) -> None:
    async with empty.browser() as browser:
        assert (await signed_in(browser, next=given)).headers["location"] == (led or "/admin")


async def test_bodies_that_are_no_such_form(empty: Inside) -> None:
    async with empty.browser(**OWN) as browser:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        token = f"token={quote(TOKEN)}"
        for body, headers, status in (
            (token, {"Content-Type": "text/plain"}, 400),
            (f"{token}&{token}", form, 400),
            (f"{token}&" + "&".join(f"a{n}=1" for n in range(9)), form, 400),
            (token + "&next=" + "a" * 9000, form, 413),
            ("token=%FF", form, 400),
            ("", form, 401),
        ):
            answer = await browser.post("/admin/sign-in", content=body, headers=headers)
            assert (answer.status_code, "set-cookie" in answer.headers) == (status, False), body[:40]


def forged() -> dict[str, str]:
    good = Tokens([SECRET], "session").sign("x")
    return {
        "empty": "",
        "the token itself": TOKEN,
        "another purpose": good,
        "another secret": Tokens(["another secret, as long as it has to be"], "admin page").sign("x"),
        "no signature": "x.y",
        "too long": "x" * 9000,
        "not ASCII": "\u00e9.x.y",
    }


@pytest.mark.parametrize("name", forged())
async def test_forged_cookies(empty: Inside, name: str) -> None:
    async with empty.browser(Cookie=f"{COOKIE}={forged()[name]}".encode("latin-1")) as browser:
        assert (await browser.get("/admin")).status_code == 401


async def cookie_of(inside: Inside) -> str:
    async with inside.browser() as browser:
        return (await signed_in(browser)).headers["set-cookie"].partition(";")[0]


async def test_a_cookie_ends_with_its_time_with_the_token_and_when_doubled(
    empty: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = await cookie_of(empty)
    later = Inside(empty.store, empty.configuration, empty.now, token="another-token")
    async with empty.browser(Cookie=cookie) as same, later.browser(Cookie=cookie) as changed:
        assert (await same.get("/admin")).status_code == 200
        assert (await changed.get("/admin")).status_code == 401
        assert (await same.get("/admin", headers={"Cookie": f"{cookie}x"})).status_code == 401
        assert (await same.get("/admin", headers={"Cookie": f"{cookie}; {cookie}"})).status_code == 401
        assert (await same.get("/admin", headers=BEARER | {"Authorization": "Bearer x"})).status_code == 401
        now = TimestampSigner.get_timestamp
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: now(signer) + LIFE_SECONDS + 1)
        assert (await same.get("/admin")).status_code == 401


async def test_guessing_is_slow_said_and_forgotten(empty: Inside) -> None:
    statuses: list[int] = []

    async def guess(browser: httpx.AsyncClient, number: int) -> None:
        statuses.append((await signed_in(browser, f"guess {number}")).status_code)

    async with empty.browser() as browser:
        with capture_logs() as logged:
            await asyncio.gather(*(guess(browser, number) for number in range(20)))
        assert sorted(statuses) == [401] * OF_ONE + [429] * (20 - OF_ONE)
        said = [line for line in logged if line["event"] == "internal_token_refused"]
        assert len(said) == OF_ONE
        assert "guess" not in str(logged)
        assert (await signed_in(browser)).status_code == 303


async def test_one_wrong_token_however_often_keeps_nobody_else_out(empty: Inside) -> None:
    async with empty.browser() as browser:
        with capture_logs() as logged:
            stale = [asyncio.ensure_future(signed_in(browser, "the former token")) for _ in range(20)]
            await asyncio.sleep(0)
            assert (await browser.get("/admin", headers=BEARER)).status_code == 200
            assert {(await answer).status_code for answer in stale} == {401}
        assert "internal_token_refused" in str(logged)
        assert "former" not in str(logged)


async def test_credentials_of_a_proxy_between_are_none_of_ours(empty: Inside) -> None:
    basic = {"Authorization": "Basic b3BzOnNlY3JldA=="}
    async with empty.browser(Cookie=await cookie_of(empty)) as browser:
        assert (await browser.get("/admin", headers=basic)).status_code == 200
    async with empty.browser() as browser:
        assert (await browser.get("/admin", headers=basic)).status_code == 401


async def test_every_answer_has_its_headers(empty: Inside) -> None:
    async with empty.browser() as browser:
        seen = [
            await browser.get("/admin"),
            await browser.get("/admin", headers=BEARER),
            await browser.get("/admin/nothing", headers=BEARER),
            await browser.get("/admin/launches?reference=one", headers=BEARER),
            await browser.post("/admin", headers=BEARER),
            await browser.put("/admin/sign-in"),
            await browser.post("/admin/sign-in", headers=OWN, data={"token": TOKEN}),
            await browser.get("/admin", headers={"Host": "evil.example.com"}),
        ]
    assert [answer.status_code for answer in seen] == [401, 200, 404, 200, 405, 405, 303, 421]
    for answer in seen:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert policy.endswith("form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
        assert "script" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "referrer-policy" in answer.headers


async def test_only_reading_is_possible(empty: Inside) -> None:
    async with empty.browser(**BEARER) as browser:
        for path in ("/admin", "/admin/launches", "/admin/tenants/acme", "/admin/outbox", "/admin/keys", "/admin/x"):
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                assert (await browser.request(method, path)).status_code == 405, (method, path)
            assert (await browser.head(path)).content == b""
