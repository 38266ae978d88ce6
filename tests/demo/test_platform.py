from __future__ import annotations

import ast
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from httpx import ASGITransport, AsyncClient

import bridge.demo.platform
from bridge.demo.platform import Course, content_platform
from tests.pages.markup import Document

from .conftest import AUDIENCE, ISSUER, Signer

COURSES = {
    "cybersecurity-101": Course("Introduction to Cybersecurity", "Phishing & passwords.", 45),
    "a/b <c>": Course("<b>Odd</b>", "An odd one.", 10),
}


@pytest_asyncio.fixture
async def client(signer: Signer) -> AsyncIterator[AsyncClient]:
    app = content_platform(jwks_url=signer.url, issuer=ISSUER, audience=AUDIENCE, courses=COURSES, home="http://h/")
    async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1:9000") as client:
        yield client


async def verification(client: AsyncClient, token: str | None) -> dict[str, Any]:
    headers = {"Accept": "application/json"} | ({"X-Kombo-Assertion": token} if token is not None else {})
    answer = (await client.get("/courses/cybersecurity-101", headers=headers)).json()
    assert answer["claims"] == {} or answer["verification"]["verified"]
    return answer["verification"]


async def test_says_exactly_what_it_received(client: AsyncClient, signer: Signer) -> None:
    token = signer.sign(name="Zoë", course="cybersecurity-101")
    answer = (
        await client.get(
            "/courses/cybersecurity-101?tenant=acme&format=json&x=%2F",
            headers=[
                ("X-Kombo-User", "u1"),
                ("X-Kombo-Name", "Zo%C3%AB%20100%25"),
                ("X-Kombo-Assertion", token),
                ("X-Twice", "1"),
                ("X-Twice", "2"),
            ],
        )
    ).json()
    assert answer["request"] == "GET /courses/cybersecurity-101?tenant=acme&format=json&x=%2F HTTP/1.1"
    assert [value for name, value in answer["headers"] if name == "x-twice"] == ["1", "2"]
    assert answer["identity"] == {"x-kombo-user": "u1", "x-kombo-name": "Zoë 100%", "x-kombo-assertion": token}
    assert answer["verification"]["verified"]
    assert answer["claims"]["name"] == "Zoë"
    assert (answer["page"], answer["course"]) == ("course", "cybersecurity-101")


@pytest.mark.parametrize(
    ("method", "path", "page", "course"),
    [
        ("GET", "/", "catalogue", None),
        ("GET", "/my", "my", None),
        ("GET", "/courses/x", "course", "x"),
        ("GET", "/player?id=x", "course", "x"),
        ("GET", "/player", "course", None),
        ("POST", "/courses/x/finish", "finished", "x"),
    ],
)
async def test_every_page_is_json_as_well(
    client: AsyncClient, method: str, path: str, page: str, course: str | None
) -> None:
    answer = await client.request(method, path, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert (answer.json()["page"], answer.json()["course"]) == (page, course)
    html = await client.request(method, path)
    assert html.headers["content-type"].startswith("text/html")
    assert Document(html.text).problems == ["<img> loads /static/icon.svg"]


async def test_a_good_assertion_is_believed(client: AsyncClient, signer: Signer) -> None:
    assert (await verification(client, signer.sign()))["verified"]
    just_over = int(time.time()) - 20
    assert (await verification(client, signer.sign(exp=just_over)))["verified"], "30 seconds of leeway"


async def test_bad_assertions_are_not(client: AsyncClient, signer: Signer) -> None:
    signer.keys["foreign"] = ec.generate_private_key(ec.SECP256R1())
    foreign = signer.sign(kid="foreign")
    del signer.keys["foreign"]
    now = int(time.time())
    public = signer.keys["one"].public_key()
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60}
    typ = {"typ": "kombo-identity+jwt"}
    pem = public.public_numbers().x.to_bytes(32, "big")
    bad = {
        "audience": signer.sign(aud="another"),
        "issuer": signer.sign(iss="http://another"),
        "expired": signer.sign(exp=now - 31),
        "no expiry": signer.sign(exp=None),
        "no audience": signer.sign(aud=None),
        "another type": signer.sign(typ="JWT"),
        "another key": foreign,
        "another key under a known id": jwt.encode(
            claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "one", **typ}
        ),
        "no signature": jwt.encode(claims, "", algorithm="none", headers={"kid": "one", **typ}),
        "the public key as a secret": jwt.encode(claims, pem, algorithm="HS256", headers={"kid": "one", **typ}),
        "changed": signer.sign()[:-4] + "AAAA",
        "no token": "hello",
        "empty": "",
    }
    results = {name: await verification(client, token) for name, token in bad.items()}
    assert {name for name, result in results.items() if result["verified"]} == set()
    assert all(result["reason"] for result in results.values())
    assert not (await verification(client, None))["verified"]


