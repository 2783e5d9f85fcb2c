"""Emergency stops; webhooks of jobs and what was told them.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
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
    op.create_table(
        "notify_targets",
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id"), nullable=False, index=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("next_at", AT, index=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("delivered_at", AT),
        sa.Column("status", sa.Integer()),
        sa.Column("error", sa.String(), nullable=False),
    )


def downgrade() -> None:
    for table in ("notifications", "notify_targets", "emergency_stops"):
        op.drop_table(table)
