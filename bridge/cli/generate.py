"""`kombo-bridge generate`: a configuration for the proxy that already stands in front of the platform."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.errors import SettingsError
from bridge.generate.engines import ENGINES
from bridge.generate.plan import CACHE_FOLDER, plan
from bridge.idps.documents import load_settings
from bridge.settings.addresses import Address


@app.command()
def generate(
    engine: Annotated[str, typer.Argument(metavar="|".join(ENGINES), help="Which proxy.")],
    config: ConfigPath = DEFAULT_CONFIG,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT where the proxy listens; 0.0.0.0:80 or, with a certificate, :443.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file with which the proxy speaks TLS.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    cache: Annotated[
        Path, typer.Option(help="Folder in memory where nginx keeps the bridge's answers.")
    ] = CACHE_FOLDER,
) -> None:
    """Print a complete configuration that asks the bridge about each request, for the settings at hand.

    It holds every name and route of the settings, so print it again when they change.
    """
    if engine not in ENGINES:
        raise typer.BadParameter(f"write one of {', '.join(ENGINES)}", param_hint=engine)
    if (certificate is None) != (key is None):
        raise typer.BadParameter("give both --certificate and --key, or neither")
    where = _address(listen) if listen else None
    configuration = load_settings(config)
    if problems := configuration.problems:
        raise SettingsError(*problems)
    made = plan(
        configuration,
        listen=where,
        certificate=certificate and certificate.absolute(),
        key=key and key.absolute(),
        cache_folder=cache.absolute(),
    )
    print(ENGINES[engine](made), end="")


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--listen") from error
