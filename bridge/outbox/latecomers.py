"""Completions that had nothing to write, because Kombo did not show yet what they are about.

Last year's progression, completed, opens the gate. So whoever is assigned the course anew can finish it before Kombo's
next sync shows the new progression: what is reported then looks like what has been completed long ago.
"""

from __future__ import annotations

from functools import partial

import structlog
from sqlalchemy import Connection

from bridge.outbox.aim import opening, shows_now
from bridge.store import lookups
from bridge.store import outbox as rows
from bridge.store.engine import Store, now_ms
from bridge.store.outbox import Entry

LOOKED_FOR_MS = 72 * 3600 * 1000
"""After as long without a good sync Kombo calls an integration invalid."""

log = structlog.get_logger()


async def look_again(store: Store) -> None:
    """Let those wait again whose progression the directory has now. Raises `StateError`."""
    since, after = now_ms() - LOOKED_FOR_MS, 0
    while found := await store.read(partial(rows.idle, since=since, after=after)):
        after = found[-1].number
        for entry in found:
            if await store.read(partial(_shows, entry=entry)):
                await store.write(partial(rows.unsettle, number=entry.number))
                log.info("outbox_entry_reopened", tenant=entry.tenant, entry=entry.id)


def _shows(connection: Connection, entry: Entry) -> bool:
    integration, user_id, course = entry.integration_id, entry.user_id, entry.course
    courses = lookups.course_ids(connection, integration, course)
    live = opening(lookups.enrollments(connection, integration, user_id, courses)) if courses else []
    return shows_now(live, rows.written(connection, integration, user_id, course, beside=entry.number), entry)
