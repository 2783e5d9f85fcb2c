"""Whose jobs and tokens these are, and which tokens were taken back.

Revision: 0002, after 0001. What was there before belongs to the site itself.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("owner", sa.String(), nullable=False, server_default="site"))
    op.create_index("ix_jobs_owner_number", "jobs", ["owner", "number"])
    op.add_column("tokens", sa.Column("user_name", sa.String(), nullable=False, server_default="site"))
    op.create_table(
        "revoked_tokens",
        sa.Column("hash", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("expires_at", AT),
        sa.Column("revoked_at", AT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("revoked_tokens")
    op.drop_column("tokens", "user_name")
    op.drop_index("ix_jobs_owner_number", "jobs")
    op.drop_column("jobs", "owner")
