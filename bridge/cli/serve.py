"""`kombo-bridge serve`: the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Annotated

import structlog
import typer

from bridge import app as service
from bridge import logs
from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.idps.documents import load_settings
from bridge.proxy.descriptors import raise_limit
from bridge.proxy.limits import Limits
from bridge.proxy.recorder import LAYOUT
from bridge.proxy.server import serve as run
from bridge.settings.addresses import Address
from bridge.settings.model import is_awaited
from bridge.store.migrate import migrate
from bridge.tallies import shared


@app.command()
def serve(
    config: ConfigPath = DEFAULT_CONFIG,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port and the state.")] = 1,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT; overrides the settings.")] = None,
    internal_listen: Annotated[str | None, typer.Option(help="HOST:PORT; overrides the settings.")] = None,
) -> None:
    """Run the bridge in front of the platform until it is told to stop."""
    logs.configure()
    configuration = load_settings(config)
    log = structlog.get_logger()
    for slug, error in configuration.broken.items():
        for problem in error.problems:
            if is_awaited(error):
                log.warning("tenant_not_served", tenant=slug, problem=str(problem))
            else:
                log.error("tenant_not_served", tenant=slug, problem=str(problem))
    address = _address(listen) if listen else configuration.service.listen
    internal = _address(internal_listen) if internal_listen else configuration.service.internal_listen
    if configuration.service.internal_token is None and not internal.loopback:
        raise typer.BadParameter(
            "without internal_token the internal listener must be on loopback", param_hint="--internal-listen"
        )
    migrate(configuration.service.state)
    asyncio.run(service.rehearse(configuration, address, internal))
    os.environ[service.CONFIG] = str(config.resolve())
    os.environ[service.INTERNAL_LISTEN] = str(internal)
    limits = Limits.of(configuration.service.forwarding)
    raise_limit(limits)
    with contextlib.ExitStack() as stack:
        os.environ.pop(service.TALLIES, None)
        if workers > 1:
            os.environ[service.TALLIES] = str(stack.enter_context(shared(LAYOUT, workers)))
            stack.enter_context(logs.in_background())  # or whoever watches over the workers would wait for its reader
        failed = run("bridge.app:create", address, workers=workers, limits=limits)
    raise typer.Exit(1 if failed else 0)


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
