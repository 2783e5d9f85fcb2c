"""What revenue is reckoned from: figures of the chain, on whose word and since when.

Revision: 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.columns import BIG, UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chain_figures",
        sa.Column("number", BIG, nullable=False),
        sa.Column("as_of_at", UtcDateTime(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        *(sa.Column(name, BIG, nullable=False) for name in ("btc_micro", "difficulty", "height", "fees_sat")),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stale_after_s", sa.Float(), nullable=False),
        sa.Column("corrects", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_chain_figures")),
    )
    op.create_index("ix_chain_figures_as_of_at_number", "chain_figures", ["as_of_at", "number"])


def downgrade() -> None:
    op.drop_index("ix_chain_figures_as_of_at_number", table_name="chain_figures")
    op.drop_table("chain_figures")
