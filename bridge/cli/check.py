"""`kombo-bridge check`: validates every settings file without starting anything."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer
from cryptography import x509
from pydantic import BaseModel

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.errors import SettingsError
from bridge.settings.files import shown
from bridge.settings.load import load
from bridge.settings.model import Gate, IdentityEntry, Service, Tenant
from bridge.settings.notes import not_yet
from bridge.settings.tenant import TenantFile


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
    configuration = load(config)
    for tenant in configuration.tenants.values():
        print(summary(tenant))
    if not configuration.tenants and not configuration.broken:
        print(f"note: there is no tenant file in {shown(configuration.service.tenants)}: nobody can log in yet")
    for note in not_yet(configuration):
        print(f"note: {note}")
    if configuration.broken:
        raise SettingsError(*configuration.problems)


def summary(tenant: Tenant) -> str:
    """One line: what a tenant's file makes the bridge do."""
    tiers = ", then ".join(map(_tier, tenant.identity))
    return (
        f"{tenant.slug}: {tenant.name}; IdP {tenant.provider.entity_id}; identity by {tiers};"
        f" gate {_gate(tenant.gate)}; IdP certificate until {_certificates_end(tenant)}"
    )


def _tier(entry: IdentityEntry) -> str:
    source = "NameID" if entry.source is None else entry.source
    return {"name_id": "NameID", "attribute": f"attribute {source}", "email": f"email ({source})"}[entry.tier]


def _gate(gate: Gate) -> str:
    other = "library" if gate.default == "assigned" else "assigned"
    return f"{gate.default}, {other} for {' '.join(gate.globs)}" if gate.globs else gate.default


def _certificates_end(tenant: Tenant) -> str:
    """The day on which the last certificate ends, for people to watch; the bridge takes certificates as mere keys."""
    certificates = (x509.load_pem_x509_certificate(pem.encode()) for pem in tenant.provider.certificates)
    return max(certificate.not_valid_after_utc for certificate in certificates).date().isoformat()


def _schema(schema: Schema) -> str:
    model: type[BaseModel] = Service if schema is Schema.SERVICE else TenantFile
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(), indent=2)
