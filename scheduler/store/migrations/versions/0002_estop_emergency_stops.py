"""Emergency stops.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_estop"
down_revision = "0001"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "emergency_stops",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("released_at", AT, index=True),
        sa.Column("released_by", sa.String()),
        sa.Column("release_reason", sa.String()),
    )


def downgrade() -> None:
    op.drop_table("emergency_stops")
