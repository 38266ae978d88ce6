"""Forward-auth: another proxy stands in front of the platform and asks here what to do with each request.

    asked       ANY /auth/{nginx|traefik|caddy|envoy}, with every header of the client's request that the bridge decides
                by (at least Accept, Accept-Language, Content-Type, Cookie, Origin, Referer, Sec-*, X-Requested-With,
                and any that could be read as an identity header), and no body. Each of these exactly once:
                  nginx            X-Original-Method, X-Original-URI ($request_uri), Host (the client's)
                  traefik, caddy   X-Forwarded-Method, X-Forwarded-Uri, X-Forwarded-Host; its own Host says nothing
                  envoy            its own method and Host, and as its target /auth/envoy with the client's behind it
    let in      200, empty. X-Accel-Expires (nginx alone: for how many seconds it may be kept, which nginx does for up
                to one more; 0: not at all),
                Cache-Control: no-store, Bridge-Whose: public|anonymous|learner|course, Cookie (the client's without
                ours, empty where nothing is left), and every identity header, empty ones included
    turned away nginx              401 or 403, empty, X-Accel-Expires: 0, Bridge-Status with the real status and
                                   Bridge-Error where there is one: the public listener, asked by nginx, answers
                traefik, caddy,    the answer itself: status, Location (absolute for traefik), Set-Cookies, body. What
                envoy              the engine would take for leave, or keep from the client, goes out as 403 with the
                                   real status in Bridge-Status: 2xx, and with envoy 5xx
    /_bridge/   belongs to the public listener and is not asked about: 403, or nginx's way, as above

What a 200 depends on, and so what a cache has to keep apart: method, Host, the whole target, and all Cookie headers;
also, where the query names a tenant or Sec-Purpose says prefetch, whatever makes a page load of a request. Refusals
must not be kept. An engine that lets targets share an answer says in X-Bridge-Routes which routes it goes by
(`bridge.front.classes`); while those are not the ones in force, its X-Accel-Expires is 0. One that removes headers by
name says in X-Bridge-Headers which identity headers it knows, sorted and with commas between (traefik: behind
/auth/traefik/headers/); with others than the bridge writes, nothing is let in.

The decision is the proxy's own, for the same head. What the platform answers is not heard of here, so rules on
`completions:` and `completion_header` do nothing, and `on_launch: enroll` begins when a request is let in.
"""

from __future__ import annotations

import asyncio
import re
import time
from functools import lru_cache
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from bridge.errors import Code, Refusal
from bridge.exchange import Answer, Decision, Forward, Head, Header
from bridge.front.dialects import DIALECTS, Dialect
from bridge.front.front import Front
from bridge.front.requests import is_prefetched
from bridge.front.rules import Rules
from bridge.proxy.cookies import without_own
from bridge.proxy.limits import Limits
from bridge.proxy.request import check, check_size
from bridge.settings.model import Service

PATH: Final = "/auth/"
KEPT_SECONDS: Final = 15
"""For how long after its question an answer may be used again. With the five seconds of our own caches, a session's end
is noticed, and what is signed is used, within the twenty of the contract."""
DECISION_SECONDS: Final = 30
"""For whatever a decision waits for, each of which has a limit of its own below this one."""

ROUTES: Final = b"x-bridge-routes"
"""The header by which an engine says the routes that its configuration was made for (`Rules.classes_id`)."""
HEADERS: Final = b"x-bridge-headers"
"""Likewise the identity headers, `Rules.written_names`."""
_NAMES_PATH: Final = b"/headers/"
_WARN_SECONDS: Final = 60.0

# Envoy puts the client's target behind it whatever that is.
_PREFIX: Final = re.compile(rb"/auth/(envoy|[a-z]+(?=[/?]|\Z))")
_NO_STORE: Final = (b"cache-control", b"no-store")
_EMPTY: Final = (b"content-length", b"0")

log = structlog.get_logger()


