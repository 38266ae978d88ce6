"""The tables, for SQLite and PostgreSQL alike.

Moments are whole milliseconds since 1970 in UTC. A row of the directory is known by its integration, never by its
tenant: Kombo's ids are unique per model inside an integration, and a tenant's slug may change. `seen_at` is the last
time that Kombo showed us the row, and `shown_in` the number of the latest full pass (`syncs.number`) that had begun by
then; a completed one takes what it did not show for deleted, whatever the clock did meanwhile.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData()

_SEEN = text("seen IS NOT NULL")

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("integration_id", String(255), nullable=False),
    Column("provider", Text, nullable=False),
    Column("user_id", String(512)),
    Column("subject", String(64)),
    Column("tier", String(16), nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("name_id", Text),
    Column("name_digest", String(64)),
    Column("session_index", Text),
    Column("launch", String(80)),
    Column("awaits", String(512)),
    Column("source", Text),
    Index("sessions_user", "tenant", "user_id"),
    Index("sessions_name", "tenant", "name_digest"),
    Index("sessions_ends", "ends_at"),
    Index("sessions_launch", "launch"),
)

used = Table(
    "used",
    metadata,
    Column("purpose", String(16), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("forget_at", BigInteger, nullable=False),
    Index("used_forget", "forget_at"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("scope", String(63), nullable=False, server_default=""),
    Column("certificate", Text),
    Column("signs_from", BigInteger),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

idp_metadata = Table(
    "idp_metadata",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("url", String(2048), primary_key=True),
    Column("document", Text, nullable=False),
    Column("entity_id", Text),
    Column("etag", String(512)),
    Column("fetched_at", BigInteger, nullable=False),
    Column("checked_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("held", Text),
    Column("failed", Text),
    Column("failures", Integer, nullable=False),
    Index("idp_metadata_fetched", "fetched_at"),
    Index("idp_metadata_next", "next_at"),
)

idp_clocks = Table(
    "idp_clocks",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("offset_ms", BigInteger, nullable=False),
    Column("measured_at", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("remote_id", Text, nullable=False),
    Column("email", Text),
    Column("email_folded", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("status", String(64)),
    Column("changed_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("seen_at", BigInteger, nullable=False),
    Column("shown_in", Integer, nullable=False, server_default="0"),
    Column("lost_at", BigInteger),
    Index("users_remote_id", "integration_id", "remote_id", postgresql_ops={"remote_id": "text_pattern_ops"}),
    Index("users_email", "integration_id", "email_folded"),
)

courses = Table(
    "courses",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("origin_id", Text),
    Column("changed_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("seen_at", BigInteger, nullable=False),
    Column("shown_in", Integer, nullable=False, server_default="0"),
    Column("remote_id", Text),
    Index("courses_origin_id", "integration_id", "origin_id"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("course_id", String(512), nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("shown_in", Integer, nullable=False, server_default="0"),
    Column("status", String(64)),
    Column("title", Text),
    Column("changed_at", BigInteger),
    Index("revisions_course", "integration_id", "course_id"),
)

progressions = Table(
    "progressions",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("user_id", String(512), nullable=False),
    Column("revision_id", String(512), nullable=False),
    Column("course_id", String(512)),
    Column("status", String(64)),
    Column("changed_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("seen_at", BigInteger, nullable=False),
    Column("shown_in", Integer, nullable=False, server_default="0"),
    Column("enrolled_at", BigInteger),
    Index("progressions_user", "integration_id", "user_id"),
)

syncs = Table(
    "syncs",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("model", String(32), primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("as_of", BigInteger),
    Column("mode", String(8)),
    Column("cursor", Text),
    Column("rows", BigInteger),
    Column("full_at", BigInteger),
    Column("wanted_at", BigInteger),
    Column("number", Integer),
    Column("read_at", BigInteger),
    Column("newest_at", BigInteger),
    Column("newest_here", BigInteger),
    Column("unreadable", BigInteger),
    Column("failures", Integer),
    Column("retry_at", BigInteger),
    Index("syncs_wanted", "wanted_at"),
)

integrations = Table(
    "integrations",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("status", String(64)),
    Column("setup_status", String(64)),
    Column("customer", String(512)),
    Column("heard_at", BigInteger),
    Column("good_at", BigInteger),
    Column("failing_at", BigInteger),
    Column("succeeded_at", BigInteger),
    Column("held_at", BigInteger),
    Column("held", BigInteger),
    Column("held_of", BigInteger),
    Column("confirmed_at", BigInteger),
)

held_users = Table(
    "held_users",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("content", Text, nullable=False),
    Column("held_at", BigInteger, nullable=False),
    Column("confirmed", Integer, nullable=False, server_default="0"),
)

course_map = Table(
    "course_map",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("course_id", String(512), primary_key=True),
    Column("origin_id", Text, nullable=False),
    Column("source", String(16), nullable=False),
    Column("noted_at", BigInteger, nullable=False),
    Index("course_map_origin_id", "integration_id", "origin_id"),
)

pushes = Table(
    "pushes",
    metadata,
    Column("integration_id", String(255), primary_key=True),
    Column("origin_id", String(512), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("task_id", String(512)),
    Column("course_id", String(512)),
    Column("code", String(512)),
    Column("message", Text),
    Column("changed_at", BigInteger, nullable=False),
    Index("pushes_task", "integration_id", "task_id"),
)

misses = Table(
    "misses",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("integration_id", String(255), nullable=False),
    Column("user_id", String(512), nullable=False),
    Column("course", String(512), nullable=False),
    Column("reference", String(128), nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("settled_at", BigInteger),
    Column("lag_ms", BigInteger),
    Index("misses_open", "integration_id", "kind", "user_id"),
    Index("misses_first", "tenant", "first_at"),
)

questions = Table(
    "questions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("asked_at", BigInteger, nullable=False),
    Column("answered_at", BigInteger),
    Index("questions_asked", "asked_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False),
    Column("tenant", String(63), nullable=False),
    Column("integration_id", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("user_id", String(512), nullable=False),
    Column("course", String(512), nullable=False),
    Column("progression_id", String(512)),
    Column("effect", String(64), nullable=False),
    Column("completed_at", BigInteger),
    Column("score", Integer),
    Column("source", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("sending", String(16)),
    Column("sent_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    Column("code", String(512)),
    Column("message", Text),
    Index("outbox_id", "id", unique=True),
    Index("outbox_effect", "effect", unique=True),
    Index("outbox_waiting", "state", "integration_id", "not_before", "number"),
    Index("outbox_code", "code", "created_at"),
    Index("outbox_person", "integration_id", "user_id", "course"),
    Index("outbox_tenant", "state", "tenant", "created_at"),
)

outbox_totals = Table(
    "outbox_totals",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("done", BigInteger, nullable=False),
)

launches = Table(
    "launches",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("reference", String(64), nullable=False),
    Column("tenant", String(63), nullable=False),
    Column("integration_id", String(255), nullable=False),
    Column("provider", Text, nullable=False),
    Column("found", String(16), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("steps", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("finished_at", BigInteger),
    Column("reason", Text),
    Column("check", String(64)),
    Column("tier", String(16)),
    Column("user_id", String(512)),
    Column("course", String(512)),
    Column("enrollment", String(16)),
    Column("gate", String(16)),
    Column("http_status", Integer),
    Column("seen", Text),
    Index("launches_reference", "reference"),
    Index("launches_began", "began_at"),
    Index("launches_seen", "began_at", sqlite_where=_SEEN, postgresql_where=_SEEN),
    Index("launches_tenant", "tenant", "began_at"),
    Index("launches_outcome", "outcome", "tenant", "began_at"),
    Index("launches_latest", "outcome", "began_at"),
    Index("launches_person", "tenant", "user_id"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("reference", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("code", String(32), nullable=False),
    Column("http_status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("check", String(64)),
    Column("steps", Text),
    Column("user_id", String(512)),
    Column("course", String(512)),
    Index("refusals_reference", "reference"),
    Index("refusals_at", "at"),
    Index("refusals_person", "tenant", "user_id"),
)

funnel = Table(
    "funnel",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("what", String(40), primary_key=True),
    Column("many", BigInteger, nullable=False),
    Index("funnel_day", "day"),
)

drifts = Table(
    "drifts",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("user_id", String(512), nullable=False),
    Column("other_id", String(512)),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Index("drifts_tenant", "tenant", "last_at"),
    Index("drifts_last", "last_at"),
)
