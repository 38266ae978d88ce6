"""What became of progressions that the outbox wrote, as far as the directory can tell."""

from __future__ import annotations

from sqlalchemy import Connection

from bridge.store import lookups
from bridge.store import outbox as rows
from bridge.store.outbox import Entry

SHOWS_WITHIN_MS = 24 * 3600 * 1000
"""How long a write may take to show in Kombo's lists: by default Kombo reads everything every ten hours (a guess)."""


def withdrawn(connection: Connection, entry: Entry | None) -> bool:
    """Whether the progression of an entry that is done is there no more.

    What was written may not show before Kombo's next sync. So a progression that Kombo has not shown since is missing
    only once it has had the time to; one that it has shown since is gone when Kombo says so or shows it no more.
    """
    if entry is None or entry.progression_id is None or entry.settled_at is None or entry.state != "done":
        return False
    trace = rows.trace(connection, entry.integration_id, entry.progression_id)
    if trace and trace.seen_at > entry.settled_at:
        return trace.deleted or trace.status == "DROPPED"
    if trace and not trace.deleted:
        return False
    return lookups.synced(connection, entry.integration_id).get("progressions", 0) > entry.settled_at + SHOWS_WITHIN_MS


def placed(connection: Connection, entry: Entry) -> str | None:
    """The progression in which an enrolment of ours put the learner of an entry, while it is there to be completed."""
    enrolment = rows.enrolled(connection, entry)
    if enrolment is None or enrolment.progression_id is None or withdrawn(connection, enrolment):
        return None
    trace = rows.trace(connection, entry.integration_id, enrolment.progression_id)
    return None if trace and trace.status == "COMPLETED" else enrolment.progression_id
