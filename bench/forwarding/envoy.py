"""Envoy with jwt_authn: the session is a token signed with ES256, which Envoy verifies for each request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from bench.forwarding.machine import PROXY_CORE, pin
from bench.forwarding.sides import LEARNER, Side, needed
from tests.support.processes import free_port, started

HOW = "the engines of the tests, which `.ci/run` installs, have it (requirements/engines.txt)"
HTTP = "type.googleapis.com/envoy.extensions.filters.http"
NETWORK = "type.googleapis.com/envoy.extensions.filters.network"
CLAIMS = {"X-Kombo-User": "sub", "X-Kombo-Email": "email", "X-Kombo-Name": "name"}
ISSUER, KEY_ID, COOKIE = "bench", "bench", "session"


@contextmanager
def envoy(folder: Path, upstream: str) -> Iterator[Side]:
    """One worker thread."""
    program = needed("envoy", HOW)
    home, port = folder / "envoy", free_port()
    home.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    config = home / "envoy.json"
    config.write_text(json.dumps(configuration(port, urlsplit(upstream).port or 80, public_keys(key))))
    command = [program, "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn"]
    with started(command, home / "log") as running:
        running.wait_for_port(port)
        pin([running.process.pid], PROXY_CORE)
        cookie = f"Cookie: {COOKIE}={token(key)}"
        yield Side("Envoy + jwt_authn", f"http://127.0.0.1:{port}", (running.process.pid,), (cookie,))


def public_keys(key: ec.EllipticCurvePrivateKey) -> str:
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return json.dumps({"keys": [{**public, "kid": KEY_ID, "alg": "ES256"}]})


def token(key: ec.EllipticCurvePrivateKey) -> str:
    name = f"{LEARNER.first_name} {LEARNER.last_name}"
    claims = {"iss": ISSUER, "sub": LEARNER.id, "email": LEARNER.email, "name": name, "exp": int(time.time()) + 86400}
    return jwt.encode(claims, key, "ES256", headers={"kid": KEY_ID})


def configuration(port: int, upstream: int, keys: str) -> dict[str, Any]:
    """What a client says of itself is removed first; then the token is verified and its claims are written."""
    removed = [{"remove": name} for name in CLAIMS]
    provider = {
        "issuer": ISSUER,
        "local_jwks": {"inline_string": keys},
        "from_cookies": [COOKIE],
        "claim_to_headers": [{"header_name": name, "claim_name": claim} for name, claim in CLAIMS.items()],
    }
    rules = [{"match": {"prefix": "/static/"}}, {"match": {"prefix": "/"}, "requires": {"provider_name": "session"}}]
    filters = [
        filter_of("header_mutation", "HeaderMutation", {"mutations": {"request_mutations": removed}}),
        filter_of("jwt_authn", "JwtAuthentication", {"providers": {"session": provider}, "rules": rules}),
        filter_of("router", "Router", {}),
    ]
    route = {"match": {"prefix": "/"}, "route": {"cluster": "platform", "timeout": "60s"}}
    manager = {
        "@type": f"{NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoint = {"endpoint": {"address": address(upstream)}}
    cluster = {
        "name": "platform",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "platform", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listener = {"name": "bench", "address": address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def filter_of(name: str, message: str, settings: dict[str, Any]) -> dict[str, Any]:
    typed = {"@type": f"{HTTP}.{name}.v3.{message}", **settings}
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed}


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
