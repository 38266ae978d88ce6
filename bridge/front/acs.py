"""The assertion consumer service: from an IdP's POST to a session and the deep link (SAML profiles, 4.1.4)."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import structlog
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import Code, Refusal, SamlRefusal
from bridge.exchange import Head
from bridge.front.cookies import AGAIN, LOGIN, RESUMED, SESSION, TENANT
from bridge.front.desk import Desk
from bridge.front.logins import LIFETIME_SECONDS, Login
from bridge.front.refusals import redirect
from bridge.front.requests import parse_form, read_form
from bridge.identity.resolver import Match, Resolver
from bridge.saml.model import Assertion, Expectation
from bridge.saml.rules import UNSOLICITED
from bridge.saml.verify import verify
from bridge.session.sessions import SignIn
from bridge.settings.model import Tenant
from bridge.store import sessions as rows
from bridge.store.engine import Store, moment_ms

MAX_FORM_BYTES = 400_000
MAX_STRANGERS_BYTES = 64_000
AT_ONCE = 2
AGAIN_SECONDS = 120
REMEMBER_TENANT_SECONDS = 180 * 24 * 3600

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Posted:
    """The form of the HTTP-POST binding (SAML bindings, 3.5)."""

    response: str
    relay_state: str | None


class AssertionConsumer:
    """Answers POSTs to a tenant's ACS."""

    def __init__(self, store: Store, resolver: Resolver, desk: Desk) -> None:
        self._store = store
        self._resolver = resolver
        self._desk = desk
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def consume(self, request: Request, head: Head, tenant: Tenant) -> Response:
        """The way on to the deep link. Raises `Refusal` and `StateError`.

        Without the cookie of a login that this browser began, the response is dropped unread: it may be somebody
        else's (login CSRF). The browser is then sent round once more, in case the cookie was only withheld from a
        cross-site POST.
        """
        expected = any(name.startswith(LOGIN) for name in self._desk.cookies.all(head))
        posted = await _form(request, MAX_FORM_BYTES if expected else MAX_STRANGERS_BYTES)
        token = self._desk.logins.token(posted.relay_state)
        login = self._desk.logins.find(head, tenant, token) if token else None
        if login is None:
            return self._again(tenant, token)
        try:
            assertion = await self._verified(posted.response, tenant, login)
        except SamlRefusal as refusal:
            if refusal.check == UNSOLICITED:  # by an IdP that lost its own session meanwhile, or was gone back to
                return self._again(tenant, token)
            refusal.retry = login.next
            raise
        try:
            if not await self._first_use(tenant, login, assertion):
                return await self._used_before(head, tenant, login)
            match = await self._resolver.resolve(assertion, tenant)
            return await self._sign_in(head, tenant, login, assertion, match)
        except Refusal as refusal:
            refusal.retry = login.next
            raise

    def _again(self, tenant: Tenant, token: str | None) -> Response:
        """Start over by way of a request on our own site, which gets the cookies that this one was sent without."""
        resume = quote(token, safe="") if token else ""
        marker = self._desk.cookies.write(AGAIN, "1", AGAIN_SECONDS)
        log.info("login_restarted", tenant=tenant.slug, asked_for=token is not None)
        return redirect(f"{login_path(tenant)}?resume={resume}", headers=[marker])

    async def _verified(self, response: str, tenant: Tenant, login: Login) -> Assertion:
        expectation = Expectation(
            provider=tenant.provider,
            party=tenant.party,
            request_id=login.request_id,
            signed=tenant.saml.signed,
            clock_skew=tenant.saml.clock_skew,
        )
        async with self._turns:
            return await asyncio.to_thread(verify, response, expectation, now=datetime.now(UTC))

    async def _first_use(self, tenant: Tenant, login: Login, assertion: Assertion) -> bool:
        """Mark the request and the assertion as used; False where the request was answered before.

        An assertion that comes back under another request is a replay: raises `SamlRefusal`. Raises `StateError`.
        """
        request_mark = _digest(tenant.slug, login.request_id)
        assertion_mark = _digest(assertion.issuer, assertion.id)
        request_end = datetime.now(UTC) + timedelta(seconds=LIFETIME_SECONDS)

        def work(connection: Connection) -> tuple[bool, bool]:
            return (
                rows.use_once(connection, "request", request_mark, moment_ms(request_end)),
                rows.use_once(connection, "assertion", assertion_mark, moment_ms(assertion.expires)),
            )

        new_request, new_assertion = await self._store.write(work)
        if new_request and not new_assertion:
            raise SamlRefusal(Code.SAML_REJECTED, "replay", "the assertion has been used before")
        return new_request

    async def _used_before(self, head: Head, tenant: Tenant, login: Login) -> Response:
        """A reload or the back button: on to the page if its session lives, otherwise an offer to start again.

        A browser withholds the session's cookie from a cross-site POST, so there it is looked for one request later.
        """
        if self._desk.session_cookie(head) is None and head.get(b"sec-fetch-site") == b"cross-site":
            return redirect(f"{login_path(tenant)}?used={quote(login.token, safe='')}")
        return await self.used(head, tenant, login)

    async def used(self, head: Head, tenant: Tenant, login: Login | None) -> Response:
        """Where a login leads that has been used already.

        Raises `Refusal` (`login_expired`) where its session is gone, and `StateError`.
        """
        entry = await self._desk.session(head)
        if login and entry and entry.tenant.slug == tenant.slug:
            return redirect(login.next)
        retry = login.next if login else None
        raise Refusal(Code.LOGIN_EXPIRED, "the answer to this login has already been used", retry=retry)

    async def _sign_in(self, head: Head, tenant: Tenant, login: Login, assertion: Assertion, match: Match) -> Response:
        if former := self._desk.session_cookie(head):
            await self._desk.sessions.end(former)
        if login.over:
            await self._desk.sessions.end_named(login.over)
        limit = assertion.session_not_on_or_after
        cookie = await self._desk.sessions.open(
            SignIn(
                tenant=tenant,
                user_id=match.person.id if match.person else None,
                subject=match.subject,
                tier=match.tier,
                auth_time=int(assertion.authn_instant.timestamp()),
                ends_at=moment_ms(limit) if limit else None,
            )
        )
        log.info("signed_in", tenant=tenant.slug, match=match.tier, user=match.person and match.person.id)
        lifetime = int(tenant.session.lifetime.total_seconds())
        cookies = [
            self._desk.cookies.write(SESSION, cookie, lifetime),
            self._desk.cookies.write(TENANT, tenant.slug, REMEMBER_TENANT_SECONDS),
            self._desk.logins.keep_used(login),
            self._desk.cookies.drop(AGAIN),
            self._desk.cookies.drop(RESUMED),
        ]
        return redirect(login.next, headers=cookies)


def login_path(tenant: Tenant) -> str:
    return f"/_bridge/saml/{tenant.slug}/login"


async def _form(request: Request, limit: int) -> Posted:
    """Exactly one SAMLResponse and at most one RelayState. Raises `Refusal` (`saml_malformed`)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refusal(Code.SAML_MALFORMED, "the body is not a form; the IdP must use the HTTP-POST binding")
    pairs = parse_form(await read_form(request, limit, Code.SAML_MALFORMED), Code.SAML_MALFORMED)
    responses = [value for name, value in pairs if name == "SAMLResponse"]
    states = [value for name, value in pairs if name == "RelayState"]
    if len(responses) != 1 or len(states) > 1:
        raise Refusal(
            Code.SAML_MALFORMED, f"the form has {len(responses)} SAMLResponse and {len(states)} RelayState fields"
        )
    return Posted(responses[0], states[0] if states else None)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
