"""The snippet that the README gives to platform engineers, run as it stands against a real JWKS URL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.front.application import jwks_response
from bridge.simulator.serving import running
from bridge.stamp.assertion import Signer
from bridge.stamp.identity import Learner
from bridge.stamp.keys import KeyRing, SigningKey

ISSUER, AUDIENCE = "https://learn.example.com", "content-platform"
KEY = SigningKey("kid", generate_private_key(SECP256R1()))
RING = KeyRing((KEY,))
RITA = Learner("acme", "workday:x", "name_id", 1, user_id="u")
README = Path(__file__).parents[2] / "README.md"

Identity = Callable[[str], dict[str, Any]]


@pytest_asyncio.fixture
async def identity() -> AsyncIterator[Identity]:
    """The snippet, pointed at keys that are served."""

    async def keys(request: Request) -> Response:
        return jwks_response(request, RING.jwks)

    [snippet] = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    async with running(Starlette(routes=[Route("/jwks.json", keys)])) as origin:
        scope: dict[str, Any] = {}
        exec(snippet.replace("http://127.0.0.1:8081", origin), scope)

        def call(token: str) -> dict[str, Any]:
            return scope["identity"](token)

        yield call


def token(**changes: Any) -> str:
    """A token of ours with claims or head changed, signed with our key."""
    head = {"kid": "kid", "typ": "kombo-identity+jwt"} | changes.pop("head", {})
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, "sub": "acme:u"} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, KEY.private, algorithm="ES256", headers=head)


def unsigned(algorithm: str, sign: Callable[[bytes], bytes]) -> str:
    parts = [
        {"alg": algorithm, "kid": "kid", "typ": "kombo-identity+jwt"},
        {"iss": ISSUER, "aud": AUDIENCE, "sub": "x"},
    ]
    now = int(time.time())
    parts[1] |= {"iat": now, "exp": now + 60}
    body = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return (body + b"." + base64.urlsafe_b64encode(sign(body)).rstrip(b"=")).decode()


def public_pem() -> bytes:
    return KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


async def in_thread(identity: Identity, presented: str) -> dict[str, Any]:
    import asyncio

    return await asyncio.to_thread(identity, presented)


async def test_a_token_of_the_bridge_is_accepted(identity: Identity) -> None:
    signed = Signer(lambda: RING, issuer=ISSUER, audience=AUDIENCE).sign(RITA, None, int(time.time()))
    assert (await in_thread(identity, signed))["sub"] == "acme:u"
    assert (await in_thread(identity, token()))["sub"] == "acme:u"
    assert await in_thread(identity, token(exp=int(time.time()) - 20)), "30 s of leeway"


@pytest.mark.parametrize(
    "forge",
    [
        lambda: token(aud="another"),
        lambda: token(aud=None),
        lambda: token(iss="https://evil.example"),
        lambda: token(exp=int(time.time()) - 60),
        lambda: token(exp=None),
        lambda: token(iat=int(time.time()) + 600),
        lambda: token(head={"kid": "unknown"}),
        lambda: token(head={"typ": "JWT"}),
        lambda: unsigned("none", lambda body: b""),
        lambda: unsigned("None", lambda body: b""),
        lambda: unsigned("HS256", lambda body: hmac.digest(public_pem(), body, hashlib.sha256)),
        lambda: unsigned("HS256", lambda body: hmac.digest(RING.jwks, body, hashlib.sha256)),
        lambda: unsigned("ES256", lambda body: b"\0" * 64),
        lambda: jwt.encode({"sub": "x"}, generate_private_key(SECP256R1()), "ES256", {"kid": "kid"}),
        lambda: token()[:-4] + "AAAA",
        lambda: "",
        lambda: "x.y.z",
    ],
    ids=[
        *("aud", "no aud", "iss", "expired", "no exp", "iat in the future", "unknown kid", "another type"),
        *("none", "None", "hmac with the public key", "hmac with the jwks", "zero signature", "another key"),
        *("changed signature", "empty", "rubbish"),
    ],
)
async def test_anything_else_is_refused(identity: Identity, forge: Callable[[], str]) -> None:
    with pytest.raises(jwt.PyJWTError):
        await in_thread(identity, forge())
