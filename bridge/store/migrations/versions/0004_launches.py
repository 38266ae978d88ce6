"""What became of launches: their rows, recent refusals, how many got how far, and what was noticed of addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "drifts",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=512), nullable=False),
        sa.Column("other_id", sa.String(length=512), nullable=True),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("drifts_last", "drifts", ["last_at"], unique=False)
    op.create_index("drifts_tenant", "drifts", ["tenant", "last_at"], unique=False)
    op.create_table(
        "funnel",
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", "what"),
    )
    op.create_index("funnel_day", "funnel", ["day"], unique=False)
    op.create_table(
        "launches",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("integration_id", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("found", sa.String(length=16), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("check", sa.String(length=64), nullable=True),
        sa.Column("tier", sa.String(length=16), nullable=True),
        sa.Column("user_id", sa.String(length=512), nullable=True),
        sa.Column("course", sa.String(length=512), nullable=True),
        sa.Column("enrollment", sa.String(length=16), nullable=True),
        sa.Column("gate", sa.String(length=16), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("seen", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("launches_began", "launches", ["began_at"], unique=False)
    op.create_index("launches_latest", "launches", ["outcome", "began_at"], unique=False)
    op.create_index("launches_outcome", "launches", ["outcome", "tenant", "began_at"], unique=False)
    op.create_index("launches_person", "launches", ["tenant", "user_id"], unique=False)
    op.create_index("launches_reference", "launches", ["reference"], unique=False)
    kept = sa.text("seen IS NOT NULL")
    op.create_index("launches_seen", "launches", ["began_at"], sqlite_where=kept, postgresql_where=kept)
    op.create_index("launches_tenant", "launches", ["tenant", "began_at"], unique=False)
    op.create_table(
        "refusals",
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("check", sa.String(length=64), nullable=True),
        sa.Column("steps", sa.Text(), nullable=True),
        sa.Column("user_id", sa.String(length=512), nullable=True),
        sa.Column("course", sa.String(length=512), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "slot"),
    )
    op.create_index("refusals_at", "refusals", ["at"], unique=False)
    op.create_index("refusals_person", "refusals", ["tenant", "user_id"], unique=False)
    op.create_index("refusals_reference", "refusals", ["reference"], unique=False)
    op.add_column("sessions", sa.Column("launch", sa.String(length=80), nullable=True))
    op.add_column("sessions", sa.Column("source", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("awaits", sa.String(length=512), nullable=True))
    op.create_index("sessions_launch", "sessions", ["launch"], unique=False)
