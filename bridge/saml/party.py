"""The bridge's own metadata towards one tenant (SAML metadata 2.4.4)."""

from __future__ import annotations

from onelogin.saml2.metadata import OneLogin_Saml2_Metadata

from bridge.saml.model import ServiceProvider
from bridge.saml.request import party_settings


def sp_metadata(party: ServiceProvider) -> bytes:
    """What the tenant's IdP is configured from: one ACS, signed assertions wanted.

    It names no end of validity: nothing in it changes by itself, and an IdP that stops trusting it would lock learners
    out.
    """
    text: str = OneLogin_Saml2_Metadata.builder(party_settings(party), wsign=True, valid_until="", cache_duration="")
    return text.encode()
