"""AuthnRequests by HTTP-Redirect (SAML profiles 4.1.4.1, bindings 3.4)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from onelogin.saml2.authn_request import OneLogin_Saml2_Authn_Request
from onelogin.saml2.errors import OneLogin_Saml2_Error
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from bridge.errors import MetadataError
from bridge.saml.model import IdentityProvider, ServiceProvider

MAX_RELAY_STATE = 80


@dataclass(frozen=True, slots=True)
class AuthnRequest:
    """A request that was made: its id, which the response must name, and the URL to which the browser goes."""

    id: str
    url: str


def authn_request(provider: IdentityProvider, party: ServiceProvider, relay_state: str) -> AuthnRequest:
    """Asks the IdP to log somebody in; `relay_state` is at most 80 bytes (bindings 3.4.3), else `ValueError`.

    It asks for as little as possible, so that most IdPs can say yes: no authentication context (an IdP with MFA would
    refuse a password's), any NameID format, and a new persistent identifier may be made. Raises `MetadataError` where
    the IdP cannot be asked by HTTP-Redirect.
    """
    if len(relay_state.encode()) > MAX_RELAY_STATE:
        raise ValueError(f"a RelayState has at most {MAX_RELAY_STATE} bytes")
    if provider.sso_redirect is None:
        raise MetadataError("the IdP's metadata offers no SingleSignOnService by HTTP-Redirect")
    request = _Request(_settings(provider, party))
    query = urlencode({"SAMLRequest": request.get_request(), "RelayState": relay_state})
    return AuthnRequest(request.get_id(), _with_query(provider.sso_redirect, query))


class _Request(OneLogin_Saml2_Authn_Request):  # type: ignore[misc]  # python3-saml has no types
    """python3-saml's request with an id of our own: it must not be guessed, as the response is matched by it."""

    def _generate_request_id(self) -> str:
        return f"_{secrets.token_hex(20)}"


@lru_cache(maxsize=4096)
def _settings(provider: IdentityProvider, party: ServiceProvider) -> OneLogin_Saml2_Settings:
    """One tenant's settings for python3-saml, made once. It writes values into XML as they are, so they are escaped."""
    settings: dict[str, Any] = {
        "strict": True,
        "sp": party_settings(party),
        "idp": {
            "entityId": attribute_text(provider.entity_id),
            "singleSignOnService": {"url": attribute_text(provider.sso_redirect or "")},
        },
        "security": {"requestedAuthnContext": False, "allowSingleLabelDomains": True},
    }
    try:
        return OneLogin_Saml2_Settings(settings)
    except OneLogin_Saml2_Error as error:
        raise MetadataError(f"python3-saml cannot use the addresses in the IdP's metadata or ours: {error}") from None


def party_settings(party: ServiceProvider) -> dict[str, Any]:
    """The bridge as python3-saml describes a service provider."""
    return {
        "entityId": attribute_text(party.entity_id),
        "assertionConsumerService": {
            "url": attribute_text(party.acs),
            "binding": "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
        },
        "NameIDFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
    }


def attribute_text(value: str) -> str:
    """A value as it stands between double quotes, or in an element, of an XML document."""
    return escape(value, {'"': "&quot;"})


def _with_query(url: str, query: str) -> str:
    if "?" not in url:
        return f"{url}?{query}"
    return f"{url}{query}" if url[-1] in "?&" else f"{url}&{query}"
