"""Which person a command is about: by Kombo's id, or by the one in the LMS as far as the directory knows it."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.cli.state import look
from bridge.cli.tenants import named
from bridge.errors import BridgeError
from bridge.printable import printable
from bridge.settings.model import Configuration
from bridge.store import lookups

UserOption = Annotated[str | None, typer.Option("--user", metavar="ID", help="Kombo's id of the person.")]
RemoteIdOption = Annotated[
    str | None, typer.Option("--remote-id", metavar="ID", help="The person's id in the LMS, in place of --user.")
]


def user_of(configuration: Configuration, slug: str, user: str | None, remote_id: str | None) -> str:
    """Kombo's id of the person. Raises `BridgeError` where the directory has nobody, or several people, by the other
    one.
    """
    if (user is None) is (remote_id is None):
        raise typer.BadParameter("write one of them", param_hint="--user, --remote-id")
    if remote_id is None:
        return str(user)
    integration = named(configuration, slug).integration_id
    found = look(configuration.service.state, lambda c: lookups.people_by_remote_id(c, integration, remote_id)) or []
    if len(found) != 1:
        whom = "nobody" if not found else f"{len(found)} people"
        raise BridgeError(f"the directory has {whom} with the remote id {printable(remote_id)}: use --user, Kombo's id")
    return found[0].id
