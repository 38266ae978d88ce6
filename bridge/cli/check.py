"""`kombo-bridge check`: validates every settings file without starting anything; `--live` asks Kombo and the IdPs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from bridge import logs
from bridge.checkup.snapshot import Snapshot, take
from bridge.cli import DEFAULT_CONFIG, ConfigPath, app, checkup
from bridge.cli.state import look
from bridge.errors import SettingsError, StateError
from bridge.idps.documents import load_settings
from bridge.keys.expiry import endings
from bridge.printable import printable
from bridge.saml.keys import certificate_end
from bridge.settings.files import shown
from bridge.settings.model import Configuration, Gate, IdentityEntry, Tenant
from bridge.settings.notes import without_effect
from bridge.settings.schema import File, rendered
from bridge.store.clocks import Clock
from bridge.store.engine import now_ms
from bridge.store.idps import Kept


@app.command()
def check(
    config: ConfigPath = DEFAULT_CONFIG,
    schema: Annotated[
        File | None, typer.Option(help="Print the JSON Schema of this kind of file, for editors, and stop.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask Kombo and the IdPs too, and look at what became of launches.")
    ] = False,
    tenant: Annotated[str | None, typer.Option(help="With --live: one tenant's slug; otherwise all.")] = None,
    json: Annotated[bool, typer.Option("--json", help="With --live: one JSON object, for scripts.")] = False,
) -> None:
    """Validate bridge.yaml and every tenant file: one line a problem, file:line first.

    Problems go to stderr and make the exit code 1; what each valid tenant will do goes to stdout. With --live, whatever
    shuts learners out, or will within days, is `broken` and makes it 1; what needs `attention` does not. Nothing is
    written, here or at Kombo.
    """
    if schema:
        print(rendered(schema), end="")
        return
    if not live and (json or tenant is not None):
        raise typer.BadParameter("goes with --live", param_hint="--json" if json else "--tenant")
    if live:
        logs.configure(logging.ERROR)  # what is found is told; a log would tell it again
        if not checkup.live(load_settings(config), tenant, json=json):
            raise typer.Exit(1)
        return
    configuration = load_settings(config)
    snapshot, trouble = _look_into(configuration.service.state)
    for slug, each in configuration.tenants.items():
        print(summary(each, snapshot.clocks.get(slug), configuration.valid_until.get(slug)))
    for note in _notes(configuration, snapshot, trouble):
        print(f"note: {note}")
    if problems := configuration.problems:
        raise SettingsError(*problems)


def _look_into(state: str) -> tuple[Snapshot, str | None]:
    """What is known there, and what is in the way where it is there and cannot be read; `check` needs no state."""
    now = now_ms()
    try:
        return look(state, lambda connection: take(connection, now)) or Snapshot(now), None
    except StateError as error:
        return Snapshot(now), str(error)


def _notes(configuration: Configuration, snapshot: Snapshot, trouble: str | None) -> Iterator[str]:
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
        if ":" not in tenant.integration_id:
            yield (
                f"tenant {slug}: `kombo.integration_id` is {printable(tenant.integration_id)}, without the LMS's name"
                " and a colon, as in workday:HWUTwvyx2wLoSUHphiWVrp28: see whether Kombo's dashboard has it so"
            )
    yield from without_effect(configuration)
    yield from _metadata(configuration, list(snapshot.metadata.values()))
    now = snapshot.at
    for ending in endings(configuration, snapshot.keys, snapshot.metadata.values()):
        if ending.tenant not in configuration.broken and ending.threshold(now) is not None:
            yield f"tenant {ending.tenant}: {ending.warning(now)}" if ending.tenant else ending.warning(now)
    if trouble:
        yield f"our own certificates, the IdPs' clocks and fetched metadata are not looked at: {trouble}"


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
