"""What SAML needs for years: keys with certificates, logout by NameID, fetched metadata, the IdPs' clocks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("keys", sa.Column("scope", sa.String(length=63), nullable=False, server_default=""))
    op.add_column("keys", sa.Column("certificate", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("name_id", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("name_digest", sa.String(length=64), nullable=True))
    op.add_column("sessions", sa.Column("session_index", sa.Text(), nullable=True))
    op.create_index("sessions_name", "sessions", ["tenant", "name_digest"], unique=False)
    op.create_table(
        "idp_metadata",
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("etag", sa.String(length=512), nullable=True),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.Text(), nullable=True),
        sa.Column("failed", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "url"),
    )
    op.create_index("idp_metadata_fetched", "idp_metadata", ["fetched_at"], unique=False)
    op.create_index("idp_metadata_next", "idp_metadata", ["next_at"], unique=False)
    op.create_table(
        "idp_clocks",
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("offset_ms", sa.BigInteger(), nullable=False),
        sa.Column("measured_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
