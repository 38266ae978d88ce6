"""The internal listener: health, readiness, metrics, the public keys, what the platform reports, and forward-auth.

The bearer token guards what writes, and the admin page. Health, metrics and keys stay open to whoever reaches the
listener, by whatever name: what asks them (load balancers, Prometheus, JWT libraries) seldom has a token, and knows us
by a name of its own network; none of them names a person. Forward-auth says no more than the cookies that it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.errors import StateError
from bridge.front import forward_auth
from bridge.front.application import jwks_response
from bridge.front.completion_endpoint import CompletionEndpoint
from bridge.front.front import Front
from bridge.keys.custody import HeldKeys
from bridge.metrics import CONTENT_TYPE, Metrics
from bridge.store.engine import Store


def internal(
    front: Front,
    store: Store,
    keys: HeldKeys,
    metrics: Metrics,
    completions: CompletionEndpoint | None = None,
    admin: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """`/health` says that the process lives, `/ready` that it can serve; `/metrics` is for Prometheus.

    Where no token is set there are neither `completions` nor the routes of `admin`: then there are no such URLs.
    """

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        tenants = len(front.rules.configuration.tenants)
        try:
            await store.ping()
        except StateError as error:
            return JSONResponse({"status": "unavailable", "reason": str(error)}, 503)
        if not tenants:
            return JSONResponse({"status": "unavailable", "reason": "no tenant has a valid file"}, 503)
        return JSONResponse({"status": "ok", "tenants": tenants, "broken": len(front.rules.configuration.broken)})

    async def measured(_: Request) -> Response:
        return Response(await metrics.text(), media_type=CONTENT_TYPE)

    async def jwks(request: Request) -> Response:
        return jwks_response(request, keys.ring.jwks)

    asked = forward_auth.ForwardAuth(front)
    application = Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", measured),
            Route("/jwks.json", jwks),
            *([Route("/completions", completions.answer, methods=["POST"])] if completions else []),
            *admin,
        ],
    )

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        """Forward-auth before the router, which would look at every route for every request of a platform."""
        app = asked if scope["path"].startswith(forward_auth.PATH) else application
        await app(scope, receive, send)

    return dispatch
