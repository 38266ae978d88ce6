"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:

    op.create_table(
        "courses",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("origin_id", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "id"),
    )
    op.create_index("courses_origin_id", "courses", ["integration_id", "origin_id"], unique=False)
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "progressions",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("user_id", sa.String(length=512), nullable=False),
        sa.Column("revision_id", sa.String(length=512), nullable=False),
        sa.Column("course_id", sa.String(length=512), nullable=True),
        sa.Column("status", sa.String(length=64), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "id"),
    )
    op.create_index("progressions_user", "progressions", ["integration_id", "user_id"], unique=False)
    op.create_table(
        "revisions",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("course_id", sa.String(length=512), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "id"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(length=512), nullable=True),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("sessions_ends", "sessions", ["ends_at"], unique=False)
    op.create_index("sessions_user", "sessions", ["tenant", "user_id"], unique=False)
    op.create_table(
        "syncs",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=32), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("as_of", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("integration_id", "model"),
    )
    op.create_table(
        "used",
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("forget_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "digest"),
    )
    op.create_index("used_forget", "used", ["forget_at"], unique=False)
    op.create_table(
        "users",
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_folded", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=64), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "id"),
    )
    op.create_index("users_email", "users", ["integration_id", "email_folded"], unique=False)
    op.create_index("users_remote_id", "users", ["integration_id", "remote_id"], unique=False)
