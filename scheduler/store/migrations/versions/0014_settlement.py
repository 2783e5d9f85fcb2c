"""Settlement with mining partners: intervals, balances and adjustments, chained by party.

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "settlement_rows",
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("link", BIG, nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash_before", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("party", "link", name="pk_settlement_rows"),
        sa.UniqueConstraint("party", "starts_at", "number", name="uq_settlement_rows_party_starts_at_number"),
    )


def downgrade() -> None:
    op.drop_table("settlement_rows")
