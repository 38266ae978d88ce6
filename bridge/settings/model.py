"""What the two kinds of YAML file say, as frozen typed objects.

`bridge.yaml` becomes a `Service`, each `tenants/*.yaml` a `Tenant`. Everything here is complete: variables are filled
in, relative paths start at the folder of the file that names them, patterns are compiled. The types are also the source
of the JSON Schemas, so each field says what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from bridge.errors import Problem, SettingsError
from bridge.pages.look import PLAIN, Look
from bridge.saml.model import IdentityProvider, ServiceProvider, Signed
from bridge.settings.appearance import Appearance
from bridge.settings.forwarding import Forwarding
from bridge.settings.frozen import Frozen
from bridge.settings.kept import Launches
from bridge.settings.routes import CompletionRule, Route
from bridge.settings.values import (
    Address,
    AtLeastOne,
    ClockSkew,
    Distinct,
    Duration,
    EmailDomain,
    Flag,
    FormerAcs,
    HeaderName,
    Host,
    HttpUrl,
    IdleLife,
    MetadataSource,
    Network,
    Origin,
    Parameter,
    Regex,
    SettingPath,
    SigningSecret,
    StateUrl,
    Token,
    Upstream,
    Word,
    Words,
)

GateKind = Literal["assigned", "library"]
Tier = Literal["name_id", "attribute", "email"]
Claim = Literal["sub", "kombo_user", "tenant", "email"]
OnLaunch = Literal["nothing", "enroll"]
OnMiss = Literal["refuse", "next"]
Unmatched = Literal["deny", "pass"]
InFrames = Literal["new_tab", "inside"]
Share = frozenset[Literal["email", "name"]]


class Kombo(Frozen):
    """How Kombo is reached, and how long its data stays good."""

    api_url: HttpUrl = "https://api.kombo.dev/v1"
    """Kombo's API: `https://api.kombo.dev/v1`, `https://api.us.kombo.dev/v1`, or a simulated one."""
    api_key: Token = Field(examples=['"${KOMBO_API_KEY}"'])
    """The environment's API key."""
    webhook_secret: Token | None = Field(default=None, examples=['"${KOMBO_WEBHOOK_SECRET}"'])
    """The secret by which Kombo signs its webhooks; without it there is no webhook URL."""
    sync_every: Duration = timedelta(minutes=15)
    """How often the local directory is brought up to date."""
    full_sync_every: Duration = timedelta(hours=6)
    """How often everything is read again, which is what notices deletions; in between only changes are read."""
    stale_for: Duration = timedelta(hours=72)
    """How long known people may go on launching while Kombo cannot be asked, or does not get to the LMS itself."""
    miss_window: Duration = timedelta(hours=48)
    """How long after a refusal for want of an enrollment one that appears still counts as delayed; later, and without
    one, the attempt counts as unauthorized."""


class SessionLife(Frozen):
    """How long a session lives, and how long it may lie unused."""

    lifetime: Duration = timedelta(hours=12)
    """How long after the login a session ends."""
    idle: IdleLife | None = timedelta(hours=2)  # None, of a tenant: no such limit
    """How long after its last request a session ends; at least 1m. Requests are noted now and then, so it may end
    sooner: by a third of this, at most by 65s."""


