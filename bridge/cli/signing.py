"""`kombo-bridge keys promote`, `wait` and `jwks`: the turns of the header-signing keys, and their public halves."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from sqlalchemy import Connection

from bridge.cli import DEFAULT_CONFIG, ConfigPath
from bridge.cli.keys import key_named, keys, seal_of
from bridge.cli.state import change, look
from bridge.errors import BridgeError
from bridge.idps.documents import load_settings
from bridge.keys.custody import HeldKeys
from bridge.keys.rollover import HEADERS, Step, clock, next_step, promotion
from bridge.settings.model import Configuration
from bridge.store import keys as rows
from bridge.store.engine import now_ms
from bridge.store.keys import KeyRow, Kind

LOOK_AGAIN_SECONDS = 5.0
"""Somebody else may promote or retire meanwhile."""
NO_KEYS = (
    "there are no header-signing keys yet; the service makes one when it first starts, and `kombo-bridge keys rotate"
    " headers` makes one now"
)
_MAY = {"sign": "signs", "promote": "can be promoted", "retire": "can be retired"}

KeyId = Annotated[str, typer.Argument(metavar="ID", help="A header-signing key's id, or the beginning of it.")]
DASHED = {"ignore_unknown_options": True}  # an id may begin with a dash


@keys.command(context_settings=DASHED)
def promote(
    id: KeyId,
    config: ConfigPath = DEFAULT_CONFIG,
    now: Annotated[
        bool, typer.Option("--now", help="The key that signs has been stolen: do not wait until platforms know this.")
    ] = False,
) -> None:
    """Let a published key sign: one that was made with `--hold`, or a former one again."""
    configuration = load_settings(config)

    def work(connection: Connection) -> tuple[KeyRow, int]:
        rows.hold_alone(connection)
        everything = rows.faces(connection)
        key = key_named(everything, id)
        there = [row for row in everything if row.kind == key.kind]
        moment = promotion(there, key, now_ms(), at_once=now)
        rows.promote(connection, key.id, moment)
        return key, moment

    key, moment = change(configuration.service.state, work)
    print(f"headers: {key.id} signs from {clock(moment)} on")


@keys.command(context_settings=DASHED)
def wait(id: KeyId, config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Wait until a key signs, or can be promoted or retired: whichever comes next for it."""
    configuration = load_settings(config)
    first = step = _step(configuration, id)
    if step is not None and step.at > now_ms():
        print(f"headers: {_MAY[step.what]} from {clock(step.at)} on; waiting", file=sys.stderr, flush=True)
    while first is not None and step is not None and step.what == first.what and (left := step.at - now_ms()) > 0:
        time.sleep(min(LOOK_AGAIN_SECONDS, left / 1000))
        step = _step(configuration, id)
    if first is not None and first.what != "sign" and (step is None or step.what != first.what):
        raise BridgeError("the turns of the keys have been changed meanwhile; see `kombo-bridge keys list`")
    print(f"headers: {_MAY[first.what]} now" if first else "headers: signs, and no other is to take over from it")


@keys.command()
def jwks(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Print the public halves as the bridge serves them, for who verifies without a running bridge."""
    print(held(load_settings(config)).ring.jwks.decode())


def held(configuration: Configuration) -> HeldKeys:
    """The header-signing keys of the state. Raises `StateError`, and `BridgeError` where there are none yet."""
    found = look(configuration.service.state, lambda connection: rows.of_kind(connection, Kind(HEADERS)))
    if not found:
        raise BridgeError(NO_KEYS)
    seal = seal_of(configuration)
    return HeldKeys(key.opened(seal) for key in found)


def _step(configuration: Configuration, id: str) -> Step | None:
    everything = look(configuration.service.state, rows.faces) or []
    key = key_named(everything, id)
    if key.kind.purpose != HEADERS:
        raise BridgeError(f"{key.id} is a SAML key: it signs when the former one is retired, whenever that is")
    return next_step([row for row in everything if row.kind == key.kind], key, now_ms())
