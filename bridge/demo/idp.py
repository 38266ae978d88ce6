"""The demo's identity providers: one for each company, all in one application.

Each is an ordinary IdP for SP-initiated single sign-on (AuthnRequest by HTTP-Redirect, response by HTTP-POST), but for
one thing: whoever comes chooses who to be. Some of them come with a fault, so that refusals can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.demo.looks import page
from bridge.demo.responses import UNSPECIFIED, IdpKey, idp_metadata, read_authn_request, signed_response

Fault = Literal["expired", "foreign_key", "wrong_audience", "lost_request"]
"""`lost_request` loses the RelayState on the way, as happens where a sign-in page stays open over night."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to be. `name_id` and `attributes` are what the assertion says; `outcome` is what a launch will show."""

    name: str
    role: str
    outcome: str
    name_id: str | None = None
    name_id_format: str = UNSPECIFIED
    attributes: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Company:
    """One end-customer's IdP: who can sign in, by the key that stands in URLs."""

    slug: str
    name: str
    sends: str
    people: Mapping[str, Person]


@dataclass(frozen=True)
class Provider:
    """One company's IdP under an origin."""

    company: Company
    origin: str
    key: IdpKey

    @property
    def entity_id(self) -> str:
        return f"{self.origin}/{self.company.slug}/metadata"

    @property
    def metadata(self) -> bytes:
        return idp_metadata(self.entity_id, self.key, f"{self.origin}/{self.company.slug}/sso")

    @property
    def cookie(self) -> str:
        return f"demo-idp-{self.company.slug}"

    def respond(self, person: Person, *, request_id: str, audience: str, acs: str) -> str:
        """The SAMLResponse for a person, base64, with the person's fault if there is one."""
        now = datetime.now(UTC)
        return signed_response(
            self._stranger if person.fault == "foreign_key" else self.key,
            issuer=self.entity_id,
            acs=acs,
            audience=f"{audience}/of-somebody-else" if person.fault == "wrong_audience" else audience,
            in_response_to=request_id,
            name_id=person.name_id,
            name_id_format=person.name_id_format,
            attributes=person.attributes,
            now=now - timedelta(hours=2) if person.fault == "expired" else now,
        )

    @cached_property
    def _stranger(self) -> IdpKey:
        return IdpKey.generate("Somebody else", curve=ec.SECP256R1())


def providers(origin: str, companies: Mapping[str, Company]) -> Mapping[str, Provider]:
    """An IdP with a new key for every company; their metadata goes into the tenant files."""
    return {slug: Provider(company, origin, IdpKey.generate(company.name)) for slug, company in companies.items()}


def identity_provider(providers: Mapping[str, Provider], *, bridge: str, home: str | None = None) -> Starlette:
    """The application. It answers only to service providers on the origin `bridge`; `home` is the start page's address.

    `GET /{company}/as/{person}?then=URL` signs somebody in beforehand and goes on to a page of the bridge.
    """
    endpoints = _Endpoints(providers, bridge, home)
    return Starlette(
        routes=[
            Route("/{company}/sso", endpoints.sign_on),
            Route("/{company}/as/{person}", endpoints.become),
            Route("/{company}/sign-out", endpoints.sign_out),
            Route("/{company}/metadata", endpoints.metadata),
        ],
        exception_handlers={HTTPException: endpoints.refuse},
    )


@dataclass(frozen=True, slots=True)
class _Endpoints:
    providers: Mapping[str, Provider]
    bridge: str
    home: str | None

    async def sign_on(self, request: Request) -> Response:
        provider = self._provider(request)
        query = request.query_params
        try:
            request_id, issuer, acs = read_authn_request(query.get("SAMLRequest", ""))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        if not (self._is_on_bridge(issuer) and self._is_on_bridge(acs)):
            raise HTTPException(403, "This identity provider knows no such service provider.")
        chosen = query.get("as") or request.cookies.get(provider.cookie, "")
        person = provider.company.people.get(chosen)
        if person is None:
            asked = {name: query.get(name, "") for name in ("SAMLRequest", "RelayState")}
            return page("choose.html", company=provider.company, fields=asked)
        fields = {
            "SAMLResponse": provider.respond(person, request_id=request_id, audience=issuer, acs=acs),
            "RelayState": "" if person.fault == "lost_request" else query.get("RelayState", ""),
        }
        response = page("post.html", company=provider.company, person=person, acs=acs, fields=fields)
        return _remember(response, provider, chosen)

    async def become(self, request: Request) -> Response:
        provider = self._provider(request)
        person = request.path_params["person"]
        then = request.query_params.get("then", "")
        if person not in provider.company.people:
            raise HTTPException(404)
        if not self._is_on_bridge(then):
            raise HTTPException(400, "This identity provider leads to the bridge only.")
        return _remember(RedirectResponse(then, 303), provider, person)

    async def sign_out(self, request: Request) -> Response:
        provider = self._provider(request)
        response = page("signed_out.html", company=provider.company, home=self.home)
        response.delete_cookie(provider.cookie)
        return response

    async def metadata(self, request: Request) -> Response:
        return Response(self._provider(request).metadata, media_type="application/samlmetadata+xml")

    async def refuse(self, _: Request, error: Any) -> Response:
        return page("error.html", status=error.status_code, message=error.detail, home=self.home)

    def _provider(self, request: Request) -> Provider:
        try:
            return self.providers[request.path_params["company"]]
        except KeyError:
            raise HTTPException(404) from None

    def _is_on_bridge(self, url: str) -> bool:
        return url.startswith(f"{self.bridge}/") and url.isprintable() and "\\" not in url


def _remember(response: Response, provider: Provider, person: str) -> Response:
    response.set_cookie(provider.cookie, person, httponly=True, samesite="lax")
    return response
