"""`kombo-bridge explain`: why somebody was refused, and the one change that would let them in. Reads only."""

from __future__ import annotations

import asyncio
import json as jsonlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated

import typer

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.state import opened
from bridge.cli.tenants import named
from bridge.errors import BridgeError
from bridge.explain import Explanation, explain_record, explain_response
from bridge.explain.copy import Copy
from bridge.explain.posted import posted, read_source
from bridge.explain.text import lines
from bridge.idps.documents import load_settings
from bridge.launches import history
from bridge.launches.references import misheard, read_reference
from bridge.settings.model import Configuration
from bridge.store.engine import Store
from bridge.store.sealing import Seal

SECONDS = 120


@app.command()
def explain(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|REFERENCE",
            help="A SAMLResponse (XML, base64, or the form that was posted; - for standard input), with --tenant;"
            " or the three words of a learner's page.",
        ),
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="The slug of the tenant to which the response was posted.")] = None,
    course: Annotated[str | None, typer.Option(help="An origin id: is this course's gate open as well?")] = None,
    values: Annotated[bool, typer.Option("--values", help="Show what the IdP said of the person.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Say why a response or a launch was refused, and the one change that would fix it.

    Exit code 0 if it would pass, 1 if not.
    """
    if tenant is not None and len(what) != 1:
        raise typer.BadParameter("one file at a time, or - for standard input", param_hint="FILE")
    if tenant is None:
        reference = _reference(what)
        found = _of_reference(load_settings(config), reference, course)
    else:
        data = read_source(what[0])
        found = _of_response(load_settings(config), tenant, data, course)
    if json:
        print(jsonlib.dumps(found.fields(values=values), indent=2))
    else:
        for line in lines(found, values=values):
            print(line)
    if not found.passes:
        raise typer.Exit(1)


def _of_response(configuration: Configuration, slug: str, data: bytes, course: str | None) -> Explanation:
    tenant, response = named(configuration, slug), posted(data)

    async def work(store: Store) -> Explanation:
        return await explain_response(configuration, tenant, response, Copy(store), course)

    return _looked(configuration, work)


def _of_reference(configuration: Configuration, reference: str, course: str | None) -> Explanation:
    seal = Seal(configuration.service.plain_secrets, history.PURPOSE)

    async def work(store: Store) -> Explanation:
        records = await store.read(lambda connection: history.of_reference(connection, reference))
        if not records:
            why = misheard(reference) or "it is longer ago than is kept, or of another deployment"
            raise BridgeError(f"nothing is known of {reference}: {why}")
        told = await explain_record(records[0], configuration, Copy(store), seal, course)
        if len(records) == 1:
            return told
        others = f"{len(records)} have this reference, and the latest is explained: compare its time and tenant"
        return replace(told, notes=(*told.notes, others))

    return _looked(configuration, work)


def _looked(configuration: Configuration, work: Callable[[Store], Awaitable[Explanation]]) -> Explanation:
    """Raises `BridgeError`, also where it takes too long."""

    async def in_time(store: Store) -> Explanation:
        try:
            async with asyncio.timeout(SECONDS):
                return await work(store)
        except TimeoutError:
            raise BridgeError(
                f"it could not be explained within {SECONDS} s: is the state very large, or far?"
            ) from None

    with opened(configuration.service.state) as store:
        return asyncio.run(in_time(store))


def _reference(words: list[str]) -> str:
    """The three words, in whatever way they were typed; what is a file wants `--tenant`."""
    said = " ".join(words)
    if said == "-" or os.path.isfile(said):  # noqa: PTH113 - a response that was pasted is too long a name for Path
        raise typer.BadParameter(f"say whose IdP sent it: explain --tenant SLUG {said}", param_hint="FILE")
    return read_reference(said)
