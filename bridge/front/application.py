"""The pages and endpoints under `/_bridge/`, as a Starlette application. What they decide is decided elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bridge.errors import Code, Refusal, StateError
from bridge.exchange import Head
from bridge.front.acs import AssertionConsumer, Door
from bridge.front.cookies import AGAIN, RESUMED, TENANT
from bridge.front.desk import Desk
from bridge.front.front import Front
from bridge.front.login_endpoint import LoginEndpoint
from bridge.front.logins import login_path, organizations_path, signs_requests
from bridge.front.refusals import redirect, respond
from bridge.front.requests import from_own_pages, head_of, is_framed, language, query_and_form
from bridge.front.single_logout import LOGOUT_PATH, SingleLogout
from bridge.front.targets import next_target
from bridge.front.webhooks import PATH as WEBHOOKS_PATH
from bridge.front.webhooks import Webhooks
from bridge.keys.custody import HeldKeys
from bridge.pages import ORGANIZATIONS, RefusalLinks
from bridge.saml.party import sp_metadata
from bridge.settings.model import Tenant
from bridge.stamp.keys import JWKS_SECONDS

SAML = "/_bridge/saml/{tenant}"

Handler = Callable[[Request, Head], Awaitable[Response]]


class Application:
    """The handlers, with what they need. `asgi` is the application itself."""

    def __init__(
        self,
        front: Front,
        consumer: AssertionConsumer,
        login: LoginEndpoint,
        single_logout: SingleLogout,
        webhooks: Webhooks,
        desk: Desk,
        keys: HeldKeys,
    ) -> None:
        self._front = front
        self._consumer = consumer
        self._login = login
        self._single_logout = single_logout
        self._webhooks = webhooks
        self._desk = desk
        self._keys = keys
        self._elsewhere = self._route("/{path:path}", self.former_acs, "POST", "GET")
        self.asgi = Starlette(
            routes=[
                self._route(f"{SAML}/metadata", self.metadata, "GET"),
                self._route(f"{SAML}/acs", self.acs, "POST", "GET"),
                self._route(f"{SAML}/slo", self.slo, "GET", "POST"),
                self._route(f"{SAML}/login", self.login, "GET", "POST"),
                self._route(ORGANIZATIONS, self.organizations, "GET", "POST"),
                self._route(LOGOUT_PATH, single_logout.logout, "GET", "POST"),
                self._route("/_bridge/jwks.json", self.jwks, "GET"),
                self._route(WEBHOOKS_PATH, self.webhooks, "POST"),
            ]
        )
        self.asgi.router.default = self._default
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
            retry = refusal.retry or (login_path(tenant) if ended and tenant else "/")
            asked = ORGANIZATIONS if refusal.code is Code.TENANT_UNKNOWN else None
            links = RefusalLinks(retry, organizations=asked)
            cookies = self._desk.cookies.within(head, tenant) if tenant else self._desk.cookies
            drops = [cookies.drop(name) for name in (AGAIN, RESUMED)] if ended else []
            return self._front.refusals.answer(head, refusal, tenant=tenant, links=links, cookies=drops)

        return Route(path, endpoint, methods=list(methods))

    async def _default(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._elsewhere.handle(scope, receive, send)
        else:
            await self.asgi.router.not_found(scope, receive, send)

    async def metadata(self, request: Request, head: Head) -> Response:
        """The bridge as a service provider, for the tenant's IdP to read."""
        tenant = self._tenant(request)
        return Response(
            sp_metadata(tenant.party, self._keys.of(tenant), requests_signed=signs_requests(tenant)),
            media_type="application/samlmetadata+xml",
            headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
        )

    async def acs(self, request: Request, head: Head) -> Response:
        """See `bridge.front.acs`. Somebody who comes to it by address, as bookmarks do, is sent to sign in."""
        tenant = self._tenant(request)
        self._only_at(head, tenant)
        if request.method != "POST":
            return redirect(login_path(tenant))
        door = Door(tenant.party.acs, (tenant,), self._front.rules.keeps_fragments)
        return await self._consumer.consume(request, head, door)

    async def former_acs(self, request: Request, head: Head) -> Response:
        """The ACS of an older service provider, anywhere on our hosts; tenants may share it.

        What was posted there by a browser that says nothing of the tenant comes round by GET, which has its cookies.
        """
        rules = self._front.rules
        place = rules.places.at(head.get(b"host"))
        tenants = rules.former_acs.get((place.origin, head.path), ()) if place else ()
        if not tenants:
            return _not_found()
        if request.method == "POST":
            door = Door(tenants[0].party.requested_acs, tenants, rules.keeps_fragments)
            return await self._consumer.consume(request, head, door)
        fields = await query_and_form(request)
        known = {name: fields[name] for name in ("resume", "next") if name in fields}
        if tenant := self._tenant_at(head, tenants, known.get("resume", "")):
            return redirect(login_path(tenant, **known))
        next = next_target(fields.get("next"), fragment=rules.keeps_fragments)
        return redirect(organizations_path(next))

    def _tenant_at(self, head: Head, tenants: Sequence[Tenant], token: str) -> Tenant | None:
        """Of those that share an ACS: the only one, the one whose login has the token, or the last one here."""
        if len(tenants) == 1:
            return tenants[0]
        login = self._desk.logins.find(head, token)
        slug = login.tenant if login else self._desk.cookies.all(head).get(TENANT)
        return next((tenant for tenant in tenants if tenant.slug == slug), None)

    async def slo(self, request: Request, head: Head) -> Response:
        """See `bridge.front.single_logout`."""
        tenant = self._tenant(request)
        self._only_at(head, tenant)
        return await self._single_logout.slo(request, head, tenant)

    async def login(self, request: Request, head: Head) -> Response:
        """See `bridge.front.login_endpoint`."""
        return await self._login.answer(request, head, self._tenant(request))

    async def organizations(self, request: Request, head: Head) -> Response:
        """Which organisation? A work email's domain names the tenant; whether an address exists is not said.

        Only what was typed here is remembered: another site's form could otherwise send every later login elsewhere.
        """
        fields = await query_and_form(request)
        next = next_target(fields.get("next"), fragment=self._front.rules.keeps_fragments)
        email = fields.get("email", "")[:320]
        tenant = self._front.rules.of_email(email) if request.method == "POST" else None
        if tenant:
            url = self._front.rules.login_url(tenant, next=next, found="organization")
            place = self._front.rules.places.at(head.get(b"host"))
            own = place is not None and from_own_pages(head, place.origin)
            return redirect(url, headers=[self._desk.remember(head, tenant)] if own else [])
        if is_framed(head):
            return self._front.doorway.break_out(head, organizations_path(next))
        failed = request.method == "POST"
        page = self._desk.pages.of().organizations(language=language(head), next=next, email=email, failed=failed)
        return respond(page, 404 if failed else 200, [("Bridge-Error", Code.TENANT_UNKNOWN)] if failed else [])

    async def jwks(self, request: Request, head: Head) -> Response:
        return jwks_response(request, self._keys.ring.jwks)

    async def webhooks(self, request: Request, head: Head) -> Response:
        """See `bridge.front.webhooks`. Kombo is given one URL, so there is one, whatever hosts the tenants have."""
        if not self._webhooks.exist:
            return _not_found()
        place = self._front.rules.places.at(head.get(b"host"))
        if place is None or place.tenant:
            raise Refusal(Code.HOST_UNKNOWN, "Kombo's webhooks come to public_url")
        return await self._webhooks.receive(request, head)

    def _tenant(self, request: Request) -> Tenant:
        return self._front.rules.tenant(request.path_params["tenant"])

    def _only_at(self, head: Head, tenant: Tenant) -> None:
        if not self._front.rules.is_login_place(head, tenant):
            raise Refusal(Code.HOST_UNKNOWN, f"the tenant {tenant.slug} signs in on another host")


def _not_found() -> Response:
    return Response("Not Found", 404, media_type="text/plain")


def jwks_response(request: Request, jwks: bytes) -> Response:
    """The public keys, with an entity tag that changes only with them."""
    tag = f'"{hashlib.sha256(jwks).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={JWKS_SECONDS}", "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(jwks, media_type="application/jwk-set+json", headers=headers)
