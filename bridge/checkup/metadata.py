"""An IdP's metadata: how old what is in use is, and what its URL says now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.checkup.findings import Finding, Level
from bridge.errors import MetadataError
from bridge.idps.fetch import Fetcher, FetchError
from bridge.idps.keeping import judged
from bridge.printable import printable
from bridge.saml.model import IdentityProvider
from bridge.settings.model import MetadataUrl
from bridge.store.idps import Kept

DEADLINE_SECONDS = 10.0

Now = Literal["in use", "newer", "another IdP", "fails"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """`age_ms` is since it was last known to be the newest, of a file since it was written; `now` is what the URL says,
    None for a file.
    """

    age_ms: int | None = None
    now: Now | None = None
    findings: Sequence[Finding] = ()


async def of_file(path: Path, now: int) -> Metadata:
    """How long ago the file was written; nothing where it is gone since it was read."""
    try:
        status = await asyncio.to_thread(path.stat)
    except OSError:
        return Metadata()
    return Metadata(age_ms=max(0, now - round(status.st_mtime * 1000)))


async def of_url(
    fetcher: Fetcher, source: MetadataUrl, kept: Kept | None, in_use: IdentityProvider | None, now: int
) -> Metadata:
    """What the URL says now, beside what is in use: None where nobody can log in yet. Nothing of it is kept."""
    age = now - kept.checked_at if kept and kept.checked_at else None
    refresh = f"kombo-bridge metadata refresh --tenant {source.slug}"
    try:
        fetched = await fetcher.fetch(source.url)
        offered = (await asyncio.to_thread(judged, fetched.document or b"", source)).provider
    except (FetchError, MetadataError) as error:
        serves = "nobody can log in before" if in_use is None else "what was fetched before serves on"
        level: Level = "broken" if in_use is None else "attention"
        return Metadata(age, "fails", [Finding(level, f"{_at(source)} cannot be taken now, and {serves}: {error}.")])
    if in_use is None:
        says = f"{_at(source)} is yet to be taken: start `kombo-bridge serve`, or `{refresh}`."
        return Metadata(age, "newer", [Finding("attention", says)])
    if offered.entity_id != in_use.entity_id:
        says = (
            f"{_at(source)} names another IdP now, {printable(offered.entity_id)[:500]}: if the customer moved there,"
            f" `{refresh}`, then `kombo-bridge metadata accept {source.slug}`."
        )
        return Metadata(age, "another IdP", [Finding("broken", says)])
    if offered == in_use:
        return Metadata(age, "in use")
    change = "other certificates" if offered.certificates != in_use.certificates else "other addresses"
    says = f"{_at(source)} has {change} than are in use: `kombo-bridge serve` takes them over, or `{refresh}` now."
    return Metadata(age, "newer", [Finding("attention", says)])


def _at(source: MetadataUrl) -> str:
    return f"The IdP's metadata at {source.url}"
