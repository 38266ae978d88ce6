"""The pages and endpoints under `/_bridge/`, as a Starlette application. What they decide is decided elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.errors import Code, Refusal, StateError
from bridge.exchange import Head
from bridge.front.acs import AGAIN_SECONDS, AssertionConsumer, login_path
from bridge.front.cookies import AGAIN, RESUMED, SESSION
from bridge.front.desk import Desk
from bridge.front.front import Front
from bridge.front.refusals import redirect, respond
from bridge.front.requests import from_own_pages, head_of, language, navigates, parse_form, read_form
from bridge.front.targets import next_target
from bridge.pages import ORGANIZATIONS, RefusalLinks
from bridge.saml.party import sp_metadata
from bridge.session.sessions import Entry
from bridge.settings.model import Tenant

MAX_FORM_BYTES = 8_192
JWKS_SECONDS = 300
SAML = "/_bridge/saml/{tenant}"

Handler = Callable[[Request, Head], Awaitable[Response]]


class Application:
    """The handlers, with what they need. `asgi` is the application itself."""

    def __init__(self, front: Front, consumer: AssertionConsumer, desk: Desk, jwks: bytes) -> None:
        self._front = front
        self._consumer = consumer
        self._desk = desk
        self._jwks = jwks
        self.asgi = Starlette(
            routes=[
                self._route(f"{SAML}/metadata", self.metadata, "GET"),
                self._route(f"{SAML}/acs", self.acs, "POST", "GET"),
                self._route(f"{SAML}/login", self.login, "GET", "POST"),
                self._route(ORGANIZATIONS, self.organizations, "GET", "POST"),
                self._route("/_bridge/logout", self.logout, "GET", "POST"),
                self._route("/_bridge/jwks.json", self.jwks, "GET"),
            ]
        )
        self.asgi.router.redirect_slashes = False  # such a redirect is absolute, with the scheme of this side of TLS

    def _route(self, path: str, handler: Handler, *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            head = head_of(request)
            try:
                return await handler(request, head)
            except StateError as error:
                refusal = Refusal(Code.USER_UNKNOWN, str(error))
            except Refusal as caught:
                refusal = caught
            except ClientDisconnect:
                return Response(None, 400)  # which nobody reads
            tenant = self._front.rules.configuration.tenants.get(request.path_params.get("tenant", ""))
            ended = refusal.code is Code.LOGIN_EXPIRED
            links = RefusalLinks(retry=refusal.retry or (login_path(tenant) if ended and tenant else "/"))
            drops = [self._desk.cookies.drop(name) for name in (AGAIN, RESUMED)] if ended else []
            return self._front.refusals.answer(head, refusal, tenant=tenant, links=links, cookies=drops)

        return Route(path, endpoint, methods=list(methods))

    async def metadata(self, request: Request, head: Head) -> Response:
        """The bridge as a service provider, for the tenant's IdP to read."""
        tenant = self._tenant(request)
        return Response(
            sp_metadata(tenant.party),
            media_type="application/samlmetadata+xml",
            headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
        )

    async def acs(self, request: Request, head: Head) -> Response:
        """See `bridge.front.acs`. Somebody who comes to it by address, as bookmarks do, is sent to sign in."""
        tenant = self._tenant(request)
        self._only_at(head, tenant)
        if request.method != "POST":
            return redirect(login_path(tenant))
        return await self._consumer.consume(request, head, tenant)

    async def login(self, request: Request, head: Head) -> Response:
        """Start a login; `resume` begins one again whose answer came without its cookie, `used` finds its session.

        Only a form of our own page, the button of "switch organisation?", replaces another tenant's session unasked. A
        form of another site comes without the session's cookie, so it goes round by a request that has it.
        """
        tenant = self._tenant(request)
        if not navigates(head):
            raise Refusal(Code.LOGIN_REQUIRED, "a login is for a browser's window, and this is not for one")
        fields = await _fields(request)
        if "resume" in fields:
            self._only_at(head, tenant)
            return await self._resume(head, tenant, fields["resume"])
        if "used" in fields:
            return await self._consumer.used(head, tenant, self._desk.logins.find(head, tenant, fields["used"]))
        next = next_target(fields.get("next"))
        origin = self._front.rules.configuration.login_origin(tenant)
        clicked = request.method == "POST"
        if not self._is_at(head, origin) or (clicked and not from_own_pages(head, origin)):
            return redirect(self._front.rules.login_url(tenant, urlencode({"next": next})))
        other = None if clicked else await self._session_elsewhere(head, tenant)
        if other:
            return self._front.ask_to_switch(head, other, tenant, next)
        return self._desk.logins.start(head, tenant, next)

    async def _session_elsewhere(self, head: Head, tenant: Tenant) -> Entry | None:
        """The live session of another tenant."""
        entry = await self._desk.session(head)
        return entry if entry and entry.tenant.slug != tenant.slug else None

    async def _resume(self, head: Head, tenant: Tenant, token: str) -> Response:
        """The second attempt of a login, and the last: whatever is withheld or dropped on the way, nothing goes round.

        A login knows its own attempt; where an IdP loses the RelayState there is no login to know it, so a cookie does.
        """
        cookies = self._desk.cookies.all(head)
        if AGAIN not in cookies:
            raise Refusal(Code.LOGIN_EXPIRED, "the browser keeps no cookies of ours")
        if not token and RESUMED in cookies:
            raise Refusal(Code.LOGIN_EXPIRED, "the IdP answers without our RelayState, twice in a row")
        login = self._desk.logins.find(head, tenant, token) if token else None
        if token and login is None:
            raise Refusal(Code.LOGIN_EXPIRED, "the login took too long, or its cookie is gone")
        if login and (entry := await self._desk.session(head)) and entry.tenant.slug == tenant.slug:
            return redirect(login.next)
        if login and login.attempt > 1:
            raise Refusal(Code.LOGIN_EXPIRED, "the login's cookie did not come back twice in a row", retry=login.next)
        if login is None and (other := await self._session_elsewhere(head, tenant)):
            return self._front.ask_to_switch(head, other, tenant, "/")
        response = self._desk.logins.start(head, tenant, login.next if login else "/", attempt=2)
        written = self._desk.logins.drop(login) if login else self._desk.cookies.write(RESUMED, "1", AGAIN_SECONDS)
        response.headers.append(*written)
        return response

    async def organizations(self, request: Request, head: Head) -> Response:
        """Which organisation? A work email's domain names the tenant; whether an address exists is not said."""
        fields = await _fields(request)
        next = next_target(fields.get("next"))
        email = fields.get("email", "")[:320]
        tenant = self._front.rules.of_email(email) if request.method == "POST" else None
        if tenant:
            return redirect(self._front.rules.login_url(tenant, urlencode({"next": next})))
        failed = request.method == "POST"
        page = self._desk.pages.organizations(language=language(head), next=next, email=email, failed=failed)
        return respond(page, 404 if failed else 200, [("Bridge-Error", Code.TENANT_UNKNOWN)] if failed else [])

    async def logout(self, request: Request, head: Head) -> Response:
        """End the session here; the IdP's own goes on.

        A form of another site comes without the session's cookie, so it goes round by a request that has it.
        """
        if cookie := self._desk.session_cookie(head):
            await self._desk.sessions.end(cookie)
        elif request.method == "POST" and head.get(b"sec-fetch-site") == b"cross-site":
            return redirect("/_bridge/logout")
        page = self._desk.pages.logged_out(language=language(head), sign_in="/")
        return respond(page, headers=[self._desk.cookies.drop(SESSION)])

    async def jwks(self, request: Request, head: Head) -> Response:
        return jwks_response(request, self._jwks)

    def _tenant(self, request: Request) -> Tenant:
        return self._front.rules.tenant(request.path_params["tenant"])

    def _only_at(self, head: Head, tenant: Tenant) -> None:
        if not self._is_at(head, self._front.rules.configuration.login_origin(tenant)):
            raise Refusal(Code.HOST_UNKNOWN, f"the tenant {tenant.slug} signs in on another host")

    def _is_at(self, head: Head, origin: str) -> bool:
        place = self._front.rules.places.at(head.get(b"host"))
        return place is not None and place.origin == origin


def jwks_response(request: Request, jwks: bytes) -> Response:
    """The public keys, with an entity tag that changes only with them."""
    tag = f'"{hashlib.sha256(jwks).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={JWKS_SECONDS}", "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(jwks, media_type="application/jwk-set+json", headers=headers)


async def _fields(request: Request) -> dict[str, str]:
    """Query and form fields, each with one value. Raises `Refusal` (`request_malformed`)."""
    body = await read_form(request, MAX_FORM_BYTES, Code.REQUEST_MALFORMED)
    fields: dict[str, str] = {}
    for source in (request.scope["query_string"], body):
        for name, value in parse_form(source, Code.REQUEST_MALFORMED):
            if fields.setdefault(name, value) != value:
                raise Refusal(Code.REQUEST_MALFORMED, f"the field {name[:32]!r} has two values")
    return fields
