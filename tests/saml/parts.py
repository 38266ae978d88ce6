"""What SAML tests share: one IdP with a real key, one service provider, and messages filled in and signed."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import onelogin.saml2
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.demo.encryption import Encryption
from bridge.demo.responses import IdpKey, signed_response
from bridge.saml.keys import new_key
from bridge.saml.model import Expectation, IdentityProvider, ServiceProvider, SpKey
from tests.support.shapes import Places, shapes, signed

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ISSUER = "https://idp.example.com/metadata"
ACS = "https://learn.example.com/_bridge/saml/acme/acs"
ENTITY_ID = "https://learn.example.com/_bridge/saml/acme/metadata"
REQUEST_ID = "_request-1"

PARTY = ServiceProvider(ENTITY_ID, ACS)
SCHEMAS = Path(onelogin.saml2.__file__).parent / "schemas"


@cache
def key(name: str) -> IdpKey:
    """A key by name, made once per run; names that begin with `ec` are on P-256."""
    return IdpKey.generate(name, curve=ec.SECP256R1() if name.startswith("ec") else None)


@cache
def sp_key(name: str) -> SpKey:
    """A key of the bridge's by name, made once per run."""
    return new_key(name, NOW)


def encryption(name: str = "sp", **changes: Any) -> Encryption:
    """How the IdP encrypts for the key of that name."""
    return Encryption(sp_key(name).certificate_pem, **changes)


def provider(*keys: str) -> IdentityProvider:
    certificates = tuple(key(name).certificate_pem for name in keys or ("idp",))
    return IdentityProvider(ISSUER, certificates, "https://idp.example.com/sso")


def expectation(**changes: Any) -> Expectation:
    return replace(Expectation(provider(), PARTY, REQUEST_ID), **changes)


def response(signer: str = "idp", **changes: Any) -> str:
    """A good response to `REQUEST_ID`, unless `changes` say otherwise."""
    arguments: dict[str, Any] = {
        "issuer": ISSUER,
        "acs": ACS,
        "audience": ENTITY_ID,
        "in_response_to": REQUEST_ID,
        "name_id": "jane.doe",
        "attributes": {"mail": "jane.doe@acme.com", "groups": ["staff", "learners"]},
        "now": NOW,
        **changes,
    }
    return signed_response(key(signer), **arguments)


def shape_names() -> list[str]:
    """The IdPs of which there is a shape."""
    return list(shapes())


def shape(name: str, signer: str = "idp") -> str:
    """A response as some IdP writes it (see `tests.support.shapes`), filled in and signed, base64."""
    return base64.b64encode(sign_templates(filled(shapes()[name].read_bytes()), signer)).decode()


def filled(text: bytes) -> bytes:
    """Places such as `{{acs}}` and `{{now+5m}}` filled in."""
    return Places(ISSUER, ACS, ENTITY_ID, REQUEST_ID, NOW).fill(text, key("idp"))


def sign_templates(data: bytes, signer: str = "idp") -> bytes:
    """Fills every signature whose digest is still empty, the innermost first."""
    return signed(data, key(signer))
