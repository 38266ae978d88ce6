"""A new customer's tenant file, from what the operator chose to a file in the tenants folder.

Nothing is written before everything that was chosen has been held to the rules of the loader.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bridge.errors import BridgeError, MetadataError, Problem, SettingsError
from bridge.onboarding.facts import OTHER, idp_of
from bridge.onboarding.placing import place
from bridge.onboarding.tenant_file import Choices
from bridge.printable import printable
from bridge.saml.metadata import MAX_BYTES, read_idp_metadata
from bridge.settings.document import read_document
from bridge.settings.files import UnusableFileError, Watched, read_bytes, shown
from bridge.settings.idp import IdpError, metadata_of, nothing_fetched, source_of
from bridge.settings.model import Configuration, Service
from bridge.settings.tenant import OwnHosts, TenantFile, party_of, read_tenant

_OPTIONS = {
    "kombo": "integration-id",
    "hosts": "host",
    "email_domains": "email-domain",
    "saml": "metadata",
    "identity": "attribute",
}


class ChoiceError(ValueError):
    """Something chosen that no tenant file may say; `option` is the command's for it."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True, slots=True)
class Given:
    """The IdP's metadata as it was given: what the tenant file calls it, and what has to be put there under that name.

    `idp` is the kind of IdP that it is recognised as.
    """

    written: str
    data: bytes | None = None
    idp: str | None = None


def given(metadata: str | None, slug: str, service: Service) -> Given:
    """What `--metadata` means: an https URL, or a file that is copied beside the tenant's unless it lies there.

    Raises `BridgeError` where a file cannot be used; whether a URL can be is for `form_of` to say.
    """
    usual = f"{slug}-idp.xml"
    if metadata is None:
        return Given(usual)
    if "://" in metadata:
        return Given(metadata)
    path = Path(metadata)
    try:
        data = read_bytes(path, MAX_BYTES)
        idp = idp_of(read_idp_metadata(data).provider.entity_id)
    except (UnusableFileError, MetadataError) as error:
        raise BridgeError(f"{printable(metadata)}: {error}") from None
    lies = path.resolve()  # by its own name: that of a link to it may be another file's there
    if lies.parent == service.tenants.resolve():
        return Given(lies.name, None, idp)
    return Given(usual, data, idp)


def form_of(choices: Choices, service: Service) -> TenantFile:
    """The settings that the file will say, with stand-ins for what it leaves open; raises `ChoiceError`."""
    try:
        form = TenantFile.model_validate(choices.values, context={"folder": service.tenants})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        message = first.get("ctx", {}).get("error", first["msg"])
        raise ChoiceError(_OPTIONS.get(key, key), printable(str(message))) from None
    for _, message in OwnHosts(service.public_url, form.hosts).problems():
        raise ChoiceError("host", message)
    return form


def check_claims(form: TenantFile, configuration: Configuration, environ: Mapping[str, str]) -> None:
    """Raises `BridgeError` where another tenant has one of the hosts or domains: the loader would serve neither.

    One that does not serve yet counts too: it is told addresses of its own, as this one is.
    """
    public_url = configuration.service.public_url
    hosts = {host: tenant.slug for host, tenant in configuration.by_host.items()}
    domains = {domain: tenant.slug for domain, tenant in configuration.by_domain.items()}
    for slug in configuration.broken:
        if claims := _claims_of(slug, configuration.service, environ):
            hosts |= dict.fromkeys(OwnHosts(public_url, claims.hosts).normal, slug)
            domains |= dict.fromkeys(claims.email_domains, slug)
    for host in OwnHosts(public_url, form.hosts).normal:
        if host in hosts:
            raise BridgeError(f"the host {host} is the tenant {hosts[host]}'s: choose another")
    for domain in form.email_domains:
        if domain in domains:
            raise BridgeError(f"the email domain {domain} is the tenant {domains[domain]}'s: leave it out, or there")


def _claims_of(slug: str, service: Service, environ: Mapping[str, str]) -> TenantFile | None:
    """The hosts and domains of a file that is not complete or not valid, as far as they can be read."""
    try:
        values = read_document(service.tenants / f"{slug}.yaml", environ, Watched()).values
        hosts, domains = (values.get(name) or () for name in ("hosts", "email_domains"))
        return form_of(Choices(slug, OTHER, OTHER, "idp.xml", hosts=hosts, email_domains=domains), service)
    except (SettingsError, ChoiceError):
        return None


def write(path: Path, text: str, metadata: Given) -> None:
    """The tenant file, and before it the metadata that it names; both or neither. Raises `BridgeError`."""
    beside = path.parent / metadata.written
    if metadata.data is not None:
        place(beside, metadata.data)
    try:
        place(path, text.encode())
    except BridgeError:
        if metadata.data is not None:
            with suppress(OSError):
                beside.unlink()
        raise


def missing(path: Path, form: TenantFile, service: Service, environ: Mapping[str, str]) -> list[Problem]:
    """All that a file as it stands still lacks; `form` is what it will say once the blanks in it are filled in.

    The loader looks for metadata only once all else is right; whoever has just begun wants to know of it as well.
    """
    try:
        read_tenant(path, service, environ, Watched())
    except SettingsError as error:
        problems = list(error.problems)
    else:
        return []
    if not any(map(_of_metadata, problems)):
        try:
            metadata_of(source_of(form.saml, path.stem, party_of(form, path.stem, service), Watched()), nothing_fetched)
        except IdpError as error:
            problems.append(Problem(shown(path), _metadata_line(path), f"`saml.metadata`: {error}"))
    return problems


def without_metadata(error: SettingsError) -> list[Problem]:
    """What is wrong with a file beside the IdP's metadata, which has no part in what an IdP is told of us."""
    return [problem for problem in error.problems if not _of_metadata(problem)]


def _of_metadata(problem: Problem) -> bool:
    return "`saml.metadata" in problem.message


def _metadata_line(path: Path) -> int:
    lines = path.read_text("utf-8").splitlines()
    return next((number for number, line in enumerate(lines, start=1) if line.startswith("  metadata:")), 1)
