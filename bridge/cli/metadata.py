"""`kombo-bridge metadata`: the IdPs' metadata by URL. What it changes, running processes follow within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bridge import logs
from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.state import look
from bridge.errors import BridgeError
from bridge.idps.documents import load_settings
from bridge.idps.fetch import Fetcher
from bridge.idps.keeping import Keeping, Outcome, Renewal
from bridge.idps.refresh import CLAIM_MS
from bridge.printable import printable
from bridge.settings.model import Configuration, MetadataUrl
from bridge.store import idps
from bridge.store.engine import Store, now_ms
from bridge.store.idps import Kept, Key
from bridge.store.migrate import migrate

AT_ONCE = 8

metadata = typer.Typer(no_args_is_help=True)
app.add_typer(metadata, name="metadata")


@metadata.callback()
def _group() -> None:
    """IdP metadata that is fetched from URLs: how it stands, fetching it now, and accepting another entityID."""


@metadata.command("list")
def list_(
    config: ConfigPath = DEFAULT_CONFIG,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, for scripts.")] = False,
) -> None:
    """Show every tenant whose metadata has a URL: what is in force, and what came of the last fetch."""
    configuration = load_settings(config)
    kept = _kept(configuration.service.state)
    shown = [_Shown(source, kept.get(Key(source.slug, source.url))) for source in configuration.metadata_urls]
    if json:
        print(jsonlib.dumps([each.fields for each in shown], indent=2))
    elif not shown:
        print("no tenant's `saml.metadata` is a URL")
    else:
        for each in shown:
            print(each.line)


@metadata.command("refresh")
def refresh(
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="One tenant's slug; otherwise all.")] = None,
) -> None:
    """Fetch metadata now, whatever the plan says; exit code 1 where some did not come or is held."""
    configuration = _ready(config)
    sources = configuration.metadata_urls if tenant is None else [_source(configuration, tenant)]
    renewals = asyncio.run(_renew(configuration, sources))
    for source, renewal in zip(sources, renewals, strict=True):
        print(f"{source.slug}: {_said(source.slug, renewal)}")
    if any(renewal.outcome in (Outcome.FAILED, Outcome.HELD) for renewal in renewals):
        raise typer.Exit(1)


@metadata.command("accept")
def accept(
    tenant: Annotated[str, typer.Argument(help="The tenant's slug.")],
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Take over the other entityID that a tenant's metadata names now; the tenant's sessions end.

    The document is fetched once more, and counts only if it still names what `metadata list` showed as held.
    """
    configuration = _ready(config)
    source = _source(configuration, tenant)
    kept = _kept(configuration.service.state).get(Key(source.slug, source.url))
    if kept is None or kept.held is None:
        raise BridgeError(f"no other entityID is held for {tenant}: `kombo-bridge metadata list` shows those that are")
    [renewal] = asyncio.run(_renew(configuration, [source], accept=kept.held))
    if renewal.outcome is not Outcome.CHANGED:
        raise BridgeError(f"{tenant}: {_said(tenant, renewal)}; {kept.held} was to be accepted")
    print(f"{tenant}: {kept.held} instead of {kept.entity_id}")


@dataclass(frozen=True, slots=True)
class _Shown:
    """One URL with its row, where somebody has begun to fetch it."""

    source: MetadataUrl
    kept: Kept | None

    @property
    def fields(self) -> dict[str, str | None]:
        kept = self.kept
        return {
            "tenant": self.source.slug,
            "url": self.source.url,
            "entity_id": kept.entity_id if kept else None,
            "fetched_at": _moment(kept.fetched_at) if kept else None,
            "checked_at": _moment(kept.checked_at) if kept else None,
            "next_at": _moment(kept.next_at) if kept else None,
            "held": kept.held if kept else None,
            "failed": kept.failed if kept else None,
        }

    @property
    def line(self) -> str:
        said = self.fields
        parts = [said["url"] or "", f"IdP {said['entity_id']}" if said["entity_id"] else "never fetched"]
        if said["checked_at"]:
            parts.append(f"up to date at {said['checked_at']}")
        if said["next_at"]:
            parts.append(f"next at {said['next_at']}")
        if said["held"]:
            parts.append(f"HELD: it names {said['held']} now (`kombo-bridge metadata accept {self.source.slug}`)")
        if said["failed"]:
            parts.append(f"FAILED: {said['failed']}")
        return f"{self.source.slug}: " + "; ".join(parts)


def _said(slug: str, renewal: Renewal) -> str:
    match renewal.outcome:
        case Outcome.UNCHANGED:
            return f"up to date, IdP {renewal.detail}"
        case Outcome.CHANGED:
            return f"new metadata, IdP {renewal.detail}"
        case Outcome.HELD:
            return f"held: it names {renewal.detail} now (`kombo-bridge metadata accept {slug}`)"
        case Outcome.FAILED:
            return f"failed: {renewal.detail}"


def _moment(milliseconds: int) -> str | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds") if milliseconds else None


def _ready(config: Path) -> Configuration:
    """The settings, over a state that is as this version needs it."""
    logs.configure()
    configuration = load_settings(config)
    migrate(configuration.service.state)
    return configuration


def _source(configuration: Configuration, slug: str) -> MetadataUrl:
    found = [source for source in configuration.metadata_urls if source.slug == slug]
    if not found:
        raise BridgeError(f"there is no tenant {printable(slug)} with a valid file whose `saml.metadata` is a URL")
    return found[-1]


def _kept(state: str) -> dict[Key, Kept]:
    return {kept.key: kept for kept in look(state, idps.rows) or ()}


async def _renew(
    configuration: Configuration, sources: Iterable[MetadataUrl], accept: str | None = None
) -> Sequence[Renewal]:
    """Fetch each now, a few at a time, and write down what came."""
    turns = asyncio.Semaphore(AT_ONCE)
    with (
        contextlib.closing(Store(configuration.service.state)) as store,
        contextlib.closing(Fetcher(configuration.service.metadata_networks)) as fetcher,
    ):
        keeping = Keeping(store, fetcher)

        async def one(source: MetadataUrl) -> Renewal:
            async with turns:
                key = Key(source.slug, source.url)
                await store.write(lambda connection: idps.claim(connection, key, now_ms() + CLAIM_MS))
                return await keeping.renew(source, accept=accept)

        return await asyncio.gather(*map(one, sources))
