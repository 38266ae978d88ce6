"""The assertion consumer service: from an IdP's POST to a session and the deep link (SAML profiles, 4.1.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

import structlog
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from bridge.audit import Audit
from bridge.digests import digest_of
from bridge.errors import Code, Refusal, SamlRefusal, StateError
from bridge.exchange import Head
from bridge.front.arrivals import Arrivals
from bridge.front.cookies import AGAIN, LOGIN, PARKED
from bridge.front.desk import Desk
from bridge.front.judge import Judge
from bridge.front.logins import login_path
from bridge.front.refusals import redirect
from bridge.front.requests import posted_fields
from bridge.front.targets import relay_target
from bridge.front.underway import LIFETIME_SECONDS, USED_SECONDS, Login
from bridge.identity.drifts import Drifts
from bridge.identity.resolver import Match, Resolver
from bridge.launches.launches import Launches
from bridge.launches.trail import Trail
from bridge.saml.model import Assertion
from bridge.saml.rules import UNSOLICITED
from bridge.saml.steps import Step
from bridge.session.sessions import SignIn, session_name
from bridge.settings.model import Tenant
from bridge.store import clocks
from bridge.store import sessions as rows
from bridge.store.engine import Store, moment_ms
from bridge.store.launches import Launch

MAX_FORM_BYTES = 400_000
MAX_STRANGERS_BYTES = 64_000
LARGE_AT_ONCE = 100
AGAIN_SECONDS = 120
MARKED = timedelta(seconds=LIFETIME_SECONDS + USED_SECONDS)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Door:
    """An ACS URL of ours, and the tenants whose IdPs post there: one, or those that share a former ACS.

    `keeps_fragments` says whether the fragment of a RelayState that is a link survives.
    """

    url: str
    tenants: tuple[Tenant, ...]
    keeps_fragments: bool = False

    @property
    def only(self) -> Tenant | None:
        return self.tenants[0] if len(self.tenants) == 1 else None


@dataclass(frozen=True, slots=True)
class Posted:
    """The form of the HTTP-POST binding (SAML bindings, 3.5), and when it was there."""

    response: str
    relay_state: str | None
    at: datetime


class AssertionConsumer:
    """Answers POSTs to an ACS."""

    def __init__(
        self,
        store: Store,
        resolver: Resolver,
        desk: Desk,
        judge: Judge,
        arrivals: Arrivals,
        launches: Launches,
        drifts: Drifts,
        audit: Audit,
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._desk = desk
        self._judge = judge
        self._arrivals = arrivals
        self._launches = launches
        self._drifts = drifts
        self._audit = audit
        self._large = 0

    async def consume(self, request: Request, head: Head, door: Door) -> Response:
        """The way on to the deep link. Raises `Refusal` and `StateError`.

        Without the cookie of a login that this browser began, the response is dropped unread: it may be somebody
        else's (login CSRF). The browser is then sent round once more, in case the cookie was only withheld from a
        cross-site POST. Where the tenant lets its IdP begin, a RelayState that is none of ours makes a response one
        that nobody asked for, and it is judged as such.
        """
        begins = door.only is not None and door.only.saml.idp_initiated
        expected = begins or any(name.startswith((LOGIN, PARKED)) for name in self._desk.cookies.all(head))
        posted = await self._posted(request, large=expected)
        token = self._desk.logins.token(posted.relay_state)
        login = self._desk.logins.find(head, token) if token else None
        tenant = _asked(door, login)
        if login and tenant:
            return await self._answered(head, tenant, login, posted, door)
        if door.only and begins and token is None:
            return await self._unasked(head, door.only, posted, door)
        return self._again(head, door, token, posted)

    async def _posted(self, request: Request, *, large: bool) -> Posted:
        """The form. Only so many that may be large are read at once: anybody can begin a login and send slowly."""
        declared = request.headers.get("content-length", "")
        if not large or (declared.isdecimal() and int(declared) <= MAX_STRANGERS_BYTES):
            return await _form(request, MAX_STRANGERS_BYTES)
        if self._large >= LARGE_AT_ONCE:
            raise Refusal(Code.USER_UNKNOWN, "too many large forms are being sent")
        self._large += 1
        try:
            return await _form(request, MAX_FORM_BYTES)
        finally:
            self._large -= 1

    def _again(self, head: Head, door: Door, token: str | None, posted: Posted) -> Response:
        """Start over by way of a request on our own site, which gets the cookies that this one was sent without.

        Raises `Refusal` (`login_expired`) where the login that is answered would be over in any case.
        """
        if token and posted.relay_state and self._desk.logins.took_too_long(posted.relay_state):
            raise Refusal(Code.LOGIN_EXPIRED, "the login took too long")
        next = "/" if token else _link(door, posted)
        fields = {"resume": token or ""} | ({"next": next} if next != "/" else {})
        log.info("login_restarted", tenant=door.only and door.only.slug, asked_for=token is not None)
        if tenant := door.only:
            marker = self._desk.cookies.within(head, tenant).write(AGAIN, "1", AGAIN_SECONDS)
            return redirect(login_path(tenant, **fields), headers=[marker])
        marker = self._desk.cookies.write(AGAIN, "1", AGAIN_SECONDS)
        return redirect(f"{urlsplit(door.url).path}?{urlencode(fields)}", headers=[marker])

    async def _answered(self, head: Head, tenant: Tenant, login: Login, posted: Posted, door: Door) -> Response:
        """The answer to a login of this browser's. Where it would replace another tenant's session, it is not read."""
        if not login.used and self._desk.overtaken(head, login):
            return self._again(head, Door(door.url, (tenant,)), login.token, posted)
        answered = moment_ms(posted.at)
        trail = self._launches.begin(tenant, login.found, login.next, answered, login.started)
        try:
            assertion = await self._judge.judge(posted.response, tenant, login.request_id, door.url, trail.progress)
            first = await self._first_use(tenant, assertion, login, posted, trail)
            sign_in = await self._matched(trail, assertion) if first else None
            if sign_in:
                return await self._sign_in(head, login, sign_in)
        except Refusal as refusal:
            if isinstance(refusal, SamlRefusal) and refusal.check == UNSOLICITED:
                # by an IdP that lost its own session meanwhile, or was gone back to
                return self._again(head, Door(door.url, (tenant,)), login.token, posted)
            self._refused(trail, refusal, login.next)
            raise
        except StateError as error:
            raise self._refused(trail, Refusal(Code.USER_UNKNOWN, str(error)), login.next) from error
        return await self._used_before(head, tenant, login)

    async def _unasked(self, head: Head, tenant: Tenant, posted: Posted, door: Door) -> Response:
        """An answer without a login. One that has been used leads on to the page, if this browser is signed in."""
        next = _link(door, posted)
        trail = self._launches.begin(tenant, "idp", next, moment_ms(posted.at))
        try:
            assertion = await self._judge.judge(posted.response, tenant, None, door.url, trail.progress)
            if not await self._first_use(tenant, assertion, None, posted, trail):
                return redirect(login_path(tenant, used="", next=next))
            return await self._arrivals.wait(head, await self._matched(trail, assertion), next)
        except Refusal as refusal:
            self._refused(trail, refusal, next)
            raise
        except StateError as error:
            raise self._refused(trail, Refusal(Code.USER_UNKNOWN, str(error)), next) from error

    def _refused(self, trail: Trail, refusal: Refusal, retry: str) -> Refusal:
        """The same, of which the launch tells."""
        refusal.retry = retry
        self._launches.refused(trail, refusal)
        return refusal

    async def _matched(self, trail: Trail, assertion: Assertion) -> SignIn:
        """Raises `Refusal` and `StateError`."""
        self._launches.verified(trail, assertion)
        try:
            match = await self._resolver.resolve(assertion, trail.tenant, trail.tried)
        except Refusal:
            self._drifts.unmatched(trail.tenant, trail.tried)
            raise
        self._drifts.matched(trail.tenant, assertion, match)
        launch = self._launches.matched(trail, match.person.id if match.person else None)
        return _sign_in(trail, assertion, match, launch)

    async def _first_use(
        self, tenant: Tenant, assertion: Assertion, login: Login | None, posted: Posted, trail: Trail
    ) -> bool:
        """Mark the request and the assertion as used; False where the request was answered before.

        Without a request it is the assertion that was; an assertion that comes back under another request is a replay:
        raises `SamlRefusal`. Raises `StateError`. What the first answer to a request says of the IdP's clock is noted.
        """
        request_mark = digest_of(tenant.slug, login.request_id) if login else None
        assertion_mark = digest_of(assertion.issuer, assertion.id)
        request_end = moment_ms(datetime.now(UTC) + MARKED)
        offset = moment_ms(assertion.issued) - moment_ms(posted.at)

        def work(connection: Connection) -> tuple[bool, bool]:
            new_request = not request_mark or rows.use_once(connection, "request", request_mark, request_end)
            new_assertion = rows.use_once(connection, "assertion", assertion_mark, moment_ms(assertion.expires))
            if request_mark and new_request and new_assertion:
                clocks.record(connection, tenant.slug, tenant.provider.entity_id, offset)
            return new_request, new_assertion

        trail.progress.at(Step.REPLAY)
        new_request, new_assertion = await self._store.write(work)
        if login and new_request and not new_assertion:
            raise SamlRefusal(Code.SAML_REJECTED, "replay", "the assertion has been used before")
        return new_request and new_assertion

    async def _used_before(self, head: Head, tenant: Tenant, login: Login) -> Response:
        """A reload or the back button: on to the page if its session lives, otherwise an offer to start again.

        A browser withholds the session's cookie from a cross-site POST, so there it is looked for one request later.
        """
        if self._desk.session_cookie(head) is None and head.get(b"sec-fetch-site") == b"cross-site":
            return redirect(login_path(tenant, used=login.token))
        return await self.used(head, tenant, login.next)

    async def used(self, head: Head, tenant: Tenant, next: str | None) -> Response:
        """Where a login leads that has been used already; `next` is None where nobody knows.

        Raises `Refusal` (`login_expired`) where its session is gone, and `StateError`.
        """
        if next and await self._desk.session_of(head, tenant):
            return redirect(next)
        raise Refusal(Code.LOGIN_EXPIRED, "the answer to this login has already been used", retry=next)

    async def _sign_in(self, head: Head, login: Login, sign_in: SignIn) -> Response:
        tenant = sign_in.tenant
        if former := self._desk.session_cookie(head):
            await self._desk.sessions.end(former)
        if login.over:
            await self._desk.sessions.end_named(login.over)
        session = await self._desk.sessions.open(sign_in)
        reference = sign_in.launch.reference if sign_in.launch else None
        self._audit.signed_in(sign_in, tenant, session_name(session), reference, idp_initiated=False)
        kept = self._desk.logins.keep_used(head, tenant, login)
        return redirect(login.next, headers=[*self._desk.admit(head, tenant, session), *kept])


def _asked(door: Door, login: Login | None) -> Tenant | None:
    """The tenant whose IdP the login asked, if it is one of the door's."""
    return next((tenant for tenant in door.tenants if login and tenant.slug == login.tenant), None)


def _link(door: Door, posted: Posted) -> str:
    """Where a RelayState leads that is none of ours."""
    url = urlsplit(door.url)
    return relay_target(posted.relay_state, f"{url.scheme}://{url.netloc}", fragment=door.keeps_fragments)


def _sign_in(trail: Trail, assertion: Assertion, match: Match, launch: Launch) -> SignIn:
    limit = assertion.session_not_on_or_after
    return SignIn(
        tenant=trail.tenant,
        user_id=match.person.id if match.person else None,
        subject=match.subject,
        tier=match.tier,
        auth_time=int(assertion.authn_instant.timestamp()),
        ends_at=moment_ms(limit) if limit else None,
        name=assertion.subject,
        session_index=assertion.session_index,
        issued_at=moment_ms(assertion.issued),
        launch=launch,
        source=trail.source,
    )


async def _form(request: Request, limit: int) -> Posted:
    """Raises `Refusal` (`saml_malformed`)."""
    fields = await posted_fields(request, limit)
    if "SAMLResponse" not in fields:
        raise Refusal(Code.SAML_MALFORMED, "the form has no SAMLResponse")
    return Posted(fields["SAMLResponse"], fields.get("RelayState"), datetime.now(UTC))
