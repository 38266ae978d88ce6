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

    def provider_of(request: Request) -> Provider:
        try:
            return providers[request.path_params["company"]]
        except KeyError:
            raise HTTPException(404) from None

    def on_bridge(url: str) -> bool:
        return url.startswith(f"{bridge}/") and url.isprintable() and "\\" not in url

    async def sign_on(request: Request) -> Response:
        provider = provider_of(request)
        try:
            request_id, issuer, acs = read_authn_request(request.query_params.get("SAMLRequest", ""))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        if not (on_bridge(issuer) and on_bridge(acs)):
            raise HTTPException(403, "This identity provider knows no such service provider.")
        people = provider.company.people
        chosen = request.query_params.get("as") or request.cookies.get(provider.cookie, "")
        person = people.get(chosen)
        if person is None:
            return choose(provider, request)
        response = page(
            "post.html",
            company=provider.company,
            person=person,
            acs=acs,
            fields={
                "SAMLResponse": provider.respond(person, request_id=request_id, audience=issuer, acs=acs),
                "RelayState": "" if person.fault == "lost_request" else request.query_params.get("RelayState", ""),
            },
        )
        return remember(response, provider, chosen)

    def choose(provider: Provider, request: Request) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("SAMLRequest", "RelayState")}
        return page("choose.html", company=provider.company, fields=asked)

    async def become(request: Request) -> Response:
        provider, person, then = (
            provider_of(request),
            request.path_params["person"],
            request.query_params.get("then", ""),
        )
        if person not in provider.company.people:
            raise HTTPException(404)
        if not on_bridge(then):
            raise HTTPException(400, "This identity provider leads to the bridge only.")
        return remember(RedirectResponse(then, 303), provider, person)

    async def sign_out(request: Request) -> Response:
        provider = provider_of(request)
        response = page("signed_out.html", company=provider.company, home=home)
        response.delete_cookie(provider.cookie)
        return response

    async def metadata(request: Request) -> Response:
        return Response(provider_of(request).metadata, media_type="application/samlmetadata+xml")

    def remember(response: Response, provider: Provider, person: str) -> Response:
        response.set_cookie(provider.cookie, person, httponly=True, samesite="lax")
        return response

    async def refuse(request: Request, error: Any) -> Response:
        return page("error.html", status=error.status_code, message=error.detail, home=home)

    return Starlette(
        routes=[
            Route("/{company}/sso", sign_on),
            Route("/{company}/as/{person}", become),
            Route("/{company}/sign-out", sign_out),
            Route("/{company}/metadata", metadata),
        ],
        exception_handlers={HTTPException: refuse},
    )
