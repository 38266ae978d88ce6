"""`kombo-bridge check`: validates every settings file without starting anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import BaseModel
from sqlalchemy import Connection

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.state import look
from bridge.errors import SettingsError, StateError
from bridge.idps.documents import load_settings
from bridge.keys.expiry import endings
from bridge.saml.keys import certificate_end
from bridge.settings.files import shown
from bridge.settings.model import Configuration, Gate, IdentityEntry, Service, Tenant
from bridge.settings.notes import without_effect
from bridge.settings.tenant import TenantFile
from bridge.store import clocks, idps, keys
from bridge.store.clocks import Clock
from bridge.store.idps import Kept
from bridge.store.keys import KeyRow


class Schema(StrEnum):
    SERVICE = "service"
    TENANT = "tenant"


@app.command()
def check(
    config: ConfigPath = DEFAULT_CONFIG,
    schema: Annotated[
        Schema | None, typer.Option(help="Print the JSON Schema of this kind of file, for editors, and stop.")
    ] = None,
) -> None:
    """Validate bridge.yaml and every tenant file: one line a problem, file:line first.

    Problems go to stderr and make the exit code 1; what each valid tenant will do goes to stdout.
    """
    if schema:
        print(_schema(schema))
        return
    configuration = load_settings(config)
    seen = _look_into(configuration.service.state)
    for tenant in configuration.tenants.values():
        print(summary(tenant, seen.clocks.get(tenant.slug), configuration.valid_until.get(tenant.slug)))
    for note in _notes(configuration, seen):
        print(f"note: {note}")
    if problems := configuration.problems:
        raise SettingsError(*problems)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the state has that is worth a word; `trouble` where it is there and cannot be read."""

    clocks: dict[str, Clock] = field(default_factory=dict)
    keys: list[KeyRow] = field(default_factory=list)
    metadata: list[Kept] = field(default_factory=list)
    trouble: str | None = None


def _look_into(state: str) -> _Seen:
    """`check` needs no state."""

    def see(connection: Connection) -> _Seen:
        return _Seen(clocks.all(connection), keys.faces(connection), idps.rows(connection))

    try:
        return look(state, see) or _Seen()
    except StateError as error:
        return _Seen(trouble=str(error))


def _notes(configuration: Configuration, seen: _Seen) -> Iterator[str]:
    yield from map(str, configuration.awaited)
    if not configuration.tenants and not configuration.broken:
        yield f"there is no tenant file in {shown(configuration.service.tenants)}: nobody can log in yet"
    for slug, tenant in configuration.tenants.items():
        if tenant.saml.accept_sha1:
            yield (
                f"tenant {slug}: `saml.accept_sha1`: signatures with SHA-1 are accepted; whoever can afford to forge"
                " one signs in as anybody of this tenant. Ask its IdP for SHA-256, then remove the line"
            )
        if tenant.saml.metadata_certificate and slug not in configuration.valid_until:
            yield (
                f"tenant {slug}: `saml.metadata_certificate`: the signed metadata has no validUntil, so that an older"
                " document, with a key that the IdP has dropped since, could be passed off as the newest. Ask its"
                " administrators for one"
            )
    yield from without_effect(configuration)
    yield from _metadata(configuration, seen.metadata)
    now = datetime.now(UTC)
    for ending in endings(configuration, seen.keys, seen.metadata):
        if ending.tenant not in configuration.broken and ending.threshold(now) is not None:
            yield f"tenant {ending.tenant}: {ending.warning(now)}" if ending.tenant else ending.warning(now)
    if seen.trouble:
        yield f"our own certificates, the IdPs' clocks and fetched metadata are not looked at: {seen.trouble}"


def _metadata(configuration: Configuration, fetched: Iterable[Kept]) -> Iterator[str]:
    """Of the tenants that serve, those whose metadata by URL is not the newest."""
    for kept in fetched:
        tenant = configuration.tenants.get(kept.tenant)
        if tenant is None or tenant.saml.metadata != kept.url:
            continue
        if kept.held:
            yield (
                f"tenant {kept.tenant}: {kept.url} names another IdP now, {kept.held}, and is held: if the customer"
                f" moved there, run `kombo-bridge metadata accept {kept.tenant}`"
            )
        if kept.failed:
            times = "once" if kept.failures == 1 else f"{kept.failures} times in a row"
            yield f"tenant {kept.tenant}: {kept.url} could not be fetched, {times}: {kept.failed}"


def summary(tenant: Tenant, clock: Clock | None = None, valid_until: datetime | None = None) -> str:
    """One line: what a tenant's file makes the bridge do."""
    tiers = ", then ".join(map(_tier, tenant.identity))
    ends = max(map(certificate_end, tenant.provider.certificates)).date()
    measured = clock if clock and clock.provider == tenant.provider.entity_id else None
    return (
        f"{tenant.slug}: {tenant.name}; IdP {tenant.provider.entity_id}; identity by {tiers};"
        f" gate {_gate(tenant.gate)}; IdP certificate until {ends}"
        + (f"; IdP metadata until {valid_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if valid_until else "")
        + (_offset(tenant, measured) if measured else "")
    )


def _offset(tenant: Tenant, clock: Clock) -> str:
    """The IdP's clock beside the skew that is allowed, so that nobody raises the skew blindly."""
    seconds = abs(clock.offset_ms) / 1000
    side = "ahead of" if clock.offset_ms > 0 else "behind"
    when = datetime.fromtimestamp(clock.measured_at / 1000, UTC).date()
    skew = int(tenant.saml.clock_skew.total_seconds())
    return f"; IdP clock {seconds:.1f} s {side} ours on {when}, clock_skew {skew} s"


def _tier(entry: IdentityEntry) -> str:
    source = "NameID" if entry.source is None else entry.source
    return {"name_id": "NameID", "attribute": f"attribute {source}", "email": f"email ({source})"}[entry.tier]


def _gate(gate: Gate) -> str:
    other = "library" if gate.default == "assigned" else "assigned"
    return f"{gate.default}, {other} for {' '.join(gate.globs)}" if gate.globs else gate.default


def _schema(schema: Schema) -> str:
    model: type[BaseModel] = Service if schema is Schema.SERVICE else TenantFile
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(), indent=2)
