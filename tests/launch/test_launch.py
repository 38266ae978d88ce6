"""A learner's way from the deep link to the platform, through the bridge as a process of its own."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zlib import decompress

import httpx
import jwt
import pytest

from bridge.demo.responses import IdpKey
from bridge.simulator import seed
from tests.support.stage import PAGE, Stage, identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


def headers(answer: httpx.Response) -> dict[str, str]:
    """What the platform received under names of ours."""
    assert answer.status_code == 200, answer.text
    pairs = [(name, value) for name, value in answer.json()["headers"] if name.startswith("x-kombo-")]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize(
    ("tenant", "person", "course", "match"),
    [
        ("acme", seed.JANE, "cybersecurity-101", "name_id"),
        ("globex", seed.RITA, "code-of-conduct", "attribute"),
        ("globex", seed.SLASH, "code-of-conduct", "attribute"),
        ("globex", seed.COMMA, "code-of-conduct", "attribute"),
        ("initech", seed.PETER, "data-privacy-basics", "email"),
        ("initech", seed.MILTON, "fire-safety", "email"),
    ],
)
async def test_a_launch_by_each_tier(stage: Stage, tenant: str, person: seed.Person, course: str, match: str) -> None:
    async with stage.browser() as browser:
        answer = await browser.launch(tenant, person, f"/courses/{course}?chapter=2&x=%20y")
        told = answer.json()
        assert told["target"] == f"/courses/{course}?chapter=2&x=%20y&tenant={tenant}", "the deep link, query kept"
        said = headers(answer)
        assert said["x-kombo-user"] == person.id
        assert said["x-kombo-remote-id"] == person.remote_id
        assert said["x-kombo-tenant"] == tenant
        assert said["x-kombo-integration"] == person.integration
        assert said["x-kombo-email"] == person.email
        assert said["x-kombo-name"] == person.name
        assert said["x-kombo-course"] == course
        assert said["x-kombo-enrollment"] == "ENROLLED"
        assert said["x-kombo-progression"]
        claims = jwt.decode(said["x-kombo-assertion"], options={"verify_signature": False})
        assert claims["match"] == match
        assert "kombo-bridge" not in str(told["headers"]), "our cookies never reach the platform"
        assert not [name for name in answer.headers if name.startswith("x-kombo")]
        assert answer.headers["x-platform"] == "yes"


async def test_the_request_to_the_idp_asks_for_nothing_that_idps_stumble_over(stage: Stage) -> None:
    async with stage.browser() as browser:
        answer = await browser.get("/courses/cybersecurity-101?tenant=acme")
        location = urlsplit(answer.headers["location"])
        query = parse_qs(location.query, strict_parsing=True)
        assert (location.netloc, location.path) == ("localhost:7000", "/acme/sso")
        assert len(query["RelayState"][0].encode()) <= 80
        request = decompress(b64decode(query["SAMLRequest"][0]), -15).decode()
        assert "RequestedAuthnContext" not in request
        assert f'AssertionConsumerServiceURL="{stage.origin}/_bridge/saml/acme/acs"' in request
        assert 'ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"' in request
        assert answer.headers["cache-control"] == "no-store"


async def test_a_session_opens_the_next_course_without_a_login(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.CARLOS, "/courses/data-privacy-basics")
        assert headers(await browser.get("/courses/code-of-conduct/lesson/1"))["x-kombo-course"] == "code-of-conduct"
        player = headers(await browser.get("/player?id=code-of-conduct"))
        assert (player["x-kombo-course"], player["x-kombo-enrollment"]) == ("code-of-conduct", "ENROLLED")
        mine = headers(await browser.get("/my"))
        assert (mine["x-kombo-user"], mine["x-kombo-course"]) == (seed.CARLOS.id, "")
        assert headers(await browser.get("/"))["x-kombo-user"] == seed.CARLOS.id


async def test_public_and_optional_routes_need_nobody(stage: Stage) -> None:
    async with stage.browser() as browser:
        for path in ("/static/logo.png", "/"):
            said = headers(await browser.get(path))
            assert [name for name, value in said.items() if value] == ["x-kombo-assertion"]
        await browser.launch("acme", seed.JANE, "/my")
        said = headers(await browser.get("/static/logo.png"))
        assert said["x-kombo-user"] == "", "on public routes there is no identity, even with a session"
        assert headers(await browser.get("/"))["x-kombo-user"] == seed.JANE.id


REFUSED: list[tuple[str, str, dict[str, Any], str, int]] = [
    ("acme", "nobody there", {"name_id": "no-such-wid"}, "user_unmatched", 403),
    ("acme", "no name id", {"name_id": None}, "identifier_missing", 403),
    ("globex", "no attribute", {"name_id": "rita@globex.com", "attributes": {}}, "identifier_missing", 403),
    (
        "globex",
        "two values",
        {"name_id": "x", "attributes": {"lms_user_id": ["E777", "E12345"]}},
        "user_ambiguous",
        403,
    ),
    ("acme", "inactive", identity("acme", seed.MARTIN), "user_inactive", 403),
    ("acme", "deleted", identity("acme", seed.OLGA), "user_unmatched", 403),
    ("acme", "another key", identity("acme", seed.JANE) | {"key": "other"}, "saml_rejected", 403),
    (
        "acme",
        "another audience",
        identity("acme", seed.JANE) | {"audience": "https://other.example"},
        "saml_rejected",
        403,
    ),
    ("acme", "another issuer", identity("acme", seed.JANE) | {"issuer": "https://other.example"}, "saml_rejected", 403),
    ("acme", "another acs", identity("acme", seed.JANE) | {"acs": "https://other.example/acs"}, "saml_rejected", 403),
    ("acme", "another request", identity("acme", seed.JANE) | {"in_response_to": "_other"}, "saml_rejected", 403),
    (
        "acme",
        "too old",
        identity("acme", seed.JANE) | {"now": datetime.now(UTC) - timedelta(minutes=30)},
        "saml_rejected",
        403,
    ),
]


@pytest.mark.parametrize(
    ("tenant", "said", "code", "status"), [(t, s, c, n) for t, _, s, c, n in REFUSED], ids=[r[1] for r in REFUSED]
)
async def test_an_answer_of_the_idp_is_refused(
    stage: Stage, tenant: str, said: dict[str, Any], code: str, status: int
) -> None:
    said = said | ({"key": IdpKey.generate("another")} if said.get("key") == "other" else {})
    async with stage.browser() as browser:
        asked = await browser.ask(f"/courses/cybersecurity-101?tenant={tenant}")
        acs = said.pop("acs", None)
        response = browser.response(tenant, asked, **({"acs": acs} if acs else {}), **said)
        answer = await browser.post(asked, response)
        assert (answer.headers.get("bridge-error"), answer.status_code) == (code, status)
        assert "kombo-bridge-session" not in str(answer.headers)
        assert "text/html" in answer.headers["content-type"]
        for secret in (response[:40], "no-such-wid", "E12345", "audience", "issuer", "signature"):
            assert secret not in answer.text, "the reason is the operator's"
        assert (await browser.get("/my")).status_code == 303, "and nobody is signed in"


@pytest.mark.parametrize(
    ("body", "type", "code", "status"),
    [
        ("", "application/x-www-form-urlencoded", "saml_malformed", 400),
        ("RelayState=x", "application/x-www-form-urlencoded", "saml_malformed", 400),
        ("SAMLResponse=a&SAMLResponse=b", "application/x-www-form-urlencoded", "saml_malformed", 400),
        ("SAMLResponse=%ff", "application/x-www-form-urlencoded", "saml_malformed", 400),
        ("SAMLResponse=\xff", "application/x-www-form-urlencoded", "saml_malformed", 400),
        ("&".join(f"f{n}=1" for n in range(50)), "application/x-www-form-urlencoded", "saml_malformed", 400),
        ("SAMLResponse=" + "A" * 70_000, "application/x-www-form-urlencoded", "saml_malformed", 413),
        ('{"SAMLResponse": "x"}', "application/json", "saml_malformed", 400),
        ("--b\r\n\r\n", "multipart/form-data; boundary=b", "saml_malformed", 400),
    ],
    ids=["empty", "no response", "two", "not utf-8", "raw bytes", "many fields", "huge", "json", "multipart"],
)
async def test_a_bad_form_is_malformed(stage: Stage, body: str, type: str, code: str, status: int) -> None:
    async with stage.browser() as browser:
        answer = await browser.client.post(
            "/_bridge/saml/acme/acs", content=body.encode("latin-1"), headers={"Content-Type": type}
        )
        assert (answer.headers["bridge-error"], answer.status_code) == (code, status)


async def test_a_huge_answer_to_a_login_is_malformed(stage: Stage) -> None:
    async with stage.browser() as browser:
        asked = await browser.ask("/my?tenant=acme")
        answer = await browser.post(asked, "A" * 500_000)
        assert (answer.headers["bridge-error"], answer.status_code) == ("saml_malformed", 413)


async def test_rubbish_in_place_of_a_response_is_malformed(stage: Stage) -> None:
    for rubbish in ("rubbish!", "aGVsbG8=", "PGEvPg==", "PGE+PC9h", ""):
        async with stage.browser() as browser:
            asked = await browser.ask("/my?tenant=acme")
            answer = await browser.post(asked, rubbish)
            assert answer.headers["bridge-error"] == "saml_malformed", rubbish


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        ("/courses/data-privacy-basics", "not_enrolled", 403),
        ("/courses/no-such-course", "course_unknown", 404),
        ("/player", "course_unknown", 404),
        ("/player?id=", "course_unknown", 404),
        ("/player?ID=cybersecurity-101", "path_ambiguous", 400),
        ("/player?id=cybersecurity-101&id=data-privacy-basics", "path_ambiguous", 400),
        ("/Courses/cybersecurity-101", "path_ambiguous", 400),
        ("/static/%2e%2e/courses/cybersecurity-101", "path_ambiguous", 400),
        ("/%2Fcourses/cybersecurity-101", "path_ambiguous", 400),
        ("/courses/cybersecurity-101;/x", "path_ambiguous", 400),
    ],
)
async def test_a_signed_in_learner_is_refused(stage: Stage, path: str, code: str, status: int) -> None:
    async with stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        before = len(stage.received)
        page = await browser.get(path)
        assert (page.headers.get("bridge-error"), page.status_code) == (code, status)
        assert "text/html" in page.headers["content-type"]
        program = await browser.get(path, headers={"Accept": "application/json"})
        assert (program.headers["bridge-error"], program.status_code) == (code, status)
        assert program.headers["content-type"] == "application/problem+json"
        problem = program.json()
        assert problem["code"] == code
        assert f'"reference": "{problem["reference"]}"' in stage.bridge.text(), "the log line has the same reference"
        assert len(stage.received) == before, "nothing reached the platform"


async def test_without_a_session_only_a_page_load_is_sent_to_a_login(stage: Stage) -> None:
    link = "/courses/cybersecurity-101?tenant=acme"
    others: list[dict[str, str]] = [
        {"Accept": "application/json"},
        {"Accept": "*/*"},
        {"Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Dest": "empty"},
        {"X-Requested-With": "XMLHttpRequest"},
        {"Sec-Purpose": "prefetch;prerender"},
    ]
    async with httpx.AsyncClient(base_url=stage.origin) as client:
        for more in others:
            answer = await client.get(link, headers={**PAGE, **more})
            assert (answer.status_code, answer.headers["bridge-error"]) == (401, "login_required"), more
            assert "application/problem+json" in answer.headers["content-type"]
        form = await client.post(link, headers=PAGE, data={"answer": "42"})
        assert (form.status_code, form.headers["bridge-error"]) == (401, "login_required")
        assert "text/html" in form.headers["content-type"]
        for more in ({}, {"Sec-Fetch-Dest": "document"}):
            assert (await client.get(link, headers={**PAGE, **more})).status_code == 303


async def test_unknown_tenants(stage: Stage) -> None:
    async with stage.browser() as browser:
        unknown = await browser.get("/my?tenant=nobody")
        assert (unknown.status_code, unknown.headers["bridge-error"]) == (404, "tenant_unknown")
        assert 'href="/_bridge/organizations"' in unknown.text, "there somebody can say which"
        assert (await browser.get("/my?tenant=acme&tenant=globex")).headers["bridge-error"] == "path_ambiguous"
        for path in ("metadata", "login", "acs"):
            method = "POST" if path == "acs" else "GET"
            answer = await browser.client.request(method, f"/_bridge/saml/nobody/{path}")
            assert (answer.headers["bridge-error"], answer.status_code) == ("tenant_unknown", 404)


async def test_launches_go_on_while_kombo_is_down(stage: Stage) -> None:
    await stage.control("down", value=True)
    try:
        for tenant, person, course in (
            ("acme", seed.AISHA, "cybersecurity-101"),
            ("globex", seed.HASH, "code-of-conduct"),
            ("initech", seed.PETER, "data-privacy-basics"),
        ):
            async with stage.browser() as browser:
                assert headers(await browser.launch(tenant, person, f"/courses/{course}"))["x-kombo-user"] == person.id
    finally:
        await stage.control("down", value=False)


async def test_an_assignment_made_just_now_opens_without_waiting_for_a_sync(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.sign_in("acme", seed.HUGO)
        await stage.control(
            "progressions",
            integration=seed.ACME,
            remote_id="just now",
            user_id=seed.HUGO.id,
            course_revision_id=seed.revision_id(seed.ACME, "cybersecurity-101", 2),
            status="ENROLLED",
        )
        assert headers(await browser.get("/courses/cybersecurity-101"))["x-kombo-enrollment"] == "ENROLLED"
