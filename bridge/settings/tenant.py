"""A tenant's file: what may be written in it, and the complete `Tenant` that it makes together with the service."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bridge.errors import Problem, SettingsError
from bridge.hosts import authority, host_and_port, is_loopback
from bridge.pages.look import Look
from bridge.saml.metadata import Metadata
from bridge.saml.model import IdentityProvider, ServiceProvider
from bridge.settings.document import Document, read_document
from bridge.settings.files import Watched, shown
from bridge.settings.frozen import Frozen
from bridge.settings.idp import Documents, IdpError, MetadataFile, metadata_of, nothing_fetched, source_of
from bridge.settings.looks import look_of
from bridge.settings.model import (
    Gate,
    GateKind,
    IdentityEntry,
    Kombo,
    MetadataUrl,
    OnLaunch,
    OnMiss,
    Service,
    SessionLife,
    SourceError,
    Tenant,
    TenantBase,
    Tier,
    Unmatched,
)
from bridge.settings.problems import in_order, validated
from bridge.settings.values import (
    AtLeastOne,
    Duration,
    Flag,
    HttpUrl,
    IdleLife,
    IntegrationId,
    Regex,
    Slug,
    Token,
    Words,
)

T = TypeVar("T", bound=Hashable)


class TenantKombo(Frozen):
    """The tenant's integration, and what it overrides of the service's `kombo`."""

    integration_id: IntegrationId = Field(examples=["workday:HWUTwvyx2wLoSUHphiWVrp28"])
    """Kombo's id of the customer's LMS integration."""
    api_url: HttpUrl | None = Field(default=None, examples=["https://api.us.kombo.dev/v1"])
    """Kombo's API, where this customer is in another region; as the service's unless said."""
    api_key: Token | None = Field(default=None, examples=['"${ACME_KOMBO_API_KEY}"'])
    """The API key, where this customer is in another environment of Kombo's; as the service's unless said."""
    webhook_secret: Token | None = Field(default=None, examples=['"${ACME_KOMBO_WEBHOOK_SECRET}"'])
    """That environment's webhook secret; as the service's unless said."""
    sync_every: Duration | None = None
    """How often this customer's data is brought up to date; as the service's unless said."""
    full_sync_every: Duration | None = Field(default=None, examples=["6h"])
    """How often all of it is read again; as the service's unless said."""
    stale_for: Duration | None = Field(default=None, examples=["72h"])
    """How long known people may go on launching while Kombo cannot be asked; as the service's unless said."""
    miss_window: Duration | None = Field(default=None, examples=["48h"])
    """How long after a refusal an enrollment that appears still counts as delayed; as the service's unless said."""

    def over(self, kombo: Kombo) -> Kombo:
        overridden = self.model_fields_set - {"integration_id"}
        return kombo.model_copy(update={name: getattr(self, name) for name in overridden}) if overridden else kombo


class TenantSession(Frozen):
    """The tenant's session life. With `lifetime` and without `idle` there is no idle limit."""

    lifetime: Duration | None = Field(default=None, examples=["30d"])
    """How long after the login a session ends."""
    idle: IdleLife | None = None
    """How long after its last request a session ends; at least 1m."""

    def over(self, session: SessionLife) -> SessionLife:
        if self.lifetime:
            return SessionLife(lifetime=self.lifetime, idle=self.idle)
        return session.model_copy(update={"idle": self.idle}) if self.idle else session


class IdentityForm(Frozen):
    """One tier: exactly one of `name_id: true`, `attribute: NAME`, `email: NAME` or `email: name_id`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [source]} for source in ("name_id", "attribute", "email")]}
    )

    name_id: Flag | None = None
    """The NameID is the learner's remote id."""
    attribute: Words | None = Field(default=None, examples=["lms_user_id"])
    """The name of the attribute that holds the remote id."""
    email: Words | None = Field(default=None, examples=["mail"])
    """The name of the attribute that holds the address, or `name_id`."""
    extract: Regex | None = None
    """What of the asserted value counts: the group `id`."""
    remote_extract: Regex | None = None
    """What of each of Kombo's remote ids counts, where those are composites: the group `id`."""
    on_miss: OnMiss = "refuse"
    """What an identifier that matches nobody means: a refusal, or the next entry."""

    @field_validator("name_id")
    @classmethod
    def _only_true(cls, name_id: bool | None) -> bool | None:
        if name_id is False:
            raise ValueError("write name_id: true, or remove the entry")
        return name_id

    @field_validator("remote_extract")
    @classmethod
    def _of_a_remote_id(cls, pattern: Regex | None, info: ValidationInfo) -> Regex | None:
        if pattern and info.data.get("email"):
            raise ValueError("remove it: an email entry is matched with addresses, not with remote ids")
        return pattern

    @model_validator(mode="after")
    def _names_one_source(self) -> IdentityForm:
        if [self.name_id, self.attribute, self.email].count(None) != 2:
            raise ValueError(_ONE_SOURCE)
        return self

    def entry(self) -> IdentityEntry:
        email = None if self.email == "name_id" else self.email
        by_remote_id: Tier = "name_id" if self.name_id else "attribute"
        return IdentityEntry(
            tier="email" if self.email else by_remote_id,
            source=self.attribute or email,
            extract=self.extract,
            remote_extract=self.remote_extract,
            on_miss=self.on_miss,
        )


