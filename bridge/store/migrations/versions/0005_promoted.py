"""From when on a header-signing key signs, where somebody has said so."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("keys", sa.Column("signs_from", sa.BigInteger(), nullable=True))