async def test_a_new_key_works_without_a_restart(
    client: AsyncClient, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await verification(client, signer.sign()))["verified"]
    signer.keys["two"] = ec.generate_private_key(ec.SECP256R1())
    token = signer.sign(kid="two")
    assert not (await verification(client, token))["verified"], "unknown keys must not make it ask at will"
    assert signer.asked == 1
    clock = time.monotonic
    monkeypatch.setattr(bridge.demo.platform.time, "monotonic", lambda: clock() + 11)
    assert (await verification(client, token))["verified"]
    assert signer.asked == 2


async def test_without_the_keys_nothing_is_believed(signer: Signer) -> None:
    app = content_platform(jwks_url="http://127.0.0.1:1/", issuer=ISSUER, audience=AUDIENCE, courses={})
    async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1:9000") as client:
        assert not (await verification(client, signer.sign()))["verified"]


async def test_the_course_page_shows_learner_and_verdict(client: AsyncClient, signer: Signer) -> None:
    headers = {"X-Kombo-Name": "Jane Doe", "X-Kombo-Enrollment": "ENROLLED", "X-Kombo-Assertion": signer.sign()}
    text = Document((await client.get("/courses/cybersecurity-101", headers=headers)).text).text
    assert {"Introduction to Cybersecurity", "Jane Doe", "ENROLLED", "Signature verified"} <= set(text)
    assert "Not verified" in Document((await client.get("/courses/cybersecurity-101")).text).text


async def test_what_headers_say_comes_out_as_text(client: AsyncClient) -> None:
    hostile = '"><script>alert(1)</script>'
    headers = {"X-Kombo-Name": hostile, "X-Kombo-Course": hostile, "X-Else": hostile, "X-Kombo-Assertion": hostile}
    for path in (f"/courses/{'%3Cscript%3E'}", "/my", "/", "/player?id=<script>", "/courses/a%22%3E/finish"):
        html = (await client.request("POST" if path.endswith("finish") else "GET", path, headers=headers)).text
        assert Document(html).problems == ["<img> loads /static/icon.svg"]


async def test_static_files_are_there(client: AsyncClient) -> None:
    assert (await client.get("/static/platform.css")).headers["content-type"].startswith("text/css")
    assert (await client.get("/static/icon.svg")).status_code == 200
    assert (await client.get("/static/../platform.py")).status_code == 404


async def test_it_can_fail_on_demand(client: AsyncClient) -> None:
    answer = await client.get("/broken")
    assert answer.headers.get_list("content-length") == ["6", "5"]


@pytest.mark.parametrize("name", ["platform", "platform_pages"])
def test_it_knows_nothing_of_the_bridge(name: str) -> None:
    tree = ast.parse(Path(bridge.demo.platform.__file__).with_name(f"{name}.py").read_text("utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module for module in modules if module.startswith("bridge")} <= {
        "bridge.demo",
        "bridge.demo.platform_pages",
    }
