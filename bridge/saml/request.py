"""AuthnRequests by HTTP-Redirect or HTTP-POST (SAML profiles 4.1.4.1, bindings 3.4 and 3.5)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree
from onelogin.saml2.authn_request import OneLogin_Saml2_Authn_Request
from onelogin.saml2.errors import OneLogin_Saml2_Error
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from bridge.errors import MetadataError
from bridge.saml.metadata import HTTP_POST
from bridge.saml.model import IdentityProvider, OutgoingRequest, ServiceProvider, SpKey
from bridge.saml.sending import check_relay_state, new_id, send

UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"


def authn_request(
    provider: IdentityProvider, party: ServiceProvider, relay_state: str, key: SpKey | None = None
) -> OutgoingRequest:
    """Asks the IdP to log somebody in; `relay_state` is at most 80 bytes (bindings 3.4.3), else `ValueError`.

    By HTTP-Redirect where the IdP offers it, else by HTTP-POST; signed if there is a key. It asks for as little as
    possible, so that most IdPs can say yes: no authentication context (an IdP with MFA would refuse a password's), any
    NameID format, and a new persistent identifier may be made. Raises `MetadataError` where the IdP cannot be asked.
    """
    check_relay_state(relay_state)
    request = _Request(_settings(provider, party))
    message = etree.fromstring(request.get_xml().encode())
    if provider.sso_redirect:
        sent = send(message, "SAMLRequest", "redirect", provider.sso_redirect, relay_state, key)
    else:
        sent = send(message, "SAMLRequest", "post", provider.sso_post or "", relay_state, key)
    return OutgoingRequest(request.get_id(), sent)


class _Request(OneLogin_Saml2_Authn_Request):  # type: ignore[misc]  # python3-saml has no types
    """python3-saml's request with an id of our own: it must not be guessed, as the response is matched by it."""

    def _generate_request_id(self) -> str:
        return new_id()


@lru_cache(maxsize=256)
def _settings(provider: IdentityProvider, party: ServiceProvider) -> OneLogin_Saml2_Settings:
    """One tenant's settings for python3-saml, made once. It writes values into XML as they are, so they are escaped."""
    destination = provider.sso_redirect or provider.sso_post
    if not destination:
        raise MetadataError("the IdP's metadata offers no SingleSignOnService by HTTP-Redirect or HTTP-POST")
    settings: dict[str, Any] = {
        "strict": True,
        "sp": {
            "entityId": _escaped(party.entity_id),
            "assertionConsumerService": {"url": _escaped(party.requested_acs), "binding": HTTP_POST},
            "NameIDFormat": UNSPECIFIED,
        },
        "idp": {
            "entityId": _escaped(provider.entity_id),
            "singleSignOnService": {"url": _escaped(destination)},
        },
        "security": {"requestedAuthnContext": False, "allowSingleLabelDomains": True},
    }
    try:
        return OneLogin_Saml2_Settings(settings)
    except OneLogin_Saml2_Error as error:
        raise MetadataError(f"python3-saml cannot use the addresses in the IdP's metadata or ours: {error}") from None


def _escaped(value: str) -> str:
    """A value as it stands between double quotes, or in an element, of an XML document."""
    return escape(value, {'"': "&quot;"})
