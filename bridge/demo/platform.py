"""A content platform that knows nothing of SAML, Kombo or the bridge, and shows what reaches it.

It reads the headers and verifies the signed assertion as any platform would: with PyJWT and the JWKS URL. It uses
nothing of the bridge, so that it can be read as an example. Every page is JSON as well, for `Accept: application/json`
or `?format=json`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bridge.demo import platform_pages as pages
from bridge.demo.platform_pages import Course as Course

STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the signed assertion can be believed, its claims if so, and why not otherwise."""

    verified: bool
    reason: str
    claims: Mapping[str, Any] = field(default_factory=dict)


class Verifier:
    """Verifies `X-Kombo-Assertion` with the keys at `jwks_url`, which are fetched again after five minutes.

    A key id that is not among them asks once more, at most every ten seconds, so that a new key works at once.
    """

    def __init__(self, *, jwks_url: str, issuer: str, audience: str) -> None:
        self.jwks_url, self.issuer, self.audience = jwks_url, issuer, audience
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = float("-inf")

    async def verify(self, token: str) -> Verdict:
        if not token:
            return Verdict(False, "The request carried no signed assertion.")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != "kombo-identity+jwt":
                return Verdict(False, "The token is of another type.")
            claims = jwt.decode(
                token,
                await self._key(header.get("kid")),
                algorithms=["ES256"],
                issuer=self.issuer,
                audience=self.audience,
                leeway=30,
                options={"require": ["iss", "aud", "iat", "exp"]},
            )
        except (jwt.PyJWTError, httpx.HTTPError, ValueError) as error:
            return Verdict(False, f"{type(error).__name__}: {error}")
        return Verdict(True, "Signature, issuer, audience and time were checked with the keys at the JWKS URL.", claims)

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        age = time.monotonic() - self._fetched
        if age > 300 or (key_id not in self._keys and age > 10):
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                answer = (await client.get(self.jwks_url)).raise_for_status()
            self._keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(answer.json()).keys}
            self._fetched = time.monotonic()
        if key_id not in self._keys:
            raise jwt.InvalidKeyError(f"no key {key_id} at {self.jwks_url}")
        return self._keys[key_id]


def content_platform(
    *, jwks_url: str, issuer: str, audience: str, courses: Mapping[str, Course], home: str | None = None
) -> Starlette:
    """The application. `courses` are its own, by origin id; `home` is the address of the start page.

    `/broken` gives two lengths for one answer, which is not HTTP (RFC 9112, 6.3).
    """
    verifier = Verifier(jwks_url=jwks_url, issuer=issuer, audience=audience)

    async def show(request: Request, page: str, course: str | None = None) -> Response:
        token = request.headers.get("x-kombo-assertion", "")
        received = _received(request)
        verdict = await verifier.verify(token)
        if request.query_params.get("format") == "json" or "application/json" in request.headers.get("accept", ""):
            return JSONResponse(
                {
                    "page": page,
                    "course": course,
                    **received,
                    "claims": dict(verdict.claims),
                    "verification": {"verified": verdict.verified, "reason": verdict.reason},
                }
            )
        view = pages.View(page, course, courses, received, verdict.verified, verdict.reason, verdict.claims, home)
        return HTMLResponse(pages.render(view), headers=pages.HEADERS)

    async def catalogue(request: Request) -> Response:
        return await show(request, "catalogue")

    async def my(request: Request) -> Response:
        return await show(request, "my")

    async def course(request: Request) -> Response:
        return await show(request, "course", request.path_params["course"])

    async def finish(request: Request) -> Response:
        return await show(request, "finished", request.path_params["course"])

    async def player(request: Request) -> Response:
        return await show(request, "course", request.query_params.get("id"))

    async def broken(_: Request) -> Response:
        response = Response("Hello!")
        response.raw_headers.append((b"content-length", b"5"))
        return response

    return Starlette(
        routes=[
            Route("/", catalogue),
            Route("/my", my),
            Route("/courses/{course}", course),
            Route("/courses/{course}/finish", finish, methods=["POST"]),
            Route("/player", player),
            Route("/broken", broken),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )


def _received(request: Request) -> dict[str, Any]:
    """The request as it arrived. `identity` has the bridge's headers by name, with their percent-encoding undone."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    target = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    line = f"{request.method} {target}{'?' + query if query else ''} HTTP/{request.scope.get('http_version', '1.1')}"
    identity = {name: unquote(value) for name, value in headers if name.startswith("x-kombo-")}
    return {"request": line, "headers": headers, "identity": identity}