class ForwardAuth:
    """An ASGI application beside the router: an engine without a cache asks it once for each request."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._limits: Limits | None = None
        self._outdated: Rules | None = None
        self._warn_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The scope is that of `bridge.proxy.inside`, which has the target as it was sent."""
        asked, target = time.monotonic(), scope["state"]["target"]
        prefix = _PREFIX.match(target)
        dialect = DIALECTS.get(prefix[1]) if prefix else None
        if prefix is None or dialect is None:
            await Response("Not Found", 404, media_type="text/plain")(scope, receive, send)
            return
        head, decision = await self._decision(dialect, target[prefix.end() :], scope)
        if type(decision) is Forward:
            await self._let_in(dialect, head, decision, asked, send)
        else:
            assert type(decision) is Answer
            await self._turn_away(dialect, head, decision, scope, receive, send)

    async def _decision(self, dialect: Dialect, behind: bytes, scope: Scope) -> tuple[Head, Decision]:
        peer, service = scope["client"], self._front.rules.configuration.service
        if self._limits is None:
            self._limits = Limits.of(service.forwarding)
            _say_what_is_not_heard(service)
        head = Head(b"GET", PATH.encode() + dialect.name.encode(), scope["headers"])
        try:
            self._check_names(dialect, head, behind)
            head = dialect.head(scope["method"].encode("ascii"), behind, scope["headers"])
            check(head, self._limits)
            check_size(head, self._limits)
        except Refusal as malformed:
            return head, Answer(self._front.refuse(head, malformed))
        head.peer, head.secure = peer[0] if peer else "", service.public_url.startswith("https:")
        decision = self._front.decide(head)
        if isinstance(decision, Forward | Answer):
            return head, decision
        try:
            async with asyncio.timeout(DECISION_SECONDS):
                return head, await decision
        except TimeoutError:
            late = Refusal(Code.USER_UNKNOWN, f"no decision within {DECISION_SECONDS} s")
            return head, Answer(self._front.refuse(head, late))

    def _check_names(self, dialect: Dialect, head: Head, behind: bytes) -> None:
        """Raises `Refusal` where the engine would let a client write a header that the bridge writes by now."""
        said = list(head.fields.get(HEADERS, ()))
        if dialect.target is not None and behind.startswith(_NAMES_PATH):
            said.append(behind.removeprefix(_NAMES_PATH))
        if said in ([], [self._front.rules.written_names]):
            return
        if time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + _WARN_SECONDS
            log.warning(
                "engine_outdated",
                engine=dialect.name,
                reason="its configuration was made for other `headers:` than bridge.yaml has, so nothing is let in: "
                f"make it anew with `kombo-bridge generate {dialect.name}`",
            )
        head.rehearsal = True  # said above, and not for each request
        raise Refusal(Code.USER_UNKNOWN, "the proxy goes by other identity headers", retry="/")

    async def _let_in(self, dialect: Dialect, head: Head, forward: Forward, asked: float, send: Send) -> None:
        if forward.witness is not None:
            forward.witness.entered()
        whose = (b"bridge-whose", forward.whose.encode())
        headers = [_NO_STORE, whose, *_lines(forward.identity), _cookie(head), _EMPTY]
        if dialect.hands_over:  # first, as nginx before 1.23 goes by the first of the two headers on caching
            headers.insert(0, (b"x-accel-expires", b"%d" % self._kept_seconds(head, forward, asked)))
        await _respond(send, 200, headers)

    def _kept_seconds(self, head: Head, forward: Forward, asked: float) -> int:
        """What to say, which is one less than is meant: nginx counts whole seconds, and keeps through the last of them.

        What is prefetched is no launch; kept, its answer would hide the launch that follows.

        An engine that lets paths share an answer says by which routes; under others, paths may differ that it takes
        for alike.
        """
        if is_prefetched(head) or not self._goes_by_the_routes(head):
            return 0
        now = time.monotonic()
        left = KEPT_SECONDS - int(now - asked)
        if forward.until is not None:
            left = min(left, int(forward.until - now))
        return max(0, left - 1)

    def _goes_by_the_routes(self, head: Head) -> bool:
        rules = self._front.rules
        said = head.fields.get(ROUTES)
        if said is None or said == [rules.classes_id.encode()]:
            return True
        if self._outdated is not rules:
            self._outdated = rules
            log.warning(
                "answers_not_kept",
                reason="nginx's configuration was made for other routes, so it is asked for each request: make it anew"
                " with `kombo-bridge generate nginx`",
            )
        return False

    async def _turn_away(
        self, dialect: Dialect, head: Head, answer: Answer, scope: Scope, receive: Receive, send: Send
    ) -> None:
        app = answer.app
        if not isinstance(app, Response):  # the application under /_bridge/ itself
            reason = "the proxy asks about what it has to send to the bridge's public listener"
            refused = self._front.refuse(head, Refusal(Code.REQUEST_MALFORMED, reason, status=403, retry="/"))
            assert isinstance(refused, Response)
            app = refused
        if dialect.hands_over:
            await _respond(send, dialect.status(app.status_code), _handed_over(app))
            return

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = self._closed(dialect, head, message)
            await send(message)

        await app(scope, receive, closed)

    def _closed(self, dialect: Dialect, head: Head, start: Message) -> Message:
        """The start of an answer, so that the engine turns the request away and the client gets what it says."""
        real, headers = start["status"], list(start["headers"])
        status = dialect.status(real)
        if status != real:
            headers.append((b"bridge-status", b"%d" % real))
        if dialect.own_origin:
            place = self._front.rules.places.at(head.get(b"host"))
            origin = (place.origin if place else self._front.rules.configuration.service.public_url).encode()
            headers = [(name, origin + value if _is_relative(name, value) else value) for name, value in headers]
        return {**start, "status": status, "headers": headers}


def _say_what_is_not_heard(service: Service) -> None:
    if service.completions or service.completion_header:
        log.warning(
            "completions_not_heard",
            reason="another proxy forwards, so `completions:` and `completion_header` do nothing; "
            "let the platform report them by POST /completions",
        )


def _cookie(head: Head) -> Header:
    lines = (without_own(line.strip(b" \t")) for line in head.fields.get(b"cookie", ()))
    return b"cookie", b"; ".join(filter(None, lines))


@lru_cache(maxsize=512)
def _lines(identity: bytes) -> tuple[Header, ...]:
    """The block of header lines as ASGI wants them. A session's block is the same for a few seconds."""
    lines = (line.partition(b": ") for line in identity.split(b"\r\n") if line)
    return tuple((name.lower(), value) for name, _, value in lines)


def _handed_over(response: Response) -> list[Header]:
    code = response.headers.get("bridge-error")
    headers: list[Header] = [(b"x-accel-expires", b"0"), _NO_STORE, (b"bridge-status", b"%d" % response.status_code)]
    return [*headers, *([(b"bridge-error", code.encode())] if code else []), _EMPTY]


def _is_relative(name: bytes, value: bytes) -> bool:
    return name.lower() == b"location" and value.startswith(b"/")


async def _respond(send: Send, status: int, headers: list[Header]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
