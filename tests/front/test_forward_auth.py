"""Forward-auth as an engine sees it: the real front on a socket, over a simulated Kombo."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
import yaml
from starlette.responses import HTMLResponse, PlainTextResponse
from structlog.testing import capture_logs

from bridge import app
from bridge.app import Bridge
from bridge.exchange import Answer, Forward
from bridge.front import forward_auth
from bridge.front.dialects import DIALECTS
from bridge.proxy.recorder import LAYOUT
from bridge.proxy.server import serve_internal
from bridge.session.sessions import SignIn
from bridge.settings.addresses import Address
from bridge.simulator import seed
from bridge.tallies import Tallies
from tests.support.deployment import Deployment
from tests.support.rooms import rooms
from tests.support.sockets import exchange

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "forward_auth.yaml").read_text(encoding="utf-8"))
HOST = "learn.test"
SESSION = "__Host-kombo-bridge-session"
COURSE = "/courses/cybersecurity-101"
PAGE = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}
IDENTITY = [
    *(f"x-kombo-{name}" for name in ("user", "remote-id", "tenant", "integration", "email", "name", "course")),
    *(f"x-kombo-{name}" for name in ("enrollment", "progression", "assertion")),
    "x-remote-user",
]
DENIED = {"nginx": {401, 403}}  # anything else is a failure of its own to nginx; others deny by whatever is no 2xx


@dataclass
class Answered:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> Answered:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        return cls(int(first.split()[1]), headers, body)

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other == name]

    def __getitem__(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, values
        return values[0] if values else None


@dataclass
class Engine:
    """Whoever asks, in any dialect. `cookies` are those of people who are signed in."""

    bridge: Bridge
    deployment: Deployment
    origin: str
    cookies: dict[str, str]

    async def sends(self, asked: str) -> Answered:
        lines = asked.format(host=HOST, jane=self.cookies["jane"]).replace("\n", "\r\n")
        return Answered.of(await exchange(self.origin, f"{lines}\r\nConnection: close\r\n\r\n".encode("latin-1")))

    async def asks(
        self, dialect: str, target: str = "/my", method: str = "GET", who: str | None = None, **more: str
    ) -> Answered:
        """In the words that each engine has for it; `more` are further headers of the client's."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
        if who:
            lines.append(f"Cookie: theirs=1; {self.cookies[who]}; more=2")
        return await self.sends("\n".join([*described(dialect, method, target), *lines]))

    async def session(self, person: seed.Person | None, tenant: str = "acme") -> str:
        """Sign in; the cookie."""
        sessions = self.bridge.front._desk.sessions
        found = self.bridge.front.rules.configuration.tenants[tenant]
        sign_in = SignIn(found, person.id if person else None, None, "name_id", 1, None)
        return f"{SESSION}={await sessions.open(sign_in)}"


