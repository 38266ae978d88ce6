"""Which tenant a command is about."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.errors import BridgeError
from bridge.printable import printable
from bridge.settings.model import Configuration, Tenant

TenantSlug = Annotated[str, typer.Option("--tenant", help="The tenant's slug.")]


def named(configuration: Configuration, slug: str) -> Tenant:
    """Raises `BridgeError` where no valid file has that slug."""
    if tenant := configuration.tenants.get(slug):
        return tenant
    raise BridgeError(f"there is no tenant {printable(slug)} with a valid file; run `kombo-bridge check`")
