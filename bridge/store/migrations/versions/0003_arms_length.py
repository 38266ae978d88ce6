"""What keeps Kombo at arm's length: resumable syncs, its own standing, the course map, misses, and writes to send."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "course_map",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("course_id", sa.String(length=512), nullable=False),
        sa.Column("origin_id", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "course_id"),
    )
    op.create_index("course_map_origin_id", "course_map", ["integration_id", "origin_id"], unique=False)
    op.create_table(
        "held_users",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "id"),
    )
    op.create_table(
        "integrations",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=True),
        sa.Column("setup_status", sa.String(length=64), nullable=True),
        sa.Column("customer", sa.String(length=512), nullable=True),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.Column("good_at", sa.BigInteger(), nullable=True),
        sa.Column("failing_at", sa.BigInteger(), nullable=True),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("held_at", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.BigInteger(), nullable=True),
        sa.Column("held_of", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("integration_id"),
    )
    op.create_table(
        "misses",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=512), nullable=False),
        sa.Column("course", sa.String(length=512), nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("lag_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("misses_first", "misses", ["tenant", "first_at"], unique=False)
    op.create_index("misses_open", "misses", ["integration_id", "kind", "user_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=512), nullable=False),
        sa.Column("course", sa.String(length=512), nullable=False),
        sa.Column("progression_id", sa.String(length=512), nullable=True),
        sa.Column("effect", sa.String(length=64), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("sending", sa.String(length=16), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=512), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("outbox_code", "outbox", ["code", "created_at"], unique=False)
    op.create_index("outbox_effect", "outbox", ["effect"], unique=True)
    op.create_index("outbox_id", "outbox", ["id"], unique=True)
    op.create_index("outbox_person", "outbox", ["integration_id", "user_id", "course"], unique=False)
    op.create_index("outbox_tenant", "outbox", ["state", "tenant", "created_at"], unique=False)
    op.create_index("outbox_waiting", "outbox", ["state", "integration_id", "not_before", "number"], unique=False)
    op.create_table(
        "outbox_totals",
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind"),
    )
    op.create_table(
        "pushes",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("origin_id", sa.String(length=512), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("task_id", sa.String(length=512), nullable=True),
        sa.Column("course_id", sa.String(length=512), nullable=True),
        sa.Column("code", sa.String(length=512), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "origin_id"),
    )
    op.create_index("pushes_task", "pushes", ["integration_id", "task_id"], unique=False)
    op.create_table(
        "questions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("questions_asked", "questions", ["asked_at"], unique=False)
    op.drop_index("users_remote_id", "users")
    op.create_index(
        "users_remote_id",
        "users",
        ["integration_id", "remote_id"],
        unique=False,
        postgresql_ops={"remote_id": "text_pattern_ops"},
    )
    op.add_column("courses", sa.Column("remote_id", sa.Text(), nullable=True))
    op.add_column("progressions", sa.Column("enrolled_at", sa.BigInteger(), nullable=True))
    op.add_column("revisions", sa.Column("status", sa.String(length=64), nullable=True))
    op.add_column("revisions", sa.Column("title", sa.Text(), nullable=True))
    op.add_column("revisions", sa.Column("changed_at", sa.BigInteger(), nullable=True))
    op.create_index("revisions_course", "revisions", ["integration_id", "course_id"], unique=False)
    op.add_column("syncs", sa.Column("mode", sa.String(length=8), nullable=True))
    op.add_column("syncs", sa.Column("cursor", sa.Text(), nullable=True))
    op.add_column("syncs", sa.Column("rows", sa.BigInteger(), nullable=True))
    op.add_column("syncs", sa.Column("full_at", sa.BigInteger(), nullable=True))
    op.add_column("syncs", sa.Column("wanted_at", sa.BigInteger(), nullable=True))
    op.add_column("syncs", sa.Column("number", sa.Integer(), nullable=True))
    op.add_column("syncs", sa.Column("read_at", sa.BigInteger(), nullable=True))
    op.add_column("syncs", sa.Column("newest_at", sa.BigInteger(), nullable=True))
    op.add_column("syncs", sa.Column("newest_here", sa.BigInteger(), nullable=True))
    op.add_column("syncs", sa.Column("unreadable", sa.BigInteger(), nullable=True))
    op.add_column("syncs", sa.Column("failures", sa.Integer(), nullable=True))
    op.add_column("syncs", sa.Column("retry_at", sa.BigInteger(), nullable=True))
    op.create_index("syncs_wanted", "syncs", ["wanted_at"], unique=False)
    for table in ("users", "courses", "revisions", "progressions"):
        op.add_column(table, sa.Column("shown_in", sa.Integer(), server_default="0", nullable=False))
    op.add_column("users", sa.Column("lost_at", sa.BigInteger(), nullable=True))
