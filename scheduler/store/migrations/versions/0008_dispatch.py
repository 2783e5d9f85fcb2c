"""Dispatch instructions.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)
TABLE = "dispatch_instructions"
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("giver_id", sa.String(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("issued_at", AT, nullable=False),
        sa.Column("received_at", AT, nullable=False),
        sa.Column("starts_at", AT, nullable=False),
        sa.Column("due_at", AT, nullable=False),
        sa.Column("ends_at", AT),
        sa.Column("limit_w", sa.Float()),
        sa.Column("binding", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("accepted_by", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("complied_at", AT),
        sa.Column("complied_w", sa.Float()),
        sa.Column("breached_at", AT),
        sa.Column("over_s", sa.Float(), nullable=False),
        sa.Column("over_at", AT, index=True),
        sa.Column("answer", sa.String()),
        sa.Column("answered_by", sa.String()),
        sa.Column("answered_at", AT),
        sa.Column("note", sa.Text()),
    )
    for column in ("state", "source"):
        op.create_index(f"ix_{TABLE}_{column}_number", TABLE, [column, "number"])


def downgrade() -> None:
    op.drop_table(TABLE)
