"""The words of SAML that the rest of the bridge uses: the two parties, and what one assertion said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

Signed = Literal["any", "assertion", "response", "both"]
Binding = Literal["redirect", "post"]
Kind = Literal["SAMLRequest", "SAMLResponse"]
"""The parameter in which a message travels (SAML bindings 3.4.4, 3.5.4)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an IdP takes messages of one kind (SAML metadata 2.2.2); `response_url` is for answers, if elsewhere."""

    binding: Binding
    url: str
    response_url: str | None = None

    @property
    def answers(self) -> str:
        """The address for answers."""
        return self.response_url or self.url


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
    logout: tuple[Endpoint, ...] = ()
    wants_signed_requests: bool = False


@dataclass(frozen=True, slots=True)
class ServiceProvider:
    """The bridge towards one tenant: its own entityID and URLs, never derived from a request; `slo` is for logouts.

    `former_acs` is the ACS of an older service provider, which the IdP already trusts; where there is one, logins ask
    for it. A response must be addressed to the one of the two to which it was posted.
    """

    entity_id: str
    acs: str
    slo: str = ""
    former_acs: str | None = None

    @property
    def requested_acs(self) -> str:
        """Where the IdP is asked to answer."""
        return self.former_acs or self.acs


@dataclass(frozen=True, slots=True)
class SpKey:
    """An RSA key of the bridge's as a service provider: signs requests, decrypts assertions.

    The certificate is self-signed: IdPs take it from our metadata as a mere carrier of the public key.
    """

    id: str
    private_pem: bytes = field(repr=False)
    certificate_pem: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way through the browser: a redirect to `url`, or a form of `fields` that is posted to it."""

    url: str
    fields: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request that was made: its id, which the answer must name, and how it is sent."""

    id: str
    send: Outgoing


@dataclass(frozen=True, slots=True)
class NameId:
    """A NameID with what makes it one person's (SAML core 2.2.2): a logout names people by all of it."""

    value: str
    format: str | None = None
    name_qualifier: str | None = None
    sp_name_qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a response must fit. `request_id` is None where no login is under way (IdP-initiated).

    `posted_to` is the one of the party's ACS URLs that received it, `keys` are those that may decrypt it.
    """

    provider: IdentityProvider
    party: ServiceProvider
    request_id: str | None
    signed: Signed = "any"
    clock_skew: timedelta = timedelta(seconds=60)
    keys: tuple[SpKey, ...] = ()
    accept_sha1: bool = False
    posted_to: str | None = None

    @property
    def acs(self) -> str:
        return self.posted_to or self.party.acs


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the assertion; values are trimmed, empty ones are gone.

    `unreadable` says why the values cannot be used for an identity, if so; `values` is empty then.
    """

    name: str
    friendly_name: str | None
    values: tuple[str, ...]
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a verified response said; nothing in it comes from outside the signed bytes.

    `expires` is the end of its validity with the clock skew added: until then its `id` must be remembered as used.
    """

    id: str
    issuer: str
    subject: NameId | None
    attributes: tuple[Attribute, ...]
    issued: datetime
    authn_instant: datetime
    session_index: str | None
    session_not_on_or_after: datetime | None
    expires: datetime
    in_response_to: str | None

    @property
    def name_id(self) -> str | None:
        """The NameID's value."""
        return self.subject.value if self.subject else None