_ONE_SOURCE = "write one of name_id, attribute: NAME, email: NAME or email: name_id; with options, {name_id: true, …}"


def _identity(value: Any) -> Any:
    if isinstance(value, str) and value != "name_id":
        raise ValueError(_ONE_SOURCE)
    return {"name_id": "true"} if isinstance(value, str) else value


class GateForm(Frozen):
    """`assigned`, `library`, or a default and the origin-id globs that have the other gate."""

    default: GateKind = Field(examples=["assigned"])
    """The gate of every course that no glob names."""
    library: tuple[Words, ...] = Field(default=(), examples=['["lib-*"]'])
    """Globs of courses whose gate is library, where the default is assigned."""
    assigned: tuple[Words, ...] = Field(default=(), examples=['["sec-*"]'])
    """Globs of courses whose gate is assigned, where the default is library."""

    @field_validator("library", "assigned")
    @classmethod
    def _of_the_other_gate(cls, globs: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.field_name == info.data.get("default"):
            other = "library" if info.field_name == "assigned" else "assigned"
            raise ValueError(f"write `{other}: […]`, the globs of the gate that is not the default")
        return globs

    @property
    def library_alone(self) -> bool:
        return self.default == "library" and not self.assigned

    def gate(self) -> Gate:
        return Gate(default=self.default, globs=self.library or self.assigned)


def _gate(value: Any) -> Any:
    if isinstance(value, str) and value not in ("assigned", "library"):
        raise ValueError('write assigned, library, or {default: assigned, library: ["lib-*"]}')
    return {"default": value} if isinstance(value, str) else value


IdentityItem = Annotated[
    IdentityForm, BeforeValidator(_identity, json_schema_input_type=Literal["name_id"] | IdentityForm)
]
GateItem = Annotated[GateForm, BeforeValidator(_gate, json_schema_input_type=GateKind | GateForm)]


class TenantFile(TenantBase):
    """`tenants/{slug}.yaml`: one end-customer; the file's stem is its slug."""

    kombo: TenantKombo = Field(examples=["{integration_id: workday:HWUTwvyx2wLoSUHphiWVrp28}"])
    """The customer's integration at Kombo."""
    identity: Annotated[tuple[IdentityItem, ...], AtLeastOne] = Field(examples=["[name_id]"])
    """How a learner is recognised, in order; the first that the assertion carries decides."""
    gate: GateItem = Field(examples=["assigned"])
    """What opens a course: an enrolment (`assigned`) or the login alone (`library`)."""
    on_launch: OnLaunch = "nothing"
    """`enroll` enrols whoever launches; only where the gate is library for every course."""
    unmatched: Unmatched = "deny"
    """`pass` forwards people whom Kombo does not know; only where the gate is library for every course."""
    session: TenantSession = TenantSession()
    """How long this tenant's sessions live; the service's `session` unless said."""

    @field_validator("on_launch", "unmatched")
    @classmethod
    def _needs_library(cls, value: str, info: ValidationInfo) -> str:
        gate: GateForm | None = info.data.get("gate")
        if gate and value in ("enroll", "pass") and not gate.library_alone:
            usual = "nothing" if value == "enroll" else "deny"
            raise ValueError(f"write {usual}, or gate: library without exceptions, which alone goes with {value}")
        return value


@dataclass(frozen=True, slots=True)
class Unshared:
    """Something that no two tenants may share; `kind` is how messages call it."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class TenantReading:
    """A valid tenant file. `lines` says where it claims what no other tenant may have.

    Its metadata, named on the line `metadata_line`, may be believed until `valid_until`; `source` is its URL, if any.
    """

    file: str
    tenant: Tenant
    lines: Mapping[Unshared, int]
    metadata_line: int
    valid_until: datetime | None = None
    source: MetadataUrl | None = None


def read_tenant(
    path: Path, service: Service, environ: Mapping[str, str], files: Watched, documents: Documents = nothing_fetched
) -> TenantReading:
    """Read a tenant file and its metadata; raises `SettingsError`. `files` takes up every file that matters to it.

    Metadata by URL is looked up in `documents`; a `SourceError` says that it is all that is missing.
    """
    files.add(path)
    if path.suffix != ".yaml" or not Slug.fullmatch(path.stem):
        message = "the file's name is no slug: write lower-case letters, digits and -, at most 63, then .yaml"
        raise SettingsError(Problem(shown(path), 1, message))
    document = read_document(path, environ, files)
    form = validated(TenantFile, document)
    hosts = OwnHosts(service.public_url, form.hosts)
    party = party_of(form, path.stem, service)
    problems = [document.problem(("hosts", index), message) for index, message in hosts.problems()]
    if form.saml.sp_acs and not form.saml.sp_acs.startswith(f"{hosts.login_origin}/"):
        message = f"`saml.sp_acs`: write a URL on {hosts.login_origin}, the origin of this tenant's logins"
        problems.append(document.problem(("saml", "sp_acs"), message))
    look, ugly = look_of(form.pages, document, files)
    problems += ugly
    source: MetadataUrl | MetadataFile | None = None
    metadata: Metadata | None = None
    try:
        source = source_of(form.saml, path.stem, party, files)
        metadata = metadata_of(source, documents)
    except IdpError as error:
        problem = document.problem(("saml", error.setting), f"`saml.{error.setting}`: {error}")
        if isinstance(source, MetadataUrl) and not problems:
            raise SourceError(problem, source, awaited=error.awaited) from None
        problems.append(problem)
    if problems or not metadata:
        raise in_order(problems)
    tenant = _complete(form, path.stem, service, hosts, party, metadata.provider, look)
    return TenantReading(
        document.name,
        tenant,
        dict(_claims(tenant, document)),
        document.places[document.nearest(("saml", "metadata"))].line,
        metadata.valid_until,
        source if isinstance(source, MetadataUrl) else None,
    )


def party_of(form: TenantFile, slug: str, service: Service) -> ServiceProvider:
    """Our side of the trust with a tenant's IdP, whatever becomes of the IdP's metadata."""
    login_origin = OwnHosts(service.public_url, form.hosts).login_origin
    return ServiceProvider(
        entity_id=form.saml.sp_entity_id or f"{service.public_url}/_bridge/saml/{slug}/metadata",
        acs=f"{login_origin}/_bridge/saml/{slug}/acs",
        slo=f"{login_origin}/_bridge/saml/{slug}/slo",
        former_acs=form.saml.sp_acs,
    )


def _complete(
    form: TenantFile,
    slug: str,
    service: Service,
    hosts: OwnHosts,
    party: ServiceProvider,
    provider: IdentityProvider,
    look: Look,
) -> Tenant:
    return Tenant(
        slug=slug,
        name=form.name,
        integration_id=form.kombo.integration_id,
        kombo=form.kombo.over(service.kombo),
        hosts=hosts.normal,
        email_domains=form.email_domains,
        saml=form.saml,
        provider=provider,
        party=party,
        identity=_one(tuple(entry.entry() for entry in form.identity)),
        gate=_one(form.gate.gate()),
        on_launch=form.on_launch,
        unmatched=form.unmatched,
        session=form.session.over(service.session),
        share=_one(form.share),
        in_frames=form.in_frames,
        pages=_one(form.pages),
        look=_one(look),
    )


@lru_cache(maxsize=1024)
def _one(part: T) -> T:
    """The one object for all parts that are equal: most tenants of a deployment are much alike."""
    return part


class OwnHosts:
    """A tenant's hosts as Host headers will say them: one without a port has the public URL's."""

    def __init__(self, public_url: str, hosts: tuple[str, ...]) -> None:
        self.public_url = public_url
        self.scheme, _, self.public = public_url.partition("://")
        public_port = host_and_port(self.public)[1]
        self.names = [host_and_port(host) for host in hosts]
        self.normal = tuple(authority(name, port or public_port, self.scheme) for name, port in self.names)

    @property
    def login_origin(self) -> str:
        return f"{self.scheme}://{self.normal[0]}" if self.normal else self.public_url

    def problems(self) -> Iterator[tuple[int, str]]:
        for index, ((name, _), host) in enumerate(zip(self.names, self.normal, strict=True)):
            if host == self.public:
                yield index, f"`hosts`: {host} is public_url's: write a host of the tenant's own, or remove it"
            elif self.scheme == "http" and not is_loopback(name):
                yield (
                    index,
                    f"`hosts`: {host} would be plain http, like public_url: write a loopback name ({name}.localhost)",
                )


def _claims(tenant: Tenant, document: Document) -> Iterator[tuple[Unshared, int]]:
    def line(*path: str | int) -> int:
        return document.places[document.nearest(path)].line

    for index, host in enumerate(tenant.hosts):
        yield Unshared("host", host), line("hosts", index)
    for index, domain in enumerate(tenant.email_domains):
        yield Unshared("email domain", domain), line("email_domains", index)
    if tenant.saml.sp_entity_id:
        pair = f"{tenant.saml.sp_entity_id} at the IdP {tenant.provider.entity_id}"
        yield Unshared("SP entityID", pair), line("saml", "sp_entity_id")
