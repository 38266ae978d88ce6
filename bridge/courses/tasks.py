"""Bulk tasks that have not ended, and what came of those that did. The store knows which there are."""

from __future__ import annotations

from collections import deque

from bridge.courses.fates import NOT_BELIEVED, fates, refusal
from bridge.errors import KomboRefused
from bridge.kombo.client import KomboClient
from bridge.store import courses
from bridge.store.engine import Store

LEASE_MS = 15_000
LOOKS = 10
"""Tasks that are asked for in one round."""


def lease_of(integration_id: str) -> str:
    """The lease of whoever sends courses or closes one, so that what is on its way is known to the next."""
    return f"courses {integration_id}"


class Tasks:
    """Those of one integration."""

    def __init__(self, store: Store, client: KomboClient, integration_id: str) -> None:
        self._store = store
        self._client = client
        self._integration_id = integration_id
        self._turns: deque[str] = deque()

    async def look(self) -> frozenset[str]:
        """Ask about some of them, each in its turn; the origin ids of those that ended, whose fates are written down.

        Raises `KomboError` where Kombo cannot or will not say, and `StateError`.
        """
        waiting = await self._store.read(lambda c: courses.tasks(c, self._integration_id))
        self._turns = deque(task for task in self._turns if task in waiting)
        self._turns.extend(task for task in waiting if task not in self._turns)
        ended: set[str] = set()
        for _ in range(min(LOOKS, len(self._turns))):
            task_id = self._turns[0]
            self._turns.rotate(-1)
            if await self._settle(task_id, waiting[task_id]):
                ended |= waiting[task_id]
        return frozenset(ended)

    async def _settle(self, task_id: str, sent: frozenset[str]) -> bool:
        """Whether the task has ended."""
        try:
            found = fates(await self._client.bulk_task(task_id), task_id, sent)
        except KomboRefused as error:
            if not _is_forgotten(error):
                raise
            message = "Kombo does not know the task any more, nor what came of it; the next push sends the course again"
            found = dict.fromkeys(sent, refusal(error.kombo_code, message))
        except ValueError:
            found = dict.fromkeys(sent, refusal("", NOT_BELIEVED.format("the task has an id that cannot be asked for")))
        if found is None:
            return False
        fate_of = found
        await self._store.write(lambda c: courses.settle(c, self._integration_id, task_id, fate_of))
        return True


def _is_forgotten(error: KomboRefused) -> bool:
    """A guess: Kombo documents neither how long it knows a task, nor what it answers then.

    Rather too often than never: a task that is asked for in vain holds up every later push of its courses.
    """
    code = error.kombo_code
    if code.startswith("INTEGRATION.") or code == "PLATFORM.INTEGRATION_NOT_FOUND":
        return False
    return error.status in (404, 410) or (error.status == 400 and code in ("", "PLATFORM.INPUT_INVALID"))
