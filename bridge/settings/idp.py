"""A tenant's IdP: its metadata from a file, or as it was fetched from a URL, read to what can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bridge.errors import MetadataError
from bridge.saml.metadata import MAX_BYTES, Metadata, read_idp_metadata, read_signing_certificate
from bridge.saml.model import ServiceProvider
from bridge.saml.request import authn_request
from bridge.settings.files import UnusableFileError, Watched, read_bytes
from bridge.settings.model import MetadataUrl, Saml

MAX_CERTIFICATE_FILE = 64 * 1024


class Known(NamedTuple):
    """What is known of a URL: the document in force, None before the first; why the last fetch failed, if it did."""

    document: bytes | None
    failed: str | None = None


Documents = Callable[[str, str], Known | None]
"""By tenant and URL; None where nobody has tried to fetch it yet. Called in a thread, and may block there."""


def nothing_fetched(_slug: str, _url: str) -> None:
    """The documents of whoever has none."""
    return


class IdpError(ValueError):
    """What is wrong with one of a tenant's `saml` settings. `awaited`: nothing is, the metadata has yet to come."""

    def __init__(self, setting: str, message: str, *, awaited: bool = False) -> None:
        super().__init__(message)
        self.setting = setting
        self.awaited = awaited


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A file that the operator keeps; the rest is as with `MetadataUrl`."""

    path: Path
    certificate: str | None
    party: ServiceProvider


def source_of(saml: Saml, slug: str, party: ServiceProvider, files: Watched) -> MetadataUrl | MetadataFile:
    """Where the tenant's metadata comes from; raises `IdpError`. `files` takes up every file that matters."""
    certificate = None
    if saml.metadata_certificate:
        files.add(saml.metadata_certificate)
        try:
            certificate = read_signing_certificate(read_bytes(saml.metadata_certificate, MAX_CERTIFICATE_FILE))
        except (UnusableFileError, MetadataError) as error:
            raise IdpError("metadata_certificate", str(error)) from None
    if isinstance(saml.metadata, str):
        return MetadataUrl(slug, saml.metadata, certificate, party)
    files.add(saml.metadata)
    return MetadataFile(saml.metadata, certificate, party)


def metadata_of(source: MetadataUrl | MetadataFile, documents: Documents) -> Metadata:
    """What can be used of the source; raises `IdpError`. Whether it has expired is not judged here."""
    try:
        if isinstance(source, MetadataFile):
            return usable(read_bytes(source.path, MAX_BYTES), source)
        known = documents(source.slug, source.url)
        if known and known.document is not None:
            return usable(known.document, source)
    except (UnusableFileError, MetadataError) as error:
        raise IdpError("metadata", str(error)) from None
    if known and known.failed:
        raise IdpError("metadata", f"{source.url} could not be fetched yet: {known.failed}")
    message = f"{source.url} is yet to be fetched, which `kombo-bridge serve` does; until then nobody can log in"
    raise IdpError("metadata", message, awaited=True)


def usable(data: bytes, source: MetadataUrl | MetadataFile) -> Metadata:
    """The document of a source, read; raises `MetadataError` also where no login could begin with it."""
    metadata = read_idp_metadata(data, certificate=source.certificate)
    authn_request(metadata.provider, source.party, "")  # now rather than when the first learner comes
    return metadata


def has_expired(valid_until: datetime | None, now: datetime) -> bool:
    """Whether metadata may no longer be believed (SAML metadata 2.3.1).

    What is in force already is no exception: whoever took an IdP's key can then use it only for as long as that IdP, or
    its federation, meant to vouch for it, even if they keep the bridge from hearing of anything newer. The price is
    that a tenant stands still when its metadata was not renewed in time; that is what `validUntil` asks for.
    """
    return valid_until is not None and valid_until <= now


def expired_since(valid_until: datetime) -> str:
    """The sentence for it."""
    return f"the IdP's metadata was valid until {valid_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC and not longer"
