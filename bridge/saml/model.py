"""The words of SAML that the rest of the bridge uses: the two parties, and what one assertion said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Signed = Literal["any", "assertion", "response", "both"]


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """One tenant's IdP, as its metadata describes it.

    `certificates` are the PEM texts of every certificate that may sign (SAML metadata 2.4.1.1: `use="signing"` or no
    `use`). At least one of the two single-sign-on addresses is set.
    """

    entity_id: str
    certificates: tuple[str, ...]
    sso_redirect: str | None
    sso_post: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceProvider:
    """The bridge towards one tenant: one entityID and one ACS URL each, never derived from a request."""

    entity_id: str
    acs: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a response must fit. `request_id` is None where no login is under way (IdP-initiated)."""

    provider: IdentityProvider
    party: ServiceProvider
    request_id: str | None
    signed: Signed = "any"
    clock_skew: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the assertion; values are trimmed, empty ones are gone."""

    name: str
    friendly_name: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a verified response said; nothing in it comes from outside the signed bytes.

    `expires` is the end of its validity with the clock skew added: until then its `id` must be remembered as used.
    """

    id: str
    issuer: str
    name_id: str | None
    name_id_format: str | None
    attributes: tuple[Attribute, ...]
    authn_instant: datetime
    session_index: str | None
    session_not_on_or_after: datetime | None
    expires: datetime
    in_response_to: str | None
