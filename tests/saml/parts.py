"""What SAML tests share: one IdP with a real key, one service provider, and messages filled in and signed."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import onelogin.saml2
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from bridge.demo.responses import IdpKey, fill_signature, signed_response
from bridge.saml.document import DSIG
from bridge.saml.model import Expectation, IdentityProvider, ServiceProvider

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ISSUER = "https://idp.example.com/metadata"
ACS = "https://learn.example.com/_bridge/saml/acme/acs"
ENTITY_ID = "https://learn.example.com/_bridge/saml/acme/metadata"
REQUEST_ID = "_request-1"

PARTY = ServiceProvider(ENTITY_ID, ACS)
SHAPES = Path(__file__).parent / "shapes"
SCHEMAS = Path(onelogin.saml2.__file__).parent / "schemas"


@cache
def key(name: str) -> IdpKey:
    """A key by name, made once per run; names that begin with `ec` are on P-256."""
    return IdpKey.generate(name, curve=ec.SECP256R1() if name.startswith("ec") else None)


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
    return sorted(path.stem for path in SHAPES.glob("*.xml"))


def shape(name: str, signer: str = "idp") -> str:
    """A response as some IdP writes it (`shapes/NAME.xml`), filled in and signed, base64."""
    data = filled((SHAPES / f"{name}.xml").read_bytes())
    return base64.b64encode(sign_templates(data, signer)).decode()


def filled(text: bytes) -> bytes:
    """Places such as `{{acs}}` and `{{now+5m}}` filled in."""
    values = {
        "issuer": ISSUER,
        "acs": ACS,
        "audience": ENTITY_ID,
        "request": REQUEST_ID,
        "certificate": key("idp").certificate_base64,
        "now": _instant(0),
        "now-5m": _instant(-5),
        "now+5m": _instant(5),
        "now+1h": _instant(60),
        "now+8h": _instant(480),
    }
    for name, value in values.items():
        text = text.replace(b"{{" + name.encode() + b"}}", value.encode())
    assert b"{{" not in text
    return text


def sign_templates(data: bytes, signer: str = "idp") -> bytes:
    """Fills every signature whose digest is still empty, the innermost first."""
    head = data[: data.index(b"?>") + 2] if b"?>" in data else b"\xef\xbb\xbf" if data[0] == 0xEF else b""
    root = etree.fromstring(data.removeprefix(head))
    for signature in reversed(list(root.iter(f"{{{DSIG}}}Signature"))):
        fill_signature(signature, key(signer))
    return head + etree.tostring(root, encoding="UTF-8", xml_declaration=False)


def _instant(minutes: int) -> str:
    return (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