class Service(Frozen):
    """`bridge.yaml`: the service."""

    public_url: Origin = Field(examples=["https://learn.example.com"])
    """The origin that learners' browsers see."""
    listen: Address = Address("127.0.0.1", 8080)
    """What the load balancer or the browser reaches."""
    internal_token: Token | None = Field(default=None, examples=['"${BRIDGE_INTERNAL_TOKEN}"'])
    """The bearer token of the internal listener. Without it there are neither `/completions` nor the admin page."""
    internal_listen: Address = Address("127.0.0.1", 8081)
    """Health, readiness, metrics and the public keys; never published. Loopback unless internal_token is set."""
    upstream: Upstream = Field(examples=["http://127.0.0.1:9000"])
    """The platform: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:/PATH`."""
    state: StateUrl = Field(examples=["sqlite:///var/bridge.db"])
    """`sqlite:///FILE` or `postgresql://…`."""
    secrets: Annotated[tuple[SigningSecret, ...], AtLeastOne] = Field(examples=['["${BRIDGE_SECRET}"]'])
    """The first signs and encrypts, all verify; 32 bytes or more each."""
    audience: Word = "content-platform"
    """`aud` of the signed header."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose `X-Forwarded-*` headers are believed."""
    tenants: SettingPath = Field(examples=["tenants"])
    """The folder of the tenant files."""
    tenant_parameter: Parameter = "tenant"
    """The query parameter of a deep link that names the tenant."""
    keep_fragment: Flag = False
    """Whether the `#fragment` of a deep link survives the login; it costs a page with a script before each login."""
    metadata_networks: tuple[Network, ...] = ()
    """Private networks from which IdP metadata may be fetched by URL; public addresses need no permission."""
    kombo: Kombo = Field(examples=['{api_key: "${KOMBO_API_KEY}"}'])
    """How Kombo is reached; a tenant may override any key."""
    session: SessionLife = SessionLife()
    """How long sessions live; a tenant may override it."""
    pages: Appearance = Appearance()
    """What learners see on the bridge's own pages; a tenant may say anything of it differently."""
    launches: Launches = Launches()
    """What is kept of launches, and how long."""
    audit_log: SettingPath | None = Field(default=None, examples=["/var/log/kombo-bridge/audit.log"])
    """A file of its own for the lines that say who was let in to what; without it they stand in the log."""
    internal_hosts: tuple[Host, ...] = Field(default=(), examples=["[bridge.internal]"])
    """Further names under which the admin page may be asked for, beside those of loopback and internal_listen's own."""
    forwarding: Forwarding = Forwarding()
    """How long forwarding waits, how much it takes, and what it logs."""
    routes: tuple[Route, ...] = Field(default=(), examples=["[{path: /static/**, access: public}]"])
    """Which access each path needs; the first match wins. What none matches needs `learner`, and so does everything
    where there are no routes."""
    headers: Annotated[Mapping[HeaderName, Claim], Distinct] = Field(
        default_factory=dict, examples=["{X-Remote-User: sub}"]
    )
    """Further header names under which an unchanged platform already looks, and what each says."""
    completions: tuple[CompletionRule, ...] = Field(
        default=(), examples=['[{method: POST, path: "/courses/{course}/finish"}]']
    )
    """Platform traffic that means "completed"."""
    completion_header: Flag = False
    """Whether `X-Kombo-Complete` on the platform's answers is believed."""

    @property
    def plain_secrets(self) -> list[str]:
        """The `secrets` as text, for what signs and seals by them."""
        return [secret.get_secret_value() for secret in self.secrets]

    @field_validator("internal_listen")
    @classmethod
    def _stays_inside(cls, address: Address, info: ValidationInfo) -> Address:
        if not address.loopback and info.data.get("internal_token", ...) is None:
            raise ValueError("write a loopback address such as 127.0.0.1:8081, or set internal_token")
        if address.port and address == info.data.get("listen"):
            raise ValueError("write another address than that of listen")
        return address


class Saml(Frozen):
    """One tenant's IdP and what its answers must look like."""

    metadata: MetadataSource = Field(examples=["acme-idp.xml"])
    """The IdP's metadata: a file beside this one, or an https URL that is refreshed."""
    metadata_certificate: SettingPath | None = Field(default=None, examples=["acme-metadata.pem"])
    """A PEM file: the metadata must then be signed by this certificate's key."""
    idp_initiated: Flag = False
    """Whether an answer that nobody asked for may start a session."""
    signed: Signed = "any"
    """Which signature must cover the assertion."""
    sign_requests: Flag = False
    """Whether AuthnRequests are signed. They are in any case where the IdP's metadata wants it."""
    accept_sha1: Flag = False
    """Whether signatures with SHA-1 count, for an IdP that can make no others. Forging one is affordable today."""
    own_keys: Flag = False
    """Whether this tenant's IdP is shown keys of the tenant's own, instead of the deployment's."""
    single_logout: Flag = False
    """Whether logging out here also ends the IdP's own session. What the IdP ends always ends here."""
    clock_skew: ClockSkew = timedelta(seconds=60)
    """How far the IdP's clock may be off; at most 5m."""
    sp_entity_id: Word | None = Field(default=None, examples=["https://old.example.com/sp"])
    """The bridge's entityID for this tenant, where its IdP already trusts an older one."""
    sp_acs: FormerAcs | None = Field(default=None, examples=["https://learn.example.com/Shibboleth.sso/SAML2/POST"])
    """The ACS of that older service provider, on one of our hosts; tenants may share it."""


class IdentityEntry(Frozen):
    """One tier. `source` is the attribute's name; None means the NameID."""

    tier: Tier
    source: str | None = None
    extract: Regex | None = None
    remote_extract: Regex | None = None
    on_miss: OnMiss = "refuse"


