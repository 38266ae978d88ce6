"""`kombo-bridge simulate`: stand-ins for what the bridge talks to, for a platform's own development."""

from __future__ import annotations

import asyncio
import json as jsonlib
import signal
from typing import Annotated

import typer

from bridge.cli import app
from bridge.errors import BridgeError
from bridge.simulator.app import create
from bridge.simulator.seed import seeded
from bridge.simulator.serving import running

simulate = typer.Typer(no_args_is_help=True)
app.add_typer(simulate, name="simulate")


@simulate.callback()
def _group() -> None:
    """Stand-ins for what the bridge talks to, for a platform's own development."""


@simulate.command("kombo")
def kombo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON first, for scripts.")] = False,
) -> None:
    """Run a simulated Kombo with a few dozen people and courses of four customers, until interrupted."""
    try:
        asyncio.run(_serve(port, json))
    except OSError as error:
        raise BridgeError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another --port") from error


async def _serve(port: int, json: bool) -> None:
    world = seeded()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(create(world), port=port) as origin:
        base_url = f"{origin}/v1"
        if json:
            line = {"base_url": base_url, "api_key": world.api_key, "integrations": list(world.integrations)}
            print(jsonlib.dumps(line), flush=True)
        else:
            print("Simulated Kombo\n")
            print(f"  base_url  {base_url}")
            print(f"  api_key   {world.api_key}")
            print("  integrations")
            for integration in world.integrations.values():
                print(f"    {integration.id:50} {integration.organization}")
            print(f"\nFaults and changes on demand: {origin}/_control. Ctrl-C ends it.", flush=True)
        await stop.wait()
