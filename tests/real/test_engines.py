"""Other proxies in front of the platform, by the configurations that we generate: as safe as the bridge's own.

Each engine is the real program between the test and a platform that tells what it received; the bridge is a process
that the engine asks. What is sent here is bytes, since no client library sends most of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from bridge.errors import Refusal
from bridge.front import queries
from bridge.front.classes import PathClass
from bridge.front.paths import PathDecider
from bridge.front.routes import RouteTable
from bridge.generate.engines import ENGINES as GENERATED
from bridge.generate.plan import plan
from bridge.kombo.webhooks import signature
from bridge.proxy.cookies import sets_own
from bridge.proxy.names import reading
from bridge.settings.addresses import Address
from bridge.simulator import seed
from bridge.stamp.headers import NAMES as NAMES_WRITTEN
from tests.real.engines import ENGINES
from tests.real.engines.front import SECONDS, WEBHOOK_SECRET, Front, generated, parsed, prepare
from tests.real.engines.platform import BODILESS, EVENTS, SAY, platform
from tests.support.deployment import Deployment
from tests.support.processes import free_port
from tests.support.sockets import exchange, listening
from tests.support.stage import PAGE, Stage, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
DATA = HERE / "engines"


def data(name: str, folder: Path = DATA) -> Any:
    return yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))


NAMES = data("names")
OWN_TARGETS = data("targets")
HEADERS = data("headers", HERE.parent / "proxy" / "cases")
FRAMINGS = data("framings", HERE.parent / "proxy" / "cases") + data("requests", HERE / "servers")
[EXAMPLE, *_] = data("paths", HERE.parent / "hostile")
SPOOFED = list(dict.fromkeys(NAMES["said"] + HEADERS["identity"] + HEADERS["ambiguous"] + HEADERS["dropped"]))
ONE_BY_ONE = {"nginx": "X-", "traefik": "X-Forwarded-"}
"""Engines that remove headers by name, each with the beginning of the names of which it knows no families."""
RESPELLS = frozenset(("traefik",))
"""Engines that forward a target as RFC 3986 would have it spelt, and ask about what they forward."""
CANNOT = {
    ("traefik", "cached"): "Traefik cannot change a header of an answer by what the bridge said about the request",
    ("traefik", "cookies"): "Traefik cannot remove one cookie from an answer",
    ("traefik", "host"): "Traefik says no X-Forwarded-Host where it trusts proxies, since it would believe theirs",
}
"""What an engine has no means for. The configuration that is generated for it says so too."""

IDENTITY = re.compile(rb"x-kombo-.*|x-remote-user")
COURSE = "/courses/cybersecurity-101"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    name, port = request.param, free_port()
    folder, public_url = tmp_path_factory.mktemp("engine"), f"http://127.0.0.1:{port}"
    async with (
        platform() as behind,
        stage(tmp_path_factory.mktemp("stage"), prepare=prepare, upstream=behind.origin, public_url=public_url) as on,
    ):
        text = generated(name, on.deployment, port, folder)
        with ENGINES[name](text, folder, port):
            yield Front(name, on, behind)


async def test_a_learner_signs_in_and_the_platform_is_told(front: Front) -> None:
    async with front.stage.browser() as browser:
        answer = await browser.launch("acme", seed.JANE, f"{COURSE}/lesson/1?x=%2F&y=a%20b")
        assert answer.status_code == 200
        seen = front.platform.seen[-1]
        assert seen.target == f"{COURSE}/lesson/1?x=%2F&y=a%20b&tenant=acme"
        told = {name: seen.get(name) for name in ("x-kombo-user", "x-kombo-tenant", "x-kombo-name", "x-kombo-course")}
        assert told == {
            "x-kombo-user": seed.JANE.id,
            "x-kombo-tenant": "acme",
            "x-kombo-name": seed.JANE.name,
            "x-kombo-course": "cybersecurity-101",
        }
        assert seen.get("x-kombo-enrollment") == "ENROLLED"
        assert seen.get("x-remote-user") == f"acme:{seed.JANE.id}"
        assert (seen.get("x-kombo-assertion") or "").count(".") == 2
        host = "" if (front.name, "host") in CANNOT else front.host
        assert (seen.get("host"), seen.get("x-forwarded-host")) == (front.host, host)
        assert (seen.get("x-forwarded-proto"), seen.get("x-forwarded-for")) == ("http", "127.0.0.1")


async def test_only_a_page_load_is_sent_to_a_login(front: Front) -> None:
    got, seen = await front.ask("/my?tenant=acme", PAGE)
    assert (got.status, seen) == (303, [])
    assert "SAMLRequest=" in got.get("location")
    assert "kombo-bridge-login" in got.get("set-cookie")
    got, seen = await front.ask("/my?tenant=acme")
    assert (got.status, got.get("bridge-error"), seen) == (401, "login_required", [])


@pytest.mark.parametrize("target", ["/static/x", "/", "/my", f"{COURSE}/x"])
async def test_nobody_says_who_they_are(front: Front, target: str) -> None:
    person = None if target == "/static/x" else seed.JANE
    unknown = ONE_BY_ONE.get(front.name, "none")
    families = [name for name in NAMES["by_prefix"] if not name.startswith(unknown)]
    names = [name for name in SPOOFED if name not in NAMES["by_prefix"]] + families
    leaked = []
    for name in names:
        value = "7777" if name == "Content_Length" else "spoofed"
        got, seen = await front.ask(target, {name: value}, person=person)
        said = [header for each in seen for header in each.headers if value in header[1]]
        if said or (seen and got.status != 200):
            leaked.append((name, got.status, said))
        for each in seen:
            assert each.get("x-kombo-user") == (seed.JANE.id if person else ""), name
    assert leaked == []


@pytest.mark.parametrize("case", data("described"), ids=str)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_says_what_they_ask_for(front: Front, case: dict[str, str], method: str) -> None:
    got, seen = await front.ask("/my", case, method=method)
    assert (seen, got.status >= 400) == ([], True)


async def test_targets_are_those_that_were_decided_on(front: Front) -> None:
    """Whatever the platform sees, the bridge lets in as it stands; engines that rewrite a target ask about the new."""
    service = front.stage.deployment.load().service
    decider = PathDecider(RouteTable(service.routes, service.completions))
    targets = OWN_TARGETS + [case["path"] for case in EXAMPLE["paths"] if "path" in case]
    await front.cookie(seed.JANE)
    wrong = []

    async def check(target: str, person: seed.Person | None, method: str) -> None:
        sent = target.replace("{host}", front.host)
        got, seen = await front.ask(target, method=method, person=person)
        found = [(each.target, each.get("x-kombo-course")) for each in seen]
        good = [(each.target, let_in(decider, method, each.target, person)) for each in seen]
        if (
            found != good
            or len(seen) > 1
            or (front.name not in RESPELLS and any(each != wire(sent) for each, _ in found))
        ):
            wrong.append((method, sent, person and person.name, got.status, found))

    for target in targets:
        methods = ("GET", "POST") if target in OWN_TARGETS else ("GET",)
        await asyncio.gather(*(check(target, person, method) for person in (None, seed.JANE) for method in methods))
    assert wrong == []


def wire(target: str) -> str:
    """As the platform here reads bytes."""
    return target.encode().decode("latin-1")


def let_in(decider: PathDecider, method: str, target: str, person: seed.Person | None) -> str | None:
    """What the bridge itself says of a target, sent by Jane or by nobody: the course; None where it lets nobody in."""
    path, _, query = target.encode("latin-1").partition(b"?")
    try:
        match = decider.decide_path(path)
        course = queries.course(match, method.encode(), query)
    except Refusal:
        return None
    if match.access == "course":
        return course if person and course == "cybersecurity-101" else None
    return "" if match.access in ("public", "optional") or (match.access == "learner" and person) else None


async def test_what_is_let_in_arrives(front: Front) -> None:
    """So that the test before cannot be passed by an engine that lets nothing in."""
    for target in (f"{COURSE}/a/b?x=1", f"{COURSE}", "/my", "/", "/static/x", "/player?id=cybersecurity-101"):
        for method in ("GET", "GET", "HEAD") if "player" in target else ("GET", "HEAD", "POST", "PUT", "PATCH"):
            got, seen = await front.ask(target, method=method, person=seed.JANE, body=None if method[0] != "P" else b"")
            assert (got.status, [(each.method, each.target) for each in seen]) in (
                (200, [(method, target)]),
                (204, [(method, target)]),
            )


async def test_cookies_of_the_bridge_stay_with_it(front: Front) -> None:
    cookie = await front.cookie(seed.JANE)
    line = f"a=1; {cookie}; b=2; KOMBO-bridge-x=3; __Host-kombo-bridge-session=4; c=5"
    for target in ("/static/x", "/", "/my", f"{COURSE}/x"):
        for _ in range(2):
            _, [seen] = await front.ask(target, {"Cookie": line})
            assert re.sub(r";\s*", "; ", "; ".join(seen.all("cookie"))) == "a=1; b=2; c=5"
        _, [seen] = await front.ask(target, person=seed.JANE)
        assert not any(seen.all("cookie"))
    _, [seen] = await front.ask("/static/x", {"Cookie": 'a=1; b="2"'})
    assert seen.all("cookie") == ['a=1; b="2"']


@pytest.mark.parametrize("case", data("answers"), ids=lambda case: case["name"])
async def test_answers(front: Front, case: dict[str, Any]) -> None:
    needed = case.get("needs", "cached" if "cached" in case else "")
    if why := CANNOT.get((front.name, needed)):
        pytest.skip(why)
    got, [seen] = await front.ask(
        case.get("target", "/my"),
        {SAY: json.dumps(case["says"])},
        method=case.get("method", "GET"),
        person=None if "target" in case else seed.JANE,
        body=case["body"].encode() if "body" in case else None,
    )
    assert got.status == 200
    for line in case.get("gets", []):
        assert line in got.lines
    for start in case.get("never", []):
        assert [line for line in got.lines if line.startswith(start)] == []
    if "cached" in case:
        directives = re.split(r"[ ,]+", got.get("cache-control").lower())
        assert case["cached"] in directives
        assert not {"public", "must-understand"} & set(directives)
        assert not any(each.startswith("s-maxage") for each in directives)
    if got.body:
        assert json.loads(got.body)["target"] == seen.target


@pytest.mark.parametrize("cookie", data("cookies"))
async def test_no_browser_takes_a_cookie_of_the_bridge_from_the_platform(front: Front, cookie: str) -> None:
    assert sets_own(cookie.encode())
    if why := CANNOT.get((front.name, "cookies")):
        pytest.skip(why)
    got, _ = await front.ask("/my", {SAY: json.dumps([f"Set-Cookie: {cookie}", "Set-Cookie: a=1"])}, person=seed.JANE)
    assert "a=1" in got.all("set-cookie")
    for each in (each for each in got.all("set-cookie") if sets_own(each.encode())):
        attributes = [part.strip().lower() for part in each.split(";")[1:]]
        assert "samesite=none" in attributes
        assert "secure" not in attributes


@pytest.mark.parametrize("case", data("refusals"), ids=lambda case: case["name"])
async def test_refusals_arrive_as_the_bridge_says_them(front: Front, case: dict[str, Any]) -> None:
    person = getattr(seed, case["person"]) if "person" in case else None
    headers = (PAGE if case.get("page") else {}) | ({"Host": case["host"]} if "host" in case else {})
    method = case.get("method", "GET")
    got, seen = await front.ask(
        case["target"], headers, method=method, person=person, body=b"a=b" if method == "POST" else None
    )
    assert (got.status, got.get("bridge-error"), seen) == (case["status"], case["code"], [])
    kind = "text/html" if case.get("page") else "application/problem+json"
    assert got.get("content-type").startswith(kind)
    assert "no-store" in got.get("cache-control")
    if not case.get("page"):
        assert json.loads(got.body)["code"] == case["code"]


async def test_pages_of_unknown_hosts_are_sent_on(front: Front) -> None:
    got, seen = await front.ask("/my?x=1", {**PAGE, "Host": "other.example.com"})
    assert (got.status, got.get("location"), seen) == (307, f"{front.stage.origin}/my?x=1", [])


async def test_kombos_webhooks_reach_the_bridge_with_their_signature(front: Front) -> None:
    said = {"integration_id": seed.ACME, "changed_models": [{"name": "lms_users"}]}
    body = json.dumps({"id": "id-1", "type": "data-changed", "data": said}).encode()
    signed = {"X-Kombo-Signature": signature(WEBHOOK_SECRET, body).decode(), "Content-Type": "application/json"}
    got, _ = await front.ask("/_bridge/webhooks/kombo", signed, method="POST", body=body)
    assert got.status < 300
    got, _ = await front.ask("/_bridge/webhooks/kombo", signed, method="POST", body=body.replace(b"id-1", b"id-2"))
    assert got.status in (401, 403)


async def test_the_bridges_own_urls(front: Front) -> None:
    got, _ = await front.ask("/_bridge/jwks.json")
    assert (got.status, list(json.loads(got.body))) == (200, ["keys"])
    got, _ = await front.ask("/_bridge/saml/acme/metadata")
    assert (got.status, front.stage.origin.encode() in got.body) == (200, True)
    for target in ("/_bridge/auth", "/_bridge/auth/nginx", "/_bridge", "/_bridge/health", "/_bridge/completions"):
        got, seen = await front.ask(target)
        assert (got.status, seen) == (404, [])


async def test_a_websocket_with_identity(front: Front) -> None:
    upgrade = (
        f"GET /my/socket HTTP/1.1\r\nHost: {front.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Kombo-User: spoofed\r\n"
        f"Cookie: {await front.cookie(seed.JANE)}\r\n\r\n"
    )
    reader, writer = await front.connect()
    try:
        async with asyncio.timeout(SECONDS):
            writer.write(upgrade.encode())
            assert parsed(await reader.readuntil(b"\r\n\r\n")).status == 101
            told = dict(json.loads(await reader.readline())["headers"])
            assert (told["x-kombo-user"], told["x-kombo-tenant"]) == (seed.JANE.id, "acme")
            assert not told.get("cookie")
            for piece in (b"\x81\x05hello", b"\x88\x00"):
                writer.write(piece)
                assert await reader.readexactly(len(piece)) == piece
    finally:
        writer.transport.abort()


async def test_a_websocket_without_a_session_is_none(front: Front) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    got, seen = await front.ask("/my/socket", upgrade | key)
    assert (got.status, seen) == (401, [])


@pytest.mark.parametrize("upgrade", ["h2c", "websocket, h2c", "h2c, websocket", "TLS/1.0", "spdy/3"])
async def test_nothing_else_is_upgraded(front: Front, upgrade: str) -> None:
    headers = {
        "Connection": "close, Upgrade, HTTP2-Settings",
        "Upgrade": upgrade,
        "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA",
    }
    got, seen = await front.ask("/my/socket", headers, person=seed.JANE)
    assert got.status != 101
    for each in seen:
        assert (each.get("upgrade"), each.get("http2-settings")) == ("", "")


async def test_each_event_goes_on_at_once(front: Front) -> None:
    """The second event is not sent before the first has arrived."""
    request = f"GET {EVENTS} HTTP/1.1\r\nHost: {front.host}\r\nCookie: {await front.cookie(seed.JANE)}\r\n\r\n"
    reader, writer = await front.connect()
    try:
        async with asyncio.timeout(SECONDS):
            writer.write(request.encode())
            await reader.readuntil(b"data: first\n\n")
            front.platform.next_event.set()
            await reader.readuntil(b"data: second\n\n")
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
async def test_bodies(front: Front, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    got, [seen] = await front.ask("/my/upload", method="POST", person=seed.JANE, body=body)
    assert (got.status, seen.body == body) == (200, True)
    cookie = await front.cookie(seed.JANE)
    head = f"PUT /my/upload HTTP/1.1\r\nHost: {front.host}\r\nConnection: close\r\nCookie: {cookie}\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[: size // 2], body[size // 2 :]) if part)
    answer = await front.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n")
    assert json.loads(parsed(answer).body)["body"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    "framing", ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("method", [method for method in BODILESS if method != "HEAD"])
async def test_a_body_that_should_not_be_ends_its_connection(front: Front, method: str, framing: str) -> None:
    """Whoever leaves it unread would take it for the beginning of the next request."""
    probe = f"{method} {framing.partition(':')[0]}"
    await front.send(f"{method} /static/x HTTP/1.1\r\nHost: {front.host}\r\nX-Probe: {probe}\r\n{framing}".encode())
    for seen in front.platform.by_probe[probe]:
        assert (seen.get("connection") or "").lower() == "close"


async def test_nothing_is_smuggled_past_the_engine(front: Front) -> None:
    """The platform takes a body that GET should not have for a request: none of those may come through."""
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: evil\r\nX-Kombo-User: spoofed\r\nX-Probe: smuggled\r\n\r\n"
    cookie = await front.cookie(seed.JANE)
    before = len(front.platform.seen)

    async def put(number: int, case: dict[str, Any]) -> None:
        text = re.sub(r"\{(.*?)\*([0-9]+)\}", lambda m: m[1] * int(m[2]), case["request"], flags=re.DOTALL)
        text = text.replace("Content-Length: 64", f"Content-Length: {len(smuggled)}").replace("{smuggled}", smuggled)
        text = text.replace("\r\n40\r\n", f"\r\n{len(smuggled):x}\r\n").replace(
            "Host: a\r\n", f"Host: {front.host}\r\n"
        )
        text = re.sub(r"^(\s*[A-Z]+ +)/(?=[ ?])", rf"\1/my/case/{number}", text)
        text = re.sub(r"\r\n\r\n", f"\r\nCookie: {cookie}\r\n\r\n", text, count=1)
        reader, writer = await front.connect()
        with contextlib.suppress(
            TimeoutError, ConnectionError
        ):  # many wait for more, and what they wait for is nothing
            writer.write(text.encode("latin-1"))
            async with asyncio.timeout(0.7):
                while await reader.read(65536):
                    pass
        writer.transport.abort()

    cases = [(number, case) for number, case in enumerate(FRAMINGS)]
    for place in range(0, len(cases), 48):
        await asyncio.gather(*(put(*case) for case in cases[place : place + 48]))
    seen = front.platform.seen[before:]
    assert [each for each in seen if not each.target.startswith("/my/case/")] == []
    assert [each for each in seen if each.get("host") != front.host] == []
    assert [each for each in seen if each.get("x-kombo-user") != seed.JANE.id] == []
    said = [
        (name, value) for each in seen for name, value in each.headers if IDENTITY.fullmatch(reading(name.encode()))
    ]
    assert [header for header in said if "spoofed" in header[1]] == []
    assert len(seen) > 20


async def test_two_learners_never_share_an_answer(front: Front) -> None:
    people = [seed.JANE, seed.CARLOS, seed.AISHA]
    for person in people:
        await front.cookie(person)
    targets = ["/my", "/my/a", "/", f"{COURSE}/x", "/courses/code-of-conduct/x", "/courses/Cybersecurity-101/x"]

    async def check(person: seed.Person | None, target: str) -> None:
        _, seen = await front.ask(target, person=person)
        for each in seen:
            assert each.get("x-kombo-user") == (person.id if person else "")
            assert each.get("x-kombo-course") == (target.split("/")[2] if target.startswith("/courses/") else "")
        mine = {course.partition("@")[0] for course, _ in person.assigned} if person else set()
        wanted = target.split("/")[2] in mine if target.startswith("/courses/") else person or target == "/"
        assert bool(seen) is bool(wanted), (person, target)

    for _ in range(2):
        await asyncio.gather(*(check(person, target) for target in targets for person in (*people, None)))


async def test_a_session_that_has_ended_opens_nothing_more(front: Front) -> None:
    """What is asked for here has not been asked for before, so that no answer can have been kept for it."""
    cookie = await front.new_cookie(seed.LENA)
    got, [seen] = await front.ask("/my", {"Cookie": cookie})
    assert seen.get("x-kombo-user") == seed.LENA.id
    got, _ = await front.ask(
        "/_bridge/logout", {"Cookie": cookie, "Origin": front.stage.origin}, method="POST", body=b""
    )
    assert got.status in (200, 303)
    for target in (f"{COURSE}/x", "/my/a%20b"):
        got, seen = await front.ask(target, {"Cookie": cookie})
        assert (got.status, got.get("bridge-error"), seen) == (401, "login_required", [])


async def test_a_link_of_another_tenant_asks_first(front: Front) -> None:
    """Though the same path has just been let in, and its answer may have been kept."""
    for _ in range(2):
        _, [_] = await front.ask("/my", PAGE, person=seed.JANE)
        got, seen = await front.ask("/my?tenant=globex", PAGE, person=seed.JANE)
        assert (got.status in (200, 403), seen) == (True, [])  # some engines take 200 for leave
        assert b"/_bridge/saml/globex/login" in got.body
        _, [_] = await front.ask("/my?tenant=acme", PAGE, person=seed.JANE)


@pytest.mark.parametrize("front", ["nginx"], indirect=True)
async def test_a_configuration_made_for_other_settings(front: Front, tmp_path: Path) -> None:
    """It knows fewer identity headers, and takes every path for one that is let in like any other."""
    port, cookie = free_port(), await front.cookie(seed.JANE)
    made = plan(front.stage.deployment.load(), listen=Address("127.0.0.1", port), cache_folder=tmp_path / "answers")
    older = {"identity": NAMES_WRITTEN, "classes": (PathClass(".*", "learner"),)}
    for change in older:
        (folder := tmp_path / change).mkdir()
        text = GENERATED["nginx"](replace(made, **{change: older[change]}, cache_folder=folder / "answers"))
        with ENGINES["nginx"](text, folder, port):
            for target in ("/my", f"{COURSE}/x", "/courses/anti-bribery/x", "/my/again"):
                lines = f"Host: {front.host}\r\nConnection: close\r\nCookie: {cookie}\r\nX-Remote-User: spoofed\r\n"
                before = len(front.platform.seen)
                await exchange(f"http://127.0.0.1:{port}", f"GET {target} HTTP/1.1\r\n{lines}\r\n")
                seen = [(each.target, each.get("x-remote-user")) for each in front.platform.seen[before:]]
                assert seen == ([] if "anti-bribery" in target else [(target, f"acme:{seed.JANE.id}")])


@contextlib.asynccontextmanager
async def alone(name: str, folder: Path, inside: int) -> AsyncIterator[Front]:
    """An engine without a bridge: nobody listens in public, and inside whoever the test says."""
    port = free_port()
    async with platform() as behind:
        service = {"listen": f"127.0.0.1:{free_port()}", "internal_listen": f"127.0.0.1:{inside}"}
        deployment = Deployment(folder, upstream=behind.origin, public_url=f"http://127.0.0.1:{port}", service=service)
        (own := folder / "engine").mkdir()
        with ENGINES[name](generated(name, deployment, port, own), own, port):
            yield Front(name, Stage(deployment, None, "", None, ""), behind)  # nothing runs


@pytest.mark.parametrize("name", ENGINES)
async def test_without_the_bridge_nothing_is_forwarded(name: str, tmp_path: Path) -> None:
    async with alone(name, tmp_path, free_port()) as front:
        for target in ("/my", "/", "/static/x", f"{COURSE}/x", "/_bridge/jwks.json", "/_bridge/../my"):
            for method in ("GET", "POST"):
                got, seen = await front.ask(target, method=method, body=b"" if method == "POST" else None)
                assert (got.status >= 400, seen) == (True, [])
        assert front.platform.seen == []


@pytest.mark.parametrize("name", ENGINES)
async def test_nothing_but_leave_lets_a_request_in(name: str, tmp_path: Path) -> None:
    said = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with listening(answer) as inside, alone(name, tmp_path, inside) as front:
        for each in data("broken"):
            said = each.encode("latin-1")
            for method in ("GET", "POST"):
                await front.ask("/my", method=method, body=b"" if method == "POST" else None)
                assert front.platform.seen == [], each
        names = "".join(f"{name}: of-{name.lower()}\r\n" for name in (*NAMES_WRITTEN, "Cookie"))
        said = f"HTTP/1.1 200 OK\r\n{names}Bridge-Whose: learner\r\nContent-Length: 0\r\n\r\n".encode()
        _, [seen] = await front.ask("/my")
        assert seen.get("x-kombo-user") == "of-x-kombo-user"
