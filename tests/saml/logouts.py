"""What tests of single logout share: an IdP's messages, made and signed by other means than the bridge's own."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from bridge.saml.logout import LogoutAnswer, LogoutMessage, LogoutRequest, read_logout
from bridge.saml.model import Endpoint, IdentityProvider, Outgoing, ServiceProvider
from tests.saml.parts import ENTITY_ID, ISSUER, NOW, key, provider
from tests.saml.parts import PARTY as LOGIN_PARTY

SLO = "https://learn.example.com/_bridge/saml/acme/slo"
PARTY = replace(LOGIN_PARTY, slo=SLO)
REDIRECT = Endpoint("redirect", "https://idp.example.com/slo", "https://idp.example.com/slo/answers")
POST = Endpoint("post", "https://idp.example.com/slo-post")
IDP_SLO = REDIRECT.url
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
RSA_SHA256 = f"{MORE}rsa-sha256"
SKEW = timedelta(seconds=60)

REQUEST = f"""\
<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
 xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_logout-1" Version="2.0" IssueInstant="2026-03-02T09:30:00Z"
 NotOnOrAfter="2026-03-02T09:35:00Z" Destination="{SLO}"><saml:Issuer>{ISSUER}</saml:Issuer><saml:NameID
 Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" NameQualifier="{ISSUER}"
 SPNameQualifier="{ENTITY_ID}">jane.doe</saml:NameID><samlp:SessionIndex>_session-1</samlp:SessionIndex>\
</samlp:LogoutRequest>"""
ANSWER = f"""\
<samlp:LogoutResponse xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
 xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_answer-1" Version="2.0" IssueInstant="2026-03-02T09:30:00Z"
 InResponseTo="_ours" Destination="{SLO}"><saml:Issuer>{ISSUER}</saml:Issuer><samlp:Status><samlp:StatusCode
 Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status></samlp:LogoutResponse>"""
MESSAGES = {"SAMLRequest": REQUEST, "SAMLResponse": ANSWER}


def idp(*keys: str, logout: Sequence[Endpoint] = (REDIRECT,)) -> IdentityProvider:
    return replace(provider(*keys), logout=tuple(logout))


def deflated(data: bytes, wbits: int = -15) -> bytes:
    packer = zlib.compressobj(9, wbits=wbits)
    return packer.compress(data) + packer.flush()


def octets(document: bytes, kind: str = "SAMLRequest", relay_state: str | None = "relay", **parameters: str) -> str:
    """What a query's signature is over."""
    fields = {kind: base64.b64encode(deflated(document)).decode()}
    if relay_state is not None:
        fields["RelayState"] = relay_state
    return urlencode({**fields, "SigAlg": RSA_SHA256, **parameters})


def signed_query(text: str, signer: str = "idp", algorithm: str = RSA_SHA256) -> bytes:
    """The octets with their signature behind them."""
    value = base64.b64encode(signature(text.encode(), signer, algorithm)).decode()
    return f"{text}&{urlencode({'Signature': value})}".encode()


def signature(data: bytes, signer: str, algorithm: str) -> bytes:
    """By RSA (PKCS #1 v1.5), or by ECDSA in XML Signature's own form."""
    private = _private_key(signer)
    digest = getattr(hashes, algorithm.rpartition("-")[2].upper())()
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, padding.PKCS1v15(), digest)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    size = (private.curve.key_size + 7) // 8
    return b"".join(part.to_bytes(size, "big") for part in decode_dss_signature(private.sign(data, ec.ECDSA(digest))))


@cache
def _private_key(signer: str) -> PrivateKeyTypes:
    return load_pem_private_key(key(signer).private_pem, None)


def query(kind: str = "SAMLRequest", signer: str = "idp", algorithm: str = RSA_SHA256, **changes: Any) -> bytes:
    """A good message in a query, unless `changes` to its octets say otherwise."""
    text = octets(changes.pop("document", MESSAGES[kind].encode()), kind, SigAlg=algorithm, **changes)
    return signed_query(text, signer, algorithm)


def read(
    message: bytes | Mapping[str, str],
    provider: IdentityProvider | None = None,
    party: ServiceProvider = PARTY,
    *,
    now: datetime = NOW,
    clock_skew: timedelta = SKEW,
    accept_sha1: bool = False,
) -> LogoutRequest | LogoutAnswer:
    """What a raw query or a form says to the bridge."""
    found = LogoutMessage.from_query(message) if isinstance(message, bytes) else LogoutMessage.from_form(message)
    return read_logout(found, provider or idp(), party, now=now, clock_skew=clock_skew, accept_sha1=accept_sha1)


def parameters(sent: Outgoing) -> dict[str, str]:
    """What reaches the IdP, by whichever binding."""
    if sent.fields is not None:
        return dict(sent.fields)
    pairs = parse_qsl(urlsplit(sent.url).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def tree(sent: Outgoing) -> etree._Element:
    """The message that reaches the IdP."""
    fields = parameters(sent)
    data = base64.b64decode(fields.get("SAMLRequest") or fields["SAMLResponse"], validate=True)
    return etree.fromstring(data if sent.fields is not None else zlib.decompress(data, wbits=-15))
