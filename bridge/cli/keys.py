"""`kombo-bridge keys`: the header-signing and SAML keys. What it changes, running processes follow within seconds."""

from __future__ import annotations

import json as jsonlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer
from sqlalchemy import Connection

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.state import change, look
from bridge.cli.tables import print_table
from bridge.cli.tenants import named
from bridge.errors import BridgeError
from bridge.idps.documents import load_settings
from bridge.keys.custody import make
from bridge.keys.resealing import reseal, retire_lost
from bridge.keys.rollover import (
    AT_ONCE_MS,
    HEADERS,
    NEVER,
    READY_MS,
    SAML,
    SPENT_MS,
    State,
    Step,
    check_retirement,
    clock,
    name_of,
    next_step,
    ready_at,
    signer,
    state,
)
from bridge.moments import moment
from bridge.saml.keys import certificate_end
from bridge.settings.model import Configuration, SourceError
from bridge.store import keys as rows
from bridge.store.engine import now_ms
from bridge.store.keys import KeyRow, Kind, MadeKey
from bridge.store.sealing import Seal

SHORTEST_ID = 6
"""Of a beginning of an id: what is deleted for good is not to be hit by a slip of the finger."""

keys = typer.Typer(no_args_is_help=True)
app.add_typer(keys, name="keys")


class Use(StrEnum):
    HEADERS = "headers"
    SAML = "saml"


@keys.callback()
def _group() -> None:
    """The keys that sign headers and SAML: how they stand, and their rollover."""


@keys.command("list")
def list_(
    config: ConfigPath = DEFAULT_CONFIG,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, for scripts.")] = False,
) -> None:
    """Show every key in the state, the oldest of each kind first; never a private half."""
    configuration = load_settings(config)
    shown = list(_shown(configuration))
    if json:
        print(jsonlib.dumps([key.fields for key in shown], indent=2))
    elif not shown:
        print("there are no keys yet; the service makes them when it first starts")
    else:
        print_table(_Shown.HEADINGS, [key.cells for key in shown])


@keys.command()
def rotate(
    use: Annotated[Use, typer.Argument(help="What the key is for.")],
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="A tenant that has SAML keys of its own.")] = None,
    hold: Annotated[bool, typer.Option("--hold", help="It does not sign before `keys promote`.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="The key that signs has been stolen: sign with the new one in seconds.")
    ] = False,
) -> None:
    """Publish another key of a kind. It signs once whoever must know it can: see `keys list`."""
    configuration = load_settings(config)
    kind = _kind(configuration, use, tenant)
    if (hold or now) and (use is Use.SAML or (hold and now)):
        raise typer.BadParameter("one of them, and for headers only", param_hint="--hold, --now")
    service = configuration.service
    made = make(kind, service.public_url)
    seal = seal_of(configuration)

    def work(connection: Connection) -> Sequence[KeyRow]:
        there = rows.add(connection, seal, kind, made)
        if (hold or now) and len(there) > 1:
            rows.promote(connection, made.id, NEVER if hold else now_ms() + AT_ONCE_MS)
        return rows.of_kind(connection, kind)

    there = change(service.state, work)
    print(f"{name_of(kind)}: made {made.id}; {_what_next(there, kind)}")


@keys.command(context_settings={"ignore_unknown_options": True})  # an id may begin with a dash
def retire(
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help=f"The key's id, or its first {SHORTEST_ID} or more characters, if no other has the same."
        ),
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    lost: Annotated[
        bool,
        typer.Option(
            "--lost",
            help="The secret that it was sealed under is gone for good: delete it even where it is in use, and make"
            " another if no other of its kind can be opened.",
        ),
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="It has been stolen: delete it although what it signed still counts.")
    ] = False,
) -> None:
    """Delete a key for good. What it signed no longer verifies, and nothing encrypted to it can be read."""
    configuration = load_settings(config)
    seal = seal_of(configuration)

    def make_one(kind: Kind) -> MadeKey:
        return make(kind, configuration.service.public_url)

    def work(connection: Connection) -> tuple[KeyRow, Sequence[KeyRow]]:
        rows.hold_alone(connection)
        everything = rows.faces(connection)
        key = key_named(everything, id)
        wanted = _is_wanted(configuration, key.kind)
        if lost:
            return key, retire_lost(connection, seal, key, make_one if wanted else None)
        of_kind = [row for row in everything if row.kind == key.kind]
        if wanted:
            check_retirement(of_kind, key, now_ms(), at_once=now)
        rows.remove(connection, key.id)
        return key, [row for row in of_kind if row != key]

    key, rest = change(configuration.service.state, work)
    print(f"{name_of(key.kind)}: retired {key.id}; {_what_remains(rest)}")


