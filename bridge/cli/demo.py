"""`kombo-bridge demo`: the whole thing on this machine, with nothing to configure."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from bridge.cli import app
from bridge.demo.once import launch_once
from bridge.demo.run import Demo
from bridge.demo.run import demo as started


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Make one launch by script, print it, and exit.")] = False,
) -> None:
    """Show a launch: a simulated Kombo, a demo IdP, a demo platform, and the bridge between them."""
    asyncio.run(_once() if once else _until_stopped())


async def _once() -> None:
    async with started(fixed_ports=False) as found:
        headers = await launch_once(found, print)
    print("\nThe platform received, and could verify:\n")
    for name, value in headers.items():
        print(f"  {name}: {value}")


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    print("Starting a simulated Kombo, a demo IdP, a demo platform and the bridge …", flush=True)
    async with started() as found:
        print(_welcome(found), flush=True)
        await stopped.wait()
        print("\nStopping.", flush=True)


def _welcome(demo: Demo) -> str:
    return f"""
  Open this:    {demo.start}

  the bridge    {demo.bridge}
  the platform  {demo.platform}   behind it; learners never go there directly
  the IdP       {demo.idp}
  Kombo         {demo.kombo}/v1   simulated
  in the LMS    {demo.kombo}/_control/completions   whatever the bridge has reported as completed
  for admins    {demo.internal}/admin   sign in with {demo.token}
  inside        {demo.internal}   health, readiness, keys, and /completions with the same as bearer token
  the settings  {demo.config}   for the other commands: --config
  the log       {demo.log}

Stop with Ctrl-C."""
