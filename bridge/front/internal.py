"""The internal listener: health, readiness, metrics, and the public keys."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.errors import StateError
from bridge.front.application import jwks_response
from bridge.front.front import Front
from bridge.keys.custody import HeldKeys
from bridge.metrics import CONTENT_TYPE, Metrics
from bridge.store.engine import Store


def internal(front: Front, store: Store, keys: HeldKeys, metrics: Metrics) -> Starlette:
    """`/health` says that the process lives, `/ready` that it can serve; `/metrics` is for Prometheus."""

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

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", measured),
            Route("/jwks.json", jwks),
        ],
    )
