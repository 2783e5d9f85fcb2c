"""Nodes that join from other machines, and where a job's checkpoints are.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("leaving", sa.Boolean(), nullable=False),
        sa.Column("joined_at", AT, nullable=False),
        sa.Column("joined_by", sa.String(), nullable=False),
    )
    op.add_column("jobs", sa.Column("storage", sa.String(), nullable=False, server_default=""))
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("jobs", "storage", server_default=None)


def downgrade() -> None:
    op.drop_column("jobs", "storage")
    op.drop_table("members")