class Gate(Frozen):
    """`globs` are origin-id patterns that have the gate which is not the default."""

    default: GateKind
    globs: tuple[str, ...] = ()

    def kind(self, origin_id: str) -> GateKind:
        """The gate of one course; patterns are matched with case."""
        if any(fnmatchcase(origin_id, glob) for glob in self.globs):
            return "library" if self.default == "assigned" else "assigned"
        return self.default


class TenantBase(Frozen):
    """What a tenant's file says word for word."""

    name: Words = Field(examples=["Acme Corporation"])
    """The customer's name, as learners know it."""
    hosts: tuple[Host, ...] = ()
    """The tenant's own origins; the first has its ACS."""
    email_domains: tuple[EmailDomain, ...] = ()
    """The domains of its people's addresses, shared with no other tenant."""
    saml: Saml = Field(examples=["{metadata: acme-idp.xml}"])
    """The tenant's IdP."""
    share: Share = frozenset({"email", "name"})
    """What of the person, beside ids, the platform receives."""
    in_frames: InFrames = "new_tab"
    """What happens to a course opened in a frame of the LMS without a session: `new_tab` offers to open it in a tab of
    its own, `inside` signs in within the frame, by cookies that are partitioned to the LMS's site."""
    pages: Appearance = Appearance()
    """What this customer's learners see on the bridge's own pages, where it differs from the service's `pages`."""


class Tenant(TenantBase):
    """`tenants/{slug}.yaml`, one end-customer. Each of `hosts` stands here as a Host header says it, port included."""

    slug: str
    integration_id: str
    kombo: Kombo
    provider: IdentityProvider
    party: ServiceProvider
    identity: Annotated[tuple[IdentityEntry, ...], AtLeastOne]
    gate: Gate
    on_launch: OnLaunch = "nothing"
    unmatched: Unmatched = "deny"
    session: SessionLife = SessionLife()
    look: Look = PLAIN
    """What `pages` says, with what the files hold that it names."""


@dataclass(frozen=True, slots=True)
class MetadataUrl:
    """Where a tenant's metadata is fetched from, and what must hold for it to be used.

    `certificate` is the PEM text of the one that must have signed it, `party` is what requests to the IdP are made of.
    """

    slug: str
    url: str
    certificate: str | None
    party: ServiceProvider


class SourceError(SettingsError):
    """A tenant file that is good but for its metadata by URL. `awaited`: that has never been fetched."""

    def __init__(self, problem: Problem, source: MetadataUrl, *, awaited: bool) -> None:
        super().__init__(problem)
        self.source = source
        self.awaited = awaited


def is_awaited(error: SettingsError) -> bool:
    """Whether nothing is wrong with a tenant's file: its metadata has yet to come."""
    return isinstance(error, SourceError) and error.awaited


@dataclass(frozen=True)
class Configuration:
    """One generation of settings: what is in force until the next reload.

    A tenant that has never been valid stands in `broken` with what is wrong with it, and so does one whose metadata is
    no longer; the others serve. `outdated` are those whose last good version serves, with what is wrong with their file
    now: nothing is decided by it, so it may change without a new generation. `metadata_urls` are those in use and those
    whose metadata is awaited. `valid_until` is what metadata says of its own end, by tenant; where that is past, the
    tenant stands in `broken`. `look` is the service's own, over which each tenant has its own.
    """

    service: Service
    tenants: Mapping[str, Tenant]
    broken: Mapping[str, SettingsError]
    generation: int = 0
    metadata_urls: tuple[MetadataUrl, ...] = ()
    valid_until: Mapping[str, datetime] = field(default_factory=dict)
    outdated: Mapping[str, SettingsError] = field(default_factory=dict)
    look: Look = PLAIN

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the tenants of `broken`."""
        return tuple(problem for error in self.broken.values() if not is_awaited(error) for problem in error.problems)

    @property
    def awaited(self) -> tuple[SettingsError, ...]:
        """The tenants of `broken` with which nothing is wrong but that their metadata has yet to come."""
        return tuple(filter(is_awaited, self.broken.values()))

    @cached_property
    def by_host(self) -> Mapping[str, Tenant]:
        """Tenants by each of their own hosts, as a Host header would say it."""
        return {host: tenant for tenant in self.tenants.values() for host in tenant.hosts}

    @cached_property
    def by_domain(self) -> Mapping[str, Tenant]:
        """Tenants by email domain."""
        return {domain: tenant for tenant in self.tenants.values() for domain in tenant.email_domains}

    def login_origin(self, tenant: Tenant) -> str:
        """The origin that has the tenant's ACS: its first own host, else the public URL."""
        return self.service.public_url if not tenant.hosts else tenant.party.acs.split("/_bridge/")[0]