def described(dialect: str, method: str, target: str, host: str = "{host}") -> list[str]:
    """The first lines of what an engine asks about a request."""
    target = target.replace("{", "{{").replace("}", "}}")
    if dialect == "envoy":
        return [f"{method} /auth/envoy{target} HTTP/1.1", f"Host: {host}", "X-Request-Id: 1"]
    if dialect == "nginx":
        said = [f"Host: {host}", f"X-Original-Method: {method}", f"X-Original-URI: {target}"]
    else:
        said = [f"X-Forwarded-Host: {host}", f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {target}"]
        said += ["X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"]
        said.append("Host: 127.0.0.1:8081" if dialect == "traefik" else f"Host: {host}")
    return [f"GET /auth/{dialect} HTTP/1.1", *said]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    folder: Path = tmp_path_factory.mktemp("forward_auth")
    async with rooms(folder) as found:
        deployment = found.deployment
        deployment.public_url = f"https://{HOST}"
        deployment.service |= {
            "headers": {"X-Remote-User": "sub"},
            "completions": [{"method": "POST", "path": "/courses/{course}/finish"}],
            "completion_header": True,
        }
        deployment.tenants["globex"] |= {"gate": "library", "on_launch": "enroll"}
        for tenant in deployment.load().tenants.values():
            await found.sync(tenant)
        async with (
            app.running(deployment.path, Tallies(LAYOUT, None), None) as bridge,
            serve_internal(bridge.inside, Address("127.0.0.1", 0)) as at,
        ):
            engine = Engine(bridge, deployment, f"http://{at}", {})
            engine.cookies["jane"] = await engine.session(seed.JANE)
            engine.cookies["hugo"] = await engine.session(seed.HUGO)
            engine.cookies["rita"] = await engine.session(seed.RITA, "globex")
            yield engine


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_question_is_answered_as_listed(engine: Engine) -> None:
    wrong = []
    for case in CASES:
        answer = await engine.sends(case["asks"])
        said = [str(answer.status)]
        said += [said for name in ("bridge-whose", "bridge-error", "bridge-status") if (said := answer[name])]
        if " ".join(said) != str(case["is"]):
            wrong.append(f"{case['asks']!r} is {' '.join(said)}, not {case['is']}")
        if answer.status != 200:
            assert not any(name.startswith("x-kombo-") for name, _ in answer.headers), case
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dialect", [name.decode() for name in DIALECTS])
class TestEveryDialect:
    async def test_all_that_the_platform_is_to_receive(self, engine: Engine, dialect: str) -> None:
        answer = await engine.asks(dialect, COURSE, who="jane")
        assert answer.status == 200
        assert answer.body == b""
        assert sorted(name for name, _ in answer.headers if name.startswith("x-")) == sorted(
            [*IDENTITY, *(["x-accel-expires"] if dialect == "nginx" else [])]
        )
        assert answer["x-kombo-user"] == seed.JANE.id
        assert answer["x-remote-user"] == f"acme:{seed.JANE.id}"
        assert answer["x-kombo-course"] == "cybersecurity-101"
        assert answer["bridge-whose"] == "course"
        assert answer["cookie"] == "theirs=1; more=2"
        assert answer["cache-control"] == "no-store"
        assert answer["set-cookie"] is None

    async def test_empty_headers_are_written_too(self, engine: Engine, dialect: str) -> None:
        evil = {"X_Kombo_User": "evil", "X_Kombo_Course": "evil", "X_Remote_User": "evil"}
        answer = await engine.asks(dialect, "/static/x", **evil)
        assert answer.status == 200
        assert [answer[name] for name in IDENTITY if name != "x-kombo-assertion"] == [""] * 10
        assert answer["x-kombo-assertion"]
        assert answer["cookie"] == ""
        assert answer["bridge-whose"] == "public"

    async def test_several_cookie_headers_become_one(self, engine: Engine, dialect: str) -> None:
        lines = ["Cookie: a=1", f"Cookie: {engine.cookies['jane']}", "Cookie: b=2; ;c", "Cookie: kombo-bridge=3"]
        answer = await engine.sends("\n".join([*described(dialect, "GET", "/my"), *lines]))
        assert answer["cookie"] == "a=1; b=2; ;c"
        assert answer["bridge-whose"] == "learner"

    async def test_nobody_and_somebody(self, engine: Engine, dialect: str) -> None:
        assert (await engine.asks(dialect, "/"))["bridge-whose"] == "anonymous"
        assert (await engine.asks(dialect, "/", who="jane"))["bridge-whose"] == "learner"

    async def test_whatever_is_turned_away(self, engine: Engine, dialect: str) -> None:
        """By page load and by script, with a session and without: never with what lets a request in."""
        for target, who in (
            ("/my", None),
            ("/my?tenant=acme", None),
            ("/my?tenant=nobody", None),
            ("/my?tenant=globex", "jane"),
            (COURSE, "hugo"),
            ("/courses/unknown", "hugo"),
            ("/player", "jane"),
        ):
            for dest in ("document", "iframe", "empty"):
                client = {"Accept": "text/html", "Sec-Fetch-Dest": dest}
                for method in ("GET", "HEAD", "POST"):
                    answer = await engine.asks(dialect, target, method, who, **client)
                    if who == "jane" and "player" not in target and (method == "POST" or dest == "empty"):
                        assert answer.status == 200, "a link of another tenant asks only where a page is loaded"
                    else:
                        assert answer.status in DENIED.get(dialect, range(300, 600)), (target, dest, method)
                        assert not answer.all("x-kombo-user")

    async def test_bodies_are_not_waited_for(self, engine: Engine, dialect: str) -> None:
        lines = "\n".join(described(dialect, "POST", "/static/x"))
        answer = await engine.sends(f"{lines}\nContent-Length: 1000000\nExpect: 100-continue")
        assert answer.status == 200

    async def test_a_defect_lets_nobody_in(
        self, engine: Engine, dialect: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: object) -> None:
            raise RuntimeError("a defect")

        monkeypatch.setattr(engine.bridge.front, "decide", fail)
        assert (await engine.asks(dialect, "/static/x")).status == 500
        assert "a defect" in caplog.text

    async def test_a_decision_that_does_not_come(
        self, engine: Engine, dialect: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(forward_auth, "DECISION_SECONDS", 0.01)
        monkeypatch.setattr(engine.bridge.front, "decide", lambda _: asyncio.Event().wait())
        answer = await engine.asks(dialect, "/static/x")
        assert answer.status in DENIED.get(dialect, {403, 503})
        assert (answer["bridge-status"] or str(answer.status), answer["bridge-error"]) == ("503", "user_unknown")


@pytest.mark.parametrize("dialect", ["traefik", "caddy", "envoy"])
class TestThoseThatPassOn:
    """What they answer the client with is our answer."""

    async def test_a_login(self, engine: Engine, dialect: str) -> None:
        answer = await engine.asks(dialect, "/my?tenant=acme", **PAGE)
        assert answer.status == 303
        assert (answer["location"] or "").startswith("http://localhost:7000/acme/sso?SAMLRequest=")
        assert (answer["set-cookie"] or "").startswith("__Host-kombo-bridge-login-")
        assert answer["bridge-status"] is None

    async def test_the_way_to_our_own_pages(self, engine: Engine, dialect: str) -> None:
        answer = await engine.asks(dialect, "/my", **PAGE)
        origin = f"https://{HOST}" if dialect == "traefik" else ""
        assert (answer.status, answer["location"]) == (303, f"{origin}/_bridge/organizations?next=%2Fmy")

    async def test_a_page_that_goes_on_from_itself(self, engine: Engine, dialect: str) -> None:
        answer = await engine.asks(dialect, "/my?tenant=globex", who="jane", **PAGE)
        assert (answer.status, answer["bridge-status"]) == (403, "200")
        assert b"<form" in answer.body
        assert b"Globex" in answer.body
        assert answer["content-type"] == "text/html; charset=utf-8"

    async def test_a_head(self, engine: Engine, dialect: str) -> None:
        answer = await engine.asks(dialect, "/my?tenant=globex", "HEAD", "jane", **PAGE)
        assert answer.status == 403
        assert (answer.body == b"") == (dialect == "envoy"), "others ask by GET, and drop the body themselves"

    async def test_a_refusal(self, engine: Engine, dialect: str) -> None:
        with capture_logs() as logs:
            page = await engine.asks(dialect, COURSE, who="hugo", **PAGE)
            document = await engine.asks(dialect, COURSE, who="hugo")
        assert (page.status, page["bridge-error"], page["bridge-status"]) == (403, "not_enrolled", None)
        assert b"<html" in page.body
        assert (document.status, document["content-type"]) == (403, "application/problem+json")
        refused = [line for line in logs if line["event"] == "request_refused"]
        assert [(line["code"], line["path"]) for line in refused] == [("not_enrolled", COURSE)] * 2
        assert refused[1]["reference"].encode() in document.body

    async def test_what_the_engine_would_hide(
        self, engine: Engine, dialect: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for status in (200, 201, 206, 299, 500, 503, 599):
            answer = HTMLResponse("<p>why", status, {"Set-Cookie": "a=1"})
            answer.headers.append("Set-Cookie", "b=2")
            monkeypatch.setattr(engine.bridge.front, "decide", lambda _, said=answer: Answer(said))
            found = await engine.asks(dialect, "/static/x")
            hidden = status < 300 or dialect == "envoy"
            assert (found.status, found["bridge-status"]) == ((403, str(status)) if hidden else (status, None))
            assert (found.body, found.all("set-cookie")) == (b"<p>why", ["a=1", "b=2"])


class TestNginx:
    """Which hands over to the public listener."""

    async def test_a_refusal_is_said_and_counted_once(self, engine: Engine) -> None:
        """By the listener that answers."""
        looks = dict(engine.bridge.front._waiting._looks)
        with capture_logs() as logs:
            for client in (PAGE, {}):
                answer = await engine.asks("nginx", COURSE, who="hugo", **client)
                assert (answer.status, answer["bridge-status"], answer["bridge-error"]) == (403, "403", "not_enrolled")
                assert (answer.body, answer["x-accel-expires"], answer["cache-control"]) == (b"", "0", "no-store")
            await engine.asks("nginx", "/my")
        assert logs == []
        assert dict(engine.bridge.front._waiting._looks) == looks

    async def test_what_nginx_itself_got_wrong_is_said(self, engine: Engine) -> None:
        with capture_logs() as logs:
            await engine.sends("GET /auth/nginx HTTP/1.1\nHost: {host}")
        [line] = logs
        assert (line["code"], line["path"]) == ("request_malformed", "/auth/nginx")
        assert "x-original-method is missing" in line["reason"]
        assert "kombo-bridge generate" in line["reason"]

    async def test_redirects_and_pages(self, engine: Engine) -> None:
        answer = await engine.asks("nginx", "/my?tenant=acme", **PAGE)
        assert (answer.status, answer["bridge-status"], answer["set-cookie"]) == (403, "303", None)
        answer = await engine.asks("nginx", "/my?tenant=globex", who="jane", **PAGE)
        assert (answer.status, answer["bridge-status"], answer["bridge-error"]) == (403, "200", None)
        answer = await engine.asks("nginx", "/my", Accept="application/json")
        assert (answer.status, answer["bridge-status"], answer["bridge-error"]) == (401, "401", "login_required")

    async def test_how_long_an_answer_may_be_kept(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """Said before anything else about caching: of the two, nginx 1.22 goes by what comes first."""
        for target, who in (("/static/x", None), ("/", None), ("/my", "jane"), (COURSE, "jane")):
            answer = await engine.asks("nginx", target, who=who)
            names = [name for name, _ in answer.headers]
            assert answer["x-accel-expires"] == "14"
            assert names.index("x-accel-expires") < names.index("cache-control")
        prefetched = await engine.asks("nginx", "/my", who="jane", Sec_Purpose="prefetch;prerender")
        assert (prefetched.status, prefetched["x-accel-expires"]) == (200, "0")
        now = 1000.0
        monkeypatch.setattr(forward_auth.time, "monotonic", lambda: now)
        for left, kept in ((100.0, "14"), (15.0, "14"), (14.9, "13"), (2.0, "1"), (1.99, "0"), (0.5, "0"), (-5.0, "0")):
            monkeypatch.setattr(
                engine.bridge.front, "decide", lambda _, left=left: Forward(b"X-A: b\r\n", until=now + left)
            )
            assert (await engine.asks("nginx"))["x-accel-expires"] == kept

    async def test_a_decision_ages_while_it_is_waited_for(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may go by a session that was looked up when the question came."""
        now = 1000.0
        monkeypatch.setattr(forward_auth, "time", SimpleNamespace(monotonic=lambda: now))

        async def decided(seconds: float) -> Forward:
            nonlocal now
            now += seconds
            return Forward(b"X-A: b\r\n", until=now + 100)

        for seconds, kept in ((0.9, "14"), (8.0, "6"), (14.0, "0"), (29.0, "0")):
            monkeypatch.setattr(engine.bridge.front, "decide", lambda _, seconds=seconds: decided(seconds))
            assert (await engine.asks("nginx"))["x-accel-expires"] == kept

    async def test_an_engine_that_goes_by_other_routes_keeps_nothing(self, engine: Engine) -> None:
        """Else paths would share an answer that the routes in force tell apart."""
        current = engine.bridge.front.rules.classes_id
        said = {current: "14", "x" * 32: "0", "": "0", f"{current}\nX-Bridge-Routes: {current}": "0"}
        for routes, kept in said.items():
            with capture_logs() as logs:
                for _ in range(2):
                    answer = await engine.asks("nginx", who="jane", X_Bridge_Routes=routes)
                    assert (answer.status, answer["x-accel-expires"]) == (200, kept)
            assert len(logs) <= 1


async def test_an_engine_that_knows_other_identity_headers_lets_nobody_in(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would let a client write what it does not know. Said once a minute, not for each request."""
    current = engine.bridge.front.rules.written_names.decode()
    assert current.split(",") == sorted(IDENTITY)
    older = current.replace(",x-remote-user", "")
    now = 1000.0
    monkeypatch.setattr(forward_auth.time, "monotonic", lambda: now)
    for dialect in map(bytes.decode, DIALECTS):
        assert (await engine.asks(dialect, "/static/x", X_Bridge_Headers=current)).status == 200
        now += 61
        with capture_logs() as logs:
            for said in (older, "", f"{current},x-more", f"{current}\nX-Bridge-Headers: {current}"):
                answer = await engine.asks(dialect, "/static/x", X_Bridge_Headers=said)
                assert answer.status in DENIED.get(dialect, {403, 503})
                assert (answer["bridge-status"] or str(answer.status), answer["bridge-error"]) == (
                    "503",
                    "user_unknown",
                )
        [line] = logs
        assert (line["log_level"], line["engine"]) == ("warning", dialect)
        assert f"kombo-bridge generate {dialect}`" in line["reason"]


async def test_an_engine_may_say_in_its_path_which_identity_headers_it_knows(engine: Engine) -> None:
    """In all dialects but envoy's, where what stands behind the prefix is the client's."""
    current = engine.bridge.front.rules.written_names.decode()
    asked = "\n".join(described("traefik", "GET", "/static/x"))
    for said, status in (
        (current, 200),
        (current.replace(",x-remote-user", ""), 503),
        ("", 503),
        (f"{current}?", 503),
        (f"{current}\tHTTP/1.1\nX-Bridge-Headers: {current}\nX:", 400),
    ):
        answer = await engine.sends(asked.replace("/auth/traefik", f"/auth/traefik/headers/{said}"))
        assert answer.status == status, said
    both = asked.replace("/auth/traefik", f"/auth/traefik/headers/{current}")
    assert (await engine.sends(f"{both}\nX-Bridge-Headers: x")).status == 503
    assert (await engine.asks("envoy", "/headers/x")).status != 503


async def test_the_answer_is_not_one_of_ours(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application under `/_bridge/` is not run by a question about it."""
    ran = []

    async def application(*_: Any) -> None:
        ran.append(True)

    monkeypatch.setattr(engine.bridge.front, "_bridge", Answer(application))
    for dialect in DIALECTS:
        assert (await engine.asks(dialect.decode(), "/_bridge/logout", who="jane", **PAGE)).status == 403
    assert ran == []


async def test_a_launch_begins_when_it_is_let_in(engine: Engine) -> None:
    enrolled = engine.bridge.front._completions._enrollments
    target = "/courses/code-of-conduct"
    for dialect in ("nginx", "envoy"):
        enrolled._launched.clear()
        await engine.asks(dialect, target, who="rita", Sec_Purpose="prefetch")
        assert len(enrolled._launched) == 0
        assert (await engine.asks(dialect, target, who="rita")).status == 200
        assert [course for _, course in enrolled._launched] == ["code-of-conduct"]


async def test_completions_are_said_to_do_nothing_once(engine: Engine) -> None:
    asked = forward_auth.ForwardAuth(engine.bridge.front)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "client": None,
        "headers": [(b"host", HOST.encode()), (b"cookie", engine.cookies["jane"].encode())],
        "state": {"target": b"/auth/envoy/courses/cybersecurity-101/finish"},
    }
    with capture_logs() as logs:
        for _ in range(2):
            await asked(scope, PlainTextResponse, send)  # nothing is received
    assert [line["event"] for line in logs] == ["completions_not_heard"]
    assert [message["status"] for message in sent if "status" in message] == [200, 200]


async def test_too_much(engine: Engine) -> None:
    long, many = "/static/" + "x" * 8200, "\n".join(f"X-{number}: 1" for number in range(120))
    for dialect in DIALECTS:
        name = dialect.decode()
        answer = await engine.asks(name, long)
        assert (answer["bridge-status"] or str(answer.status), answer["bridge-error"]) == ("414", "request_malformed")
        answer = await engine.sends("\n".join([*described(name, "GET", "/static/x"), many]))
        assert (answer["bridge-status"] or str(answer.status), answer["bridge-error"]) == ("431", "request_malformed")
        large = await engine.asks(name, "/static/x", Cookie="a=" + "x" * 66_000)
        assert (large["bridge-status"] or str(large.status), large["bridge-error"]) == ("431", "request_malformed")
        answer = await engine.asks(name, "/static/" + "x" * 70_000)
        assert answer.status >= 400


async def test_other_urls_stay_as_they_are(engine: Engine) -> None:
    answer = await engine.sends("GET /ready HTTP/1.1\nHost: inside")
    assert re.match(rb'{"status":"ok"', answer.body)
    assert (await engine.sends("GET /nothing HTTP/1.1\nHost: inside")).status == 404
