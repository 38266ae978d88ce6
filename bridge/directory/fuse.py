"""The fuse: a sync that would lose more than a fifth of a tenant's people is held until somebody confirms it.

Kombo does that to everybody when a scope is switched off by mistake: a field becomes null at its next sync, a model is
deleted. What is lost within a day is taken together, so that a fault which trickles in is one all the same; one person
alone is never held. Who is held goes on as they were, for as long as what was last known of them counts
(`kombo.stale_for`). To confirm is to confirm those who are held at that moment: whoever else is lost later is weighed
again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection

from bridge.errors import BridgeError, StateError
from bridge.store import held, integrations, people, rows, syncs, tables
from bridge.store.engine import Store, learn, now_ms
from bridge.store.held import Scales

MANY = 3
"""Fewer people than this who are there under new ids are no event."""

log = structlog.get_logger()


class Write(Protocol):
    """A write transaction that asks the permit first."""

    def __call__(self, work: Callable[[Connection], Any]) -> Awaitable[Any]: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """How many were lost, and how many stay as they were, of how many people; 0 held: nothing waits any more."""

    lost: int
    held: int
    of: int


async def decide(store: Store, write: Write, integration_id: str, tenant: str) -> Decision:
    """Weigh what a pass over the people left waiting, take what may be taken, and note the rest. Raises `StateError`.

    Chunk by chunk, so it may be cut off: what went before stays, and the next pass weighs again.
    """
    moment = now_ms()
    scales: Scales = await store.read(lambda c: held.weigh(c, integration_id, moment))
    if scales.replaced >= MANY and 2 * scales.replaced > scales.living - scales.replaced:
        log.warning(
            "kombo_ids_changed",
            tenant=tenant,
            integration=integration_id,
            people=scales.replaced,
            hint="Kombo shows these people under new ids: push the courses again, or import the course map",
        )
    if scales.waiting > rows.CHUNK:
        with contextlib.suppress(StateError):  # it goes on without, only more slowly
            await write(partial(learn, tables=[tables.held_users]))
    lost, after = 0, ""
    while scales.waiting:
        next_few = partial(held.next_to_go, integration_id=integration_id, after=after, everybody=scales.allowed)
        ids = await store.read(next_few)
        if not ids:
            break
        await write(partial(people.lose, integration_id=integration_id, ids=ids, moment=moment))
        lost, after = lost + len(ids), ids[-1]
    kept = 0 if scales.allowed else scales.doubtful
    before, now = await write(partial(_note, integration_id=integration_id, tenant=tenant, kept=kept, of=scales.of))
    if kept and before != now:
        log.warning(
            "sync_held",
            tenant=tenant,
            integration=integration_id,
            people=kept,
            of=scales.of,
            hint=f"if that many are to go: {confirmation(tenant)}",
        )
    elif before[0] and not kept:
        log.info("sync_released", tenant=tenant, integration=integration_id, lost=lost)
    return Decision(lost, kept, scales.of)


def confirmation(tenant: str) -> str:
    """The command by which what is held is taken."""
    return f"kombo-bridge sync --tenant {tenant} --confirm"


async def confirm(store: Store, write: Write, integration_id: str, tenant: str) -> int:
    """Mark who is held now, so that the next pass takes it; how many were held.

    Raises `BridgeError` where more wait than that: a pass that was cut off has found them, and nobody was told.
    """
    known = await store.read(lambda c: integrations.standing(c, integration_id))
    if known is None or not known.held:
        return 0
    if await store.read(partial(_untold, integration_id=integration_id, told=known.held)):
        raise BridgeError(
            f"{known.held} people are held, and a reading that was cut off has found more: let `kombo-bridge sync"
            f" --tenant {tenant}` finish it, and look again"
        )
    after: str | None = ""
    while after is not None:
        after = await write(partial(held.confirm, integration_id=integration_id, after=after))
    moment = now_ms()
    await write(lambda c: integrations.note(c, integration_id, tenant, confirmed_at=moment))
    return known.held


def _untold(connection: Connection, integration_id: str, told: int) -> bool:
    """Whether people wait of whom nobody was told: more than were, or found by a pass that is still under way."""
    last = syncs.of(connection, integration_id).get("users")
    if last and last.mode and held.waiting(connection, integration_id, since=last.started_at):
        return True
    return held.waiting(connection, integration_id) > told


def _note(connection: Connection, integration_id: str, tenant: str, kept: int, of: int) -> tuple[tuple[Any, Any], ...]:
    """What is held, before and now."""
    known = integrations.standing(connection, integration_id)
    before = (known.held, known.held_of) if known else (None, None)
    now = (kept, of) if kept else (None, None)
    if before != now:
        since = known.held_at if known and known.held_at and kept else now_ms() if kept else None
        name = tenant or (known.tenant if known else "")
        integrations.note(connection, integration_id, name, held_at=since, held=now[0], held_of=now[1])
    return before, now