@keys.command("reseal")
def reseal_(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Seal every key under the first of `secrets`, so that former ones can be dropped."""
    configuration = load_settings(config)
    seal = seal_of(configuration)
    anew, before = change(configuration.service.state, lambda connection: reseal(connection, seal))
    print(
        f"{anew} {'key' if anew == 1 else 'keys'} sealed anew under the first of `secrets`, {before} already were; once"
        " every node runs with that first secret, former ones are not needed for keys and may be dropped"
    )


def seal_of(configuration: Configuration) -> Seal:
    return Seal([secret.get_secret_value() for secret in configuration.service.secrets])


def _kind(configuration: Configuration, use: Use, tenant: str | None) -> Kind:
    if use is Use.HEADERS:
        if tenant is not None:
            raise typer.BadParameter("headers are signed by one key for all tenants", param_hint="--tenant")
        return Kind(HEADERS)
    if tenant is None:
        return Kind(SAML)
    broken = configuration.broken.get(tenant)
    if tenant not in configuration.tenants and isinstance(broken, SourceError):
        raise BridgeError(f"the tenant {tenant} needs no other key while it has no metadata: {broken}")
    if not named(configuration, tenant).saml.own_keys:
        raise BridgeError(
            f"the tenant {tenant} has no SAML keys of its own: leave --tenant out, or write `own_keys: true` under its"
            " `saml`"
        )
    return Kind(SAML, tenant)


def _is_wanted(configuration: Configuration, kind: Kind) -> bool:
    """Whether somebody needs keys of this kind; a tenant whose file is broken may."""
    tenant = configuration.tenants.get(kind.scope)
    return tenant.saml.own_keys if tenant else not kind.scope or kind.scope in configuration.broken


def key_named(everything: Iterable[KeyRow], id: str) -> KeyRow:
    """The key of an id, or of a beginning that no other has. Raises `BridgeError`."""
    if len(id) < SHORTEST_ID:
        raise BridgeError(f"write at least {SHORTEST_ID} characters of the key's id; see `kombo-bridge keys list`")
    found = [row for row in everything if row.id.startswith(id)]
    if len(found) != 1:
        how_many = "no key has" if not found else f"{len(found)} keys have"
        raise BridgeError(f"{how_many} an id that begins with {id!r}; see `kombo-bridge keys list`")
    return found[0]


def _what_next(there: Sequence[KeyRow], kind: Kind) -> str:
    """What to do after a key has been made behind these others."""
    if len(there) == 1:
        return "it is the first, so it signs at once"
    old = " and ".join(key.id for key in there[:-1])
    if kind.purpose == HEADERS:
        return f"it is published now and {_what_next_of_headers(there)} {old}"
    whom = f"the IdP of {kind.scope}" if kind.scope else "the IdPs"
    return (
        f"give {whom} the new metadata, which has both certificates; once every IdP knows the new one,"
        f" `kombo-bridge keys retire` {old}"
    )


def _what_next_of_headers(there: Sequence[KeyRow]) -> str:
    new, ready = there[-1], ready_at(there, len(there) - 1)
    if ready == NEVER:
        return (
            f"signs once it is promoted: from {clock(new.created_at + READY_MS)} on, `kombo-bridge keys promote`"
            f" {new.id}; in the end, `kombo-bridge keys retire`"
        )
    return f"signs from {clock(ready)} on; after {clock(ready + SPENT_MS)}, `kombo-bridge keys retire`"


def _what_remains(rest: Sequence[KeyRow]) -> str:
    if not rest:
        return "there is none left, and nobody needs one"
    signs = f"{signer(rest, now_ms()).id} signs"
    if rest[0].kind.purpose == HEADERS:
        return signs
    return f"{signs}; give the IdPs the new metadata, so that they stop encrypting to the retired one"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A key as `keys list` shows it."""

    row: KeyRow
    state: State
    step: Step | None

    HEADINGS = ("ID", "FOR", "TENANT", "SINCE", "STATE", "CERTIFICATE UNTIL", "NEXT", "FROM")

    @property
    def fields(self) -> dict[str, str | None]:
        return {
            "id": self.row.id,
            "for": "headers" if self.row.kind.purpose == HEADERS else self.row.kind.purpose,
            "tenant": self.row.kind.scope or None,
            "since": moment(self.row.created_at),
            "state": self.state,
            "certificate_until": str(certificate_end(self.row.certificate).date()) if self.row.certificate else None,
            "next": self.step.what if self.step else None,
            "next_from": moment(self.step.at) if self.step else None,
        }

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(value or "-" for value in self.fields.values())


def _shown(configuration: Configuration) -> Iterator[_Shown]:
    by_kind: defaultdict[Kind, list[KeyRow]] = defaultdict(list)
    for row in look(configuration.service.state, rows.faces) or ():
        by_kind[row.kind].append(row)
    now = now_ms()
    for kind in sorted(by_kind, key=lambda kind: (kind.purpose != HEADERS, kind.purpose, kind.scope)):
        there = by_kind[kind]
        yield from (_Shown(row, state(there, row, now), next_step(there, row, now)) for row in there)
