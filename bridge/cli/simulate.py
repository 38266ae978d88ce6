"""`kombo-bridge simulate`: stand-ins for what the bridge talks to, for a platform's own development."""

from __future__ import annotations

import asyncio
import json as jsonlib
import secrets
import signal
from typing import Annotated, Any

import typer

from bridge.cli import app
from bridge.errors import BridgeError
from bridge.simulator.app import create
from bridge.simulator.seed import seeded
from bridge.simulator.serving import running
from bridge.simulator.world import World

simulate = typer.Typer(no_args_is_help=True)
app.add_typer(simulate, name="simulate")


@simulate.callback()
def _group() -> None:
    """Stand-ins for what the bridge talks to, for a platform's own development."""


@simulate.command("kombo")
def kombo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON first, for scripts.")] = False,
    people: Annotated[int, typer.Option(min=0, help="So many more learners of Acme.")] = 0,
    progressions: Annotated[int, typer.Option(min=0, help="So many more progressions of theirs.")] = 0,
    courses: Annotated[int, typer.Option(min=0, help="So many more courses of Acme.")] = 0,
    lag: Annotated[bool, typer.Option("--lag", help="A change shows only after Kombo's next sync.")] = False,
    sync_every: Annotated[
        float | None, typer.Option(min=0.1, help="Kombo syncs every so many seconds; implies --lag.")
    ] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Where webhooks go.")] = None,
    webhook_secret: Annotated[
        str | None, typer.Option(help="What they are signed with; made up where there is only a URL.")
    ] = None,
) -> None:
    """Run a simulated Kombo with a few dozen people and courses of four customers, until interrupted."""
    try:
        world = seeded(people=people, progressions=progressions, courses=courses)
    except ValueError as error:
        raise BridgeError(f"{error}; give --people as well") from error
    world.sync_every = sync_every
    for integration in world.integrations.values():
        integration.lag = lag or sync_every is not None
    world.webhooks.url = webhook_url
    world.webhooks.secret = webhook_secret or (secrets.token_urlsafe(24) if webhook_url else None)
    try:
        asyncio.run(_serve(world, port, json))
    except OSError as error:
        raise BridgeError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another --port") from error


async def _serve(world: World, port: int, json: bool) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(create(world), port=port) as origin:
        base_url = f"{origin}/v1"
        if json:
            line: dict[str, Any] = {"base_url": base_url, "api_key": world.api_key}
            line["integrations"] = list(world.integrations)
            if world.webhooks.secret:
                line["webhook_secret"] = world.webhooks.secret
            print(jsonlib.dumps(line), flush=True)
        else:
            print("Simulated Kombo\n")
            print(f"  base_url        {base_url}")
            print(f"  api_key         {world.api_key}")
            if world.webhooks.secret:
                print(f"  webhook_secret  {world.webhooks.secret}")
            print("  integrations")
            for integration in world.integrations.values():
                print(f"    {integration.id:50} {integration.organization}")
            print(f"\nFaults and changes on demand: {origin}/_control. Ctrl-C ends it.", flush=True)
        await stop.wait()
