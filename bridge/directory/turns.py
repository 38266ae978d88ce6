"""Whose turn it is to read an integration, or to write to it: one process at a time, a service's or a command's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator

from sqlalchemy import Connection

from bridge.directory.sync import Permit
from bridge.errors import StateError
from bridge.printable import printable
from bridge.store import leases
from bridge.store.engine import Store

LEASE_MS = 20_000


class LeaseLost(StateError):
    """Somebody else does the work now."""


def new_holder() -> str:
    """A name for this process, by which an operator finds it."""
    return f"{printable(socket.gethostname())[:40]} pid {os.getpid()} {secrets.token_hex(4)}"[:64]


def lease_of(integration_id: str) -> str:
    return f"sync {integration_id}"


@contextlib.asynccontextmanager
async def turn(store: Store, name: str, holder: str, milliseconds: int = LEASE_MS) -> AsyncIterator[Permit | None]:
    """Hold a lease, renewed all the while; None where somebody else has it. Raises `StateError`.

    The permit is to be asked inside each write: it raises `LeaseLost` once the lease has gone to somebody else.
    """
    epoch = await store.write(lambda c: leases.take(c, name, holder, milliseconds))
    if epoch is None:
        yield None
        return

    def permit(connection: Connection) -> None:
        if not leases.holds(connection, name, holder, epoch):
            raise LeaseLost(f"another process has taken over: {printable(name)}")

    renewal = asyncio.ensure_future(_renew(store, name, holder, milliseconds))
    try:
        yield permit
    finally:
        renewal.cancel()
        await store.write(lambda c: leases.release(c, name, holder))


async def _renew(store: Store, name: str, holder: str, milliseconds: int) -> None:
    while True:
        await asyncio.sleep(milliseconds / 3000)
        with contextlib.suppress(StateError):  # tried again before the lease runs out, and every write asks for it
            await store.write(lambda c: leases.take(c, name, holder, milliseconds))
