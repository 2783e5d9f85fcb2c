"""Which array a job is part of.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("array_id", sa.String(), nullable=True))
    op.create_index("ix_jobs_array_id_number", "jobs", ["array_id", "number"])


def downgrade() -> None:
    op.drop_index("ix_jobs_array_id_number", "jobs")
    op.drop_column("jobs", "array_id")
